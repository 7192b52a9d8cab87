"""The decision tables: every row of the design's reconcile table by name."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from builders import CREATED, make_request, make_session
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Fulfillment,
    Phase,
    Reason,
    Status,
)
from fulfillment_operator.checkout import SessionPayment, SessionStatus
from fulfillment_operator.decide import (
    AwaitPayment,
    FailPayment,
    Fulfill,
    LookAt,
    LookNow,
    Refuse,
    Settled,
    decide,
    refuse_unseen,
    when_to_look,
)

NOW = CREATED + timedelta(hours=1)
RECHECK = timedelta(hours=6)


def status(
    phase: Phase,
    reason: Reason,
    *,
    notified: Reason | None = None,
    next_attempt_at: datetime | None = None,
    generation: int = 1,
) -> Status:
    conditions = []
    if notified:
        truth = ConditionStatus.TRUE if notified is Reason.MAIL_SENT else ConditionStatus.FALSE
        conditions.append(
            Condition(
                type=ConditionType.CUSTOMER_NOTIFIED,
                status=truth,
                reason=notified,
                message="",
                last_transition_time=CREATED,
            )
        )
    return Status(
        phase=phase,
        reason=reason,
        message="",
        observed_generation=generation,
        conditions=conditions,
        fulfillment=Fulfillment(backend="log", attempts=1, started_at=CREATED, next_attempt_at=next_attempt_at),
    )


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
            status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=Reason.MAIL_SENT),
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
    assert decide(make_request(hint, status=before), session, CREATED) == expected(session)


@pytest.mark.parametrize(
    ("hint", "payment", "notified", "expected"),
    [
        pytest.param(PaymentStatus.FAILED, SessionPayment.UNPAID, None, True, id="failed"),
        pytest.param(PaymentStatus.UNPAID, SessionPayment.FAILED, None, True, id="failed, its event lost"),
        pytest.param(PaymentStatus.FAILED, SessionPayment.FAILED, Reason.MAIL_SENT, False, id="already mailed"),
        pytest.param(PaymentStatus.FAILED, SessionPayment.FAILED, Reason.MAIL_UNAVAILABLE, True, id="mail put off"),
    ],
)
def test_a_failed_payment_is_told_to_the_customer_once(
    hint: PaymentStatus,
    payment: SessionPayment,
    notified: Reason | None,
    expected: bool,
) -> None:
    """The customer is mailed unless that was done."""
    before = status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=notified) if notified else None
    session = make_session(payment)
    assert decide(make_request(hint, status=before), session, CREATED) == FailPayment(session, notify=expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mode": "setup", "payment": SessionPayment.NO_PAYMENT_REQUIRED}, Reason.NOTHING_TO_FULFILL),
        ({"status": SessionStatus.EXPIRED, "payment": SessionPayment.UNPAID}, Reason.SESSION_EXPIRED),
    ],
)
def test_what_sold_nothing_is_refused_without_a_mail(changes: dict[str, Any], expected: Reason) -> None:
    """A setup Session and an expired one are ended with their own reasons: they are no payment failures."""
    step = decide(make_request(), make_session(**changes), CREATED)
    assert isinstance(step, Refuse)
    assert step.reason == expected


def test_a_session_that_stripe_does_not_know_is_refused() -> None:
    """No such Session: failed, SessionNotFound."""
    step = decide(make_request(), None, CREATED)
    assert isinstance(step, Refuse)
    assert step.reason == Reason.SESSION_NOT_FOUND


def test_a_second_request_for_one_session_is_refused_before_stripe_is_asked() -> None:
    """Only the name that the Session's id gives is served, so no copy can be fulfilled a second time."""
    refusal = refuse_unseen(make_request(name="cs-" + "a" * 26), livemode=False)
    assert refusal is not None
    assert refusal.reason == Reason.NAME_MISMATCH


@pytest.mark.parametrize(("order", "key"), [(True, False), (False, True)])
def test_orders_of_the_other_mode_are_refused(order: bool, key: bool) -> None:
    """A test order under a live key, or a live one under a test key, never reaches a backend."""
    refusal = refuse_unseen(make_request(livemode=order), livemode=key)
    assert refusal is not None
    assert refusal.reason == Reason.LIVEMODE_MISMATCH


def test_an_ordinary_request_is_not_refused() -> None:
    """What the webhook service makes passes."""
    assert refuse_unseen(make_request(), livemode=False) is None


@pytest.mark.parametrize(
    ("before", "generation", "expected"),
    [
        pytest.param(None, 1, LookNow(), id="new"),
        pytest.param(status(Phase.FULFILLED, Reason.FULFILLED), 1, Settled(), id="fulfilled"),
        pytest.param(status(Phase.FULFILLED, Reason.FULFILLED), 2, Settled(), id="fulfilled absorbs late news"),
        pytest.param(status(Phase.FAILED, Reason.PAYMENT_FAILED), 1, Settled(), id="failed"),
        pytest.param(status(Phase.FAILED, Reason.PAYMENT_FAILED), 2, LookNow(), id="failed, then news"),
        pytest.param(
            status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=Reason.MAIL_UNAVAILABLE),
            1,
            LookNow(),
            id="mail is due",
        ),
        pytest.param(
            status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=Reason.MAIL_REFUSED), 1, Settled(), id="mail refused"
        ),
        pytest.param(
            status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, next_attempt_at=NOW + timedelta(minutes=2)),
            1,
            LookAt(NOW + timedelta(minutes=2)),
            id="the next try is later",
        ),
        pytest.param(
            status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, next_attempt_at=NOW), 1, LookNow(), id="a try is due"
        ),
        pytest.param(status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING), 2, LookNow(), id="awaiting, then news"),
        pytest.param(status(Phase.AWAITING_PAYMENT, Reason.STRIPE_UNAVAILABLE), 1, LookNow(), id="Stripe was away"),
    ],
)
def test_when_a_request_is_due(before: Status | None, generation: int, expected: LookNow | LookAt | Settled) -> None:
    """A request is looked at when something is to do, and only then."""
    assert when_to_look(make_request(status=before, generation=generation), NOW, RECHECK) == expected


def test_a_deleted_request_is_left_alone() -> None:
    """What is being deleted needs nothing more."""
    assert when_to_look(make_request(deleted=True), NOW, RECHECK) == Settled()


@pytest.mark.parametrize("hours", [0, 1, 5.9, 6, 100, 10_000])
def test_an_unpaid_order_is_asked_of_stripe_again_within_the_interval(hours: float) -> None:
    """Whenever it is asked, the next look lies ahead, at most one interval away, at the order's own place in it."""
    now = CREATED + timedelta(hours=hours)
    look = when_to_look(make_request(status=status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)), now, RECHECK)
    assert isinstance(look, LookAt)
    assert timedelta(0) < look.at - now <= RECHECK


@pytest.mark.parametrize("number", range(20))
def test_at_its_place_an_order_is_asked_of_stripe_once(number: int) -> None:
    """The operator's clock tells whole seconds: throughout that second the next look is an interval later."""
    waiting = status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
    request = make_request(session_id=f"cs_test_{number}", status=waiting)
    look = when_to_look(request, CREATED, RECHECK)
    assert isinstance(look, LookAt)
    assert when_to_look(request, look.at.replace(microsecond=0), RECHECK) == LookAt(look.at + RECHECK)
