"""How the payment of a Session stands: the table of a PaymentIntent's states, row by row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fulfillment_api.spec import Amount, PaymentStatus
from fulfillment_api.status import ConditionStatus, Reason
from fulfillment_operator.checkout.session import CheckoutSession, PaymentIntentStatus, SessionPayment, SessionStatus
from fulfillment_operator.policy.payment_state import (
    PaymentState,
    awaited,
    is_overdue,
    payment_condition,
    payment_state,
)
from support.builders import CREATED, make_intent, make_request, make_session

NOW = CREATED + timedelta(hours=2)
PART = Amount(total=400, currency="usd", display="4.00 USD")
LAPSES = datetime(2026, 11, 9, 9, 0, tzinfo=UTC)


def unpaid(status: PaymentIntentStatus | None = None, **intent: Any) -> CheckoutSession:
    """Return a completed, unpaid Session."""
    return make_session(SessionPayment.UNPAID, payment_intent=make_intent(status, **intent) if status else None)


@pytest.mark.parametrize(
    ("status", "facts", "expected"),
    [
        ("requires_payment_method", {}, PaymentState.REQUIRES_ACTION),
        ("requires_payment_method", {"has_error": True}, PaymentState.FAILED),
        ("requires_confirmation", {}, PaymentState.REQUIRES_ACTION),
        ("requires_action", {}, PaymentState.REQUIRES_ACTION),
        ("requires_action", {"has_error": True}, PaymentState.REQUIRES_ACTION),
        ("processing", {}, PaymentState.PROCESSING),
        ("processing", {"has_error": True}, PaymentState.PROCESSING),
        ("requires_capture", {}, PaymentState.REQUIRES_CAPTURE),
        ("requires_capture", {"has_error": True}, PaymentState.REQUIRES_CAPTURE),
        ("canceled", {}, PaymentState.CANCELED),
        ("canceled", {"has_error": True}, PaymentState.CANCELED),
        ("canceled", {"cancellation_reason": "requested_by_customer"}, PaymentState.CANCELED),
        ("canceled", {"cancellation_reason": "automatic"}, PaymentState.CANCELED),
        ("canceled", {"cancellation_reason": "failed_invoice"}, PaymentState.FAILED),
        ("succeeded", {}, PaymentState.PAID),
        ("unknown", {}, PaymentState.PROCESSING),
    ],
)
def test_an_unpaid_session_stands_as_its_payment_intent(
    status: str, facts: dict[str, Any], expected: PaymentState
) -> None:
    """What pays it says more than `unpaid`: only a payment method that failed is a failed payment."""
    session = unpaid(PaymentIntentStatus(status), **facts)
    assert payment_state(make_request(PaymentStatus.UNPAID), session, NOW) is expected


@pytest.mark.parametrize(
    ("event", "status", "expected"),
    [
        (PaymentStatus.FAILED, None, PaymentState.FAILED),
        (PaymentStatus.CANCELED, None, PaymentState.CANCELED),
        (PaymentStatus.FAILED, "unknown", PaymentState.FAILED),
        (PaymentStatus.FAILED, "requires_payment_method", PaymentState.FAILED),
        (PaymentStatus.FAILED, "processing", PaymentState.PROCESSING),
        (PaymentStatus.FAILED, "requires_action", PaymentState.REQUIRES_ACTION),
        (PaymentStatus.FAILED, "requires_capture", PaymentState.REQUIRES_CAPTURE),
        (PaymentStatus.FAILED, "canceled", PaymentState.CANCELED),
        (PaymentStatus.CANCELED, "requires_capture", PaymentState.REQUIRES_CAPTURE),
        (PaymentStatus.PAID, "requires_capture", PaymentState.REQUIRES_CAPTURE),
    ],
)
def test_an_event_counts_where_stripe_does_not_tell(
    event: PaymentStatus, status: str | None, expected: PaymentState
) -> None:
    """Nobody is asked for a new order while a payment is under way, whatever failed before it."""
    session = unpaid(PaymentIntentStatus(status) if status else None)
    assert payment_state(make_request(event), session, NOW) is expected


@pytest.mark.parametrize(
    ("minutes", "expected"), [(0, PaymentState.PROCESSING), (59, PaymentState.PROCESSING), (61, PaymentState.FAILED)]
)
def test_an_event_that_says_paid_is_believed_for_a_while(minutes: int, expected: PaymentState) -> None:
    """An answer that denies it may be older than the event: nobody is mailed because of it."""
    session = unpaid(PaymentIntentStatus.REQUIRES_PAYMENT_METHOD, has_error=True)
    assert payment_state(make_request(PaymentStatus.PAID), session, CREATED + timedelta(minutes=minutes)) is expected


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (make_session(SessionPayment.PAID), PaymentState.PAID),
        (make_session(SessionPayment.NO_PAYMENT_REQUIRED), PaymentState.NOTHING_DUE),
        (make_session(SessionPayment.PAID, status=SessionStatus.OPEN), PaymentState.SESSION_OPEN),
        (make_session(SessionPayment.NO_PAYMENT_REQUIRED, status=SessionStatus.OPEN), PaymentState.SESSION_OPEN),
    ],
)
def test_the_session_says_the_rest(session: CheckoutSession, expected: PaymentState) -> None:
    """A Session that is open is not paid, whatever else it says."""
    assert payment_state(make_request(), session, NOW) is expected


CAPTURE_IT = "capture it in the Stripe Dashboard or by the API"
FREE = Amount(total=0, currency="usd", display="0.00 USD")


@pytest.mark.parametrize(
    ("session", "state", "expected"),
    [
        (make_session(), PaymentState.PAID, ("True", "Paid", "Stripe has the payment")),
        (
            make_session(amount=PART, payment_intent=make_intent(PaymentIntentStatus.SUCCEEDED, received=PART)),
            PaymentState.PAID,
            ("True", "Paid", "4.00 USD were captured of the 10.99 USD that were authorized"),
        ),
        (
            make_session(SessionPayment.NO_PAYMENT_REQUIRED, amount=FREE),
            PaymentState.NOTHING_DUE,
            ("True", "NoPaymentRequired", "the order costs nothing"),
        ),
        (
            make_session(SessionPayment.NO_PAYMENT_REQUIRED, amount=FREE, mode="subscription"),
            PaymentState.NOTHING_DUE,
            ("True", "NoPaymentRequired", "no payment is due now: Stripe bills it as it falls due"),
        ),
        (
            make_session(SessionPayment.NO_PAYMENT_REQUIRED),
            PaymentState.NOTHING_DUE,
            ("True", "NoPaymentRequired", "no payment is due now: Stripe bills it as it falls due"),
        ),
        (
            unpaid(),
            PaymentState.SESSION_OPEN,
            ("False", "SessionOpen", "the buyer has not completed Checkout yet, Stripe says"),
        ),
        (
            unpaid(),
            PaymentState.PROCESSING,
            ("False", "PaymentProcessing", "the payment is on its way; it may take days to succeed or fail"),
        ),
        (
            unpaid(),
            PaymentState.REQUIRES_ACTION,
            (
                "False",
                "PaymentRequiresAction",
                "the buyer has yet to do their part, such as a bank transfer or a payment at a shop",
            ),
        ),
        (
            unpaid(PaymentIntentStatus.REQUIRES_ACTION, received=PART),
            PaymentState.REQUIRES_ACTION,
            (
                "False",
                "PaymentRequiresAction",
                "4.00 USD of 10.99 USD have come; the buyer has yet to pay the rest",
            ),
        ),
        (
            unpaid(PaymentIntentStatus.REQUIRES_CAPTURE),
            PaymentState.REQUIRES_CAPTURE,
            (
                "False",
                "PaymentRequiresCapture",
                f"the payment is authorized: {CAPTURE_IT}",
            ),
        ),
        (
            unpaid(PaymentIntentStatus.REQUIRES_CAPTURE, capture_before=LAPSES, received=PART),
            PaymentState.REQUIRES_CAPTURE,
            (
                "False",
                "PaymentRequiresCapture",
                f"4.00 USD are captured, the rest is authorized: {CAPTURE_IT}, before 2026-11-09 09:00 UTC",
            ),
        ),
        (unpaid(), PaymentState.FAILED, ("False", "PaymentFailed", "the payment failed")),
        (
            unpaid(PaymentIntentStatus.CANCELED, cancellation_reason="duplicate"),
            PaymentState.CANCELED,
            ("False", "PaymentCanceled", "the payment was canceled (duplicate), not declined"),
        ),
        (
            unpaid(PaymentIntentStatus.CANCELED),
            PaymentState.CANCELED,
            ("False", "PaymentCanceled", "the payment was canceled, not declined"),
        ),
        (
            unpaid(PaymentIntentStatus.CANCELED, cancellation_reason="automatic"),
            PaymentState.CANCELED,
            (
                "False",
                "PaymentCanceled",
                "the payment was canceled by Stripe, because it was not captured or completed in time",
            ),
        ),
    ],
)
def test_what_the_order_shows(session: CheckoutSession, state: PaymentState, expected: tuple[str, str, str]) -> None:
    """The condition Paid: what has come is named, and what a person has to do."""
    status, reason, message = payment_condition(session, state)
    assert (status, reason, message) == (ConditionStatus(expected[0]), Reason(expected[1]), expected[2])


@pytest.mark.parametrize(
    ("status", "capture_before", "days", "expected"),
    [
        ("requires_capture", LAPSES, 5.9, None),
        ("requires_capture", LAPSES, 6.1, "the authorization is about to lapse: the payment is authorized: capture it"),
        ("requires_capture", None, 400, None),
        ("requires_action", None, 13, None),
        ("requires_action", None, 15, "the buyer takes longer than the payment method gives them: the buyer has yet"),
        ("processing", None, 15, "the payment takes longer than its method can: look at it"),
    ],
)
def test_when_a_person_must_look(
    status: str, capture_before: datetime | None, days: float, expected: str | None
) -> None:
    """A day before an authorization lapses, or when the payment method's time is over."""
    session = unpaid(PaymentIntentStatus(status), capture_before=capture_before)
    request, now = make_request(PaymentStatus.UNPAID), CREATED + timedelta(days=days)
    state = payment_state(request, session, now)
    assert is_overdue(request, session, state, now) is (expected is not None)
    if expected:
        reason, message = awaited(session, state, overdue=True)
        assert reason == Reason.PAYMENT_OVERDUE
        assert message.startswith(expected)


def test_a_session_that_is_open_is_not_overdue() -> None:
    """It ends by itself within a day: expired, or completed."""
    session, now = make_session(status=SessionStatus.OPEN), CREATED + timedelta(days=400)
    assert not is_overdue(make_request(), session, PaymentState.SESSION_OPEN, now)
