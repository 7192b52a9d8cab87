"""What an event changes of a request that is there."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Expiry, Payment, PaymentStatus, Reversal, ReversalKind
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_service.events.spec_patch import spec_patch
from fulfillment_service.events.translate import DesiredRequest, ExpiryHint, PaymentHint, ReversalHint
from support.builders import make_request, make_status

EventOf = Callable[..., DesiredRequest | PaymentHint]

AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
UNPAID, PAID = PaymentStatus.UNPAID, PaymentStatus.PAID
FAILED, CANCELED = PaymentStatus.FAILED, PaymentStatus.CANCELED
AWAITING = make_status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
FULFILLING = make_status(Phase.FULFILLING, Reason.DISPATCHED)
FULFILLED = make_status(Phase.FULFILLED, Reason.FULFILLED)
PAYMENT_FAILED = make_status(Phase.FAILED, Reason.PAYMENT_FAILED)
EXPIRY = Expiry(event="evt_2", observed_at=AT)
REFUND = Reversal(kind=ReversalKind.REFUNDED, event="evt_2", observed_at=AT)
"""`make_request` has the event evt_1 of its payment."""


def checkout(status: PaymentStatus, event: str = "evt_2") -> DesiredRequest:
    request = make_request(status)
    payment = Payment(status=status, event=event, observed_at=AT)
    return DesiredRequest(request.metadata.name, replace(request.spec, payment=payment))


def hint(status: PaymentStatus, event: str = "evt_2") -> PaymentHint:
    payment = Payment(status=status, event=event, observed_at=AT)
    return PaymentHint(payment_intent="pi_1", account=None, livemode=False, payment=payment)


def with_spec(request: FulfillmentRequest, **changes: Expiry | Reversal) -> FulfillmentRequest:
    return replace(request, spec=replace(request.spec, **changes))


@pytest.mark.parametrize("event_of", [checkout, hint], ids=["of the Session", "of the payment"])
@pytest.mark.parametrize(
    ("request_", "status", "is_news"),
    [
        (make_request(UNPAID), PAID, True),
        (make_request(UNPAID), FAILED, True),
        (make_request(UNPAID, status=AWAITING), PAID, True),
        (make_request(FAILED, status=AWAITING), PAID, True),
        (make_request(PAID), FAILED, False),
        # The second event of one end: Stripe's answer may have lagged the first, while the order awaits its payment.
        (make_request(FAILED, status=AWAITING), FAILED, True),
        (make_request(PAID, status=AWAITING), PAID, True),
        (make_request(FAILED, status=PAYMENT_FAILED), FAILED, False),
        (make_request(PAID, status=FULFILLING), PAID, False),
        (make_request(FAILED), FAILED, False),
        (make_request(UNPAID, status=FULFILLED), PAID, False),
        (make_request(FAILED, status=PAYMENT_FAILED), CANCELED, False),
        (make_request(FAILED, status=PAYMENT_FAILED), PAID, True),
    ],
)
def test_the_end_of_a_payment_is_news_by_one_rule(
    event_of: EventOf, request_: FulfillmentRequest, status: PaymentStatus, *, is_news: bool
) -> None:
    """Whichever of Stripe's objects the event is about."""
    patch = spec_patch(event_of(status), request_)
    assert patch == (Payment(status=status, event="evt_2", observed_at=AT) if is_news else None)


@pytest.mark.parametrize("event_of", [checkout, hint])
def test_the_same_event_is_no_news(event_of: EventOf) -> None:
    """However often it is sent."""
    request = make_request(FAILED, status=AWAITING)
    assert spec_patch(event_of(FAILED, "evt_1"), request) is None


def test_that_a_session_was_completed_is_known_and_a_part_of_a_transfer_is_not() -> None:
    """Both leave it unpaid."""
    request = make_request(UNPAID, status=AWAITING)
    assert spec_patch(checkout(UNPAID), request) is None
    assert spec_patch(hint(UNPAID), request) == hint(UNPAID).payment


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (make_request(PAID), EXPIRY),
        (make_request(PAID, status=FULFILLED), None),
        (with_spec(make_request(PAID), expiry=replace(EXPIRY, event="evt_1")), None),
        (with_spec(make_request(PAID), reversal=REFUND), None),
    ],
)
def test_an_expiry_is_news_once(request_: FulfillmentRequest, expected: Expiry | None) -> None:
    """And none of what was paid back, or is fulfilled."""
    session_id = request_.spec.session.id
    change = ExpiryHint(name=request_.metadata.name, session_id=session_id, account=None, livemode=False, expiry=EXPIRY)
    assert spec_patch(change, request_) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, REFUND),
        (replace(REFUND, observed_at=AT - timedelta(days=1)), None),
        (replace(REFUND, event="evt_1"), REFUND),
        (replace(REFUND, kind=ReversalKind.DISPUTED), REFUND),
    ],
)
@pytest.mark.parametrize("status", [None, AWAITING, FULFILLED])
def test_each_reversal_is_news(known: Reversal | None, expected: Reversal | None, status: Status | None) -> None:
    """A second refund as well, also of an order that is fulfilled."""
    request = make_request(PAID, status=status)
    request = with_spec(request, reversal=known) if known else request
    change = ReversalHint(payment_intent="pi_1", account=None, livemode=False, reversal=REFUND)
    assert spec_patch(change, request) == expected
