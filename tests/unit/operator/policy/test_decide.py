"""The decision tables: every row of the design's reconcile table by name."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import (
    Phase,
    Reason,
    Status,
)
from fulfillment_operator.checkout.session import PaymentIntent, PaymentIntentStatus, SessionPayment, SessionStatus
from fulfillment_operator.policy.decide import (
    AwaitPayment,
    EndEmpty,
    Fail,
    FailPayment,
    Fulfill,
    decide,
    has_news,
)
from support.builders import CREATED, make_intent, make_request, make_session, make_status

NOW = CREATED + timedelta(hours=1)
DECLINED = make_intent(PaymentIntentStatus.REQUIRES_PAYMENT_METHOD, has_error=True)


@pytest.mark.parametrize(
    ("hint", "payment", "changes", "before", "expected"),
    [
        pytest.param(PaymentStatus.PAID, SessionPayment.PAID, {}, None, Fulfill, id="paid"),
        pytest.param(
            PaymentStatus.NO_PAYMENT_REQUIRED, SessionPayment.NO_PAYMENT_REQUIRED, {}, None, Fulfill, id="free order"
        ),
        pytest.param(PaymentStatus.UNPAID, SessionPayment.UNPAID, {}, None, AwaitPayment, id="unpaid"),
        pytest.param(PaymentStatus.UNPAID, SessionPayment.PAID, {}, None, Fulfill, id="paid, its event lost"),
        pytest.param(
            PaymentStatus.PAID, SessionPayment.UNPAID, {}, None, AwaitPayment, id="hinted paid, Stripe denies"
        ),
        pytest.param(
            PaymentStatus.FAILED, SessionPayment.PAID, {}, None, Fulfill, id="paid though the hint said failed"
        ),
        pytest.param(
            PaymentStatus.FAILED,
            SessionPayment.PAID,
            {},
            make_status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=Reason.MAIL_SENT),
            Fulfill,
            id="paid after it had failed",
        ),
        pytest.param(
            PaymentStatus.PAID,
            SessionPayment.UNPAID,
            {"status": SessionStatus.OPEN},
            None,
            AwaitPayment,
            id="a Session that was never completed",
        ),
        pytest.param(
            PaymentStatus.PAID,
            SessionPayment.NO_PAYMENT_REQUIRED,
            {"status": SessionStatus.OPEN},
            None,
            AwaitPayment,
            id="a free Session that was never completed",
        ),
    ],
)
def test_next_step_of_a_payable_session(
    hint: PaymentStatus,
    payment: SessionPayment,
    changes: dict[str, Any],
    before: Status | None,
    expected: type[Fulfill | AwaitPayment],
) -> None:
    """What Stripe says now is believed, whatever the event's hint was."""
    session = make_session(payment, **changes)
    decision = decide(make_request(hint, status=before), session, CREATED)
    assert isinstance(decision, expected)
    assert decision.session is session


@pytest.mark.parametrize(
    ("hint", "intent", "notified", "expected"),
    [
        pytest.param(PaymentStatus.FAILED, None, None, True, id="failed"),
        pytest.param(PaymentStatus.UNPAID, DECLINED, None, True, id="failed, its event lost"),
        pytest.param(PaymentStatus.FAILED, DECLINED, Reason.MAIL_SENT, False, id="already mailed"),
        pytest.param(PaymentStatus.FAILED, DECLINED, Reason.MAIL_UNAVAILABLE, True, id="mail put off"),
    ],
)
def test_a_failed_payment_is_told_to_the_customer_once(
    hint: PaymentStatus,
    intent: PaymentIntent | None,
    notified: Reason | None,
    expected: bool,
) -> None:
    """The customer is mailed unless that was done."""
    before = make_status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=notified) if notified else None
    session = make_session(SessionPayment.UNPAID, payment_intent=intent)
    assert decide(make_request(hint, status=before), session, CREATED) == FailPayment(session, notify=expected)


def test_what_was_never_completed_is_refused_without_a_mail() -> None:
    """An expired Session is ended with a reason of its own: it is no payment failure."""
    session = make_session(SessionPayment.UNPAID, status=SessionStatus.EXPIRED)
    step = decide(make_request(), session, CREATED)
    assert isinstance(step, Fail)
    assert step.reason == Reason.SESSION_EXPIRED


def test_what_saved_a_card_ends_without_a_failure() -> None:
    """Nothing was sold, so nothing failed: a thin event does not say so, and made a request."""
    session = make_session(SessionPayment.NO_PAYMENT_REQUIRED, mode="setup")
    assert decide(make_request(), session, CREATED) == EndEmpty(session)


@pytest.mark.parametrize("hint", [PaymentStatus.UNPAID, PaymentStatus.CANCELED, PaymentStatus.FAILED])
@pytest.mark.parametrize("reason", ["requested_by_customer", "duplicate", "automatic", None])
def test_a_payment_that_was_let_go_mails_nobody(hint: PaymentStatus, reason: str | None) -> None:
    """The buyer's payment method was good: failed for a reason of its own."""
    intent = make_intent(PaymentIntentStatus.CANCELED, cancellation_reason=reason)
    step = decide(make_request(hint), make_session(SessionPayment.UNPAID, payment_intent=intent), CREATED)
    assert isinstance(step, Fail)
    assert step.reason is Reason.PAYMENT_CANCELED


def test_a_session_that_stripe_does_not_know_is_refused() -> None:
    """No such Session: failed, SessionNotFound."""
    step = decide(make_request(), None, CREATED)
    assert isinstance(step, Fail)
    assert step.reason == Reason.SESSION_NOT_FOUND


PROCESSING = "the payment is on its way; it may take days to succeed or fail"


@pytest.mark.parametrize(
    ("payment", "changes", "days", "expected"),
    [
        pytest.param(SessionPayment.UNPAID, {}, 1, False, id="as it was"),
        pytest.param(SessionPayment.UNPAID, {}, 100, True, id="overdue by now"),
        pytest.param(SessionPayment.PAID, {}, 1, True, id="paid"),
        pytest.param(SessionPayment.UNPAID, {"payment_intent": DECLINED}, 1, True, id="failed"),
        pytest.param(SessionPayment.UNPAID, {"payment_intent": None}, 1, True, id="its invoice would tell"),
        pytest.param(SessionPayment.UNPAID, {"status": SessionStatus.EXPIRED}, 1, True, id="expired"),
    ],
)
def test_what_a_list_says_of_an_order_that_waits(
    payment: SessionPayment, changes: dict[str, Any], days: int, expected: bool
) -> None:
    """It is news when another status would follow from it: by what Stripe says, or by the time."""
    before = replace(make_status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING), message=PROCESSING)
    listed = {"payment_intent": make_intent(PaymentIntentStatus.PROCESSING), "line_items": (), **changes}
    request = make_request(PaymentStatus.UNPAID, status=before)
    assert has_news(request, make_session(payment, **listed), CREATED + timedelta(days=days)) is expected
