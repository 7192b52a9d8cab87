"""What stays of finished orders, and which may be deleted, row by row."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.names import ACKNOWLEDGED
from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.self_test import ANNOTATIONS, self_test_session
from fulfillment_api.spec import Amount, Callback, CallbackResult, Reversal, ReversalKind
from fulfillment_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Fulfillment,
    LineItem,
    Order,
    Phase,
    Reason,
    Status,
)
from fulfillment_operator.policy.retention import TRIMMED_AFTER, is_expired, trimmed
from support.builders import CREATED, make_request

RETENTION = timedelta(days=45)
ENDED = CREATED + timedelta(days=5)
TOLD = Condition(
    type=ConditionType.CUSTOMER_NOTIFIED,
    status=ConditionStatus.TRUE,
    reason=Reason.MAIL_SENT,
    message="m",
    last_transition_time=ENDED,
)
UNTOLD = replace(TOLD, status=ConditionStatus.FALSE, reason=Reason.MAIL_REJECTED)
PAID = replace(TOLD, type=ConditionType.PAID, reason=Reason.PAID)


def status(phase: Phase, reason: str, *more: Condition) -> Status:
    ready = ConditionStatus.TRUE if phase is Phase.FULFILLED else ConditionStatus.FALSE
    condition = Condition(
        type=ConditionType.READY, status=ready, reason=reason, message="m", last_transition_time=ENDED
    )
    return Status(phase=phase, reason=reason, message="m", observed_generation=1, conditions=[condition, *more])


@dataclass(frozen=True)
class Case:
    status: Status | None
    acknowledged: str
    goes: bool


@pytest.mark.parametrize(
    "case",
    [
        Case(status(Phase.FULFILLED, Reason.FULFILLED), "", goes=True),
        Case(status(Phase.FULFILLED, Reason.MANUALLY_COMPLETED, PAID), "", goes=True),
        Case(status(Phase.FAILED, Reason.PAYMENT_FAILED, TOLD), "", goes=True),
        Case(status(Phase.FAILED, Reason.PAYMENT_FAILED, UNTOLD), "", goes=False),
        Case(status(Phase.FAILED, Reason.PAYMENT_FAILED), "", goes=False),
        Case(status(Phase.FAILED, Reason.PAYMENT_FAILED, UNTOLD), "PaymentFailed: called them", goes=True),
        Case(status(Phase.FAILED, Reason.SESSION_EXPIRED), "", goes=True),
        Case(status(Phase.FAILED, Reason.PAYMENT_CANCELED), "", goes=True),
        Case(status(Phase.FAILED, Reason.SESSION_UNREADABLE), "", goes=False),
        Case(status(Phase.FAILED, Reason.MANUALLY_FAILED, PAID), "", goes=True),
        Case(status(Phase.FAILED, Reason.FULFILLMENT_FAILED), "", goes=False),
        Case(status(Phase.FAILED, Reason.FULFILLMENT_FAILED), "PaymentFailed", goes=False),
        Case(status(Phase.FAILED, Reason.FULFILLMENT_FAILED), "FulfillmentFailed: sent by hand", goes=True),
        Case(status(Phase.FAILED, Reason.SESSION_NOT_FOUND), "", goes=False),
        Case(status(Phase.FAILED, "OfALaterVersion"), "", goes=False),
        Case(status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE), "", goes=False),
        Case(status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_OVERDUE), "", goes=False),
        Case(None, "", goes=False),
    ],
    ids=lambda case: f"{case.status.reason if case.status else None} {case.acknowledged}",
)
def test_what_may_go(case: Case) -> None:
    """After the retention every finished order goes, but for a failure that a person has yet to deal with."""
    request = make_request(status=case.status, annotations=Annotations(acknowledged=case.acknowledged))
    later = ENDED + RETENTION + timedelta(seconds=1)
    assert is_expired(request, later, RETENTION) is case.goes
    assert is_expired(request, ENDED + RETENTION, RETENTION) is False


@pytest.mark.parametrize(
    "ended", [(Phase.FULFILLED, Reason.MANUALLY_COMPLETED), (Phase.FAILED, Reason.MANUALLY_FAILED)]
)
@pytest.mark.parametrize("paid", [ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN])
def test_what_a_person_ended_before_it_was_paid_stays_until_no_payment_may_come(
    ended: tuple[Phase, Reason], paid: ConditionStatus
) -> None:
    """Whose event would make the order anew, and fulfill it a second time, or against that person's word."""
    request = make_request(status=status(*ended, replace(PAID, status=paid)))
    after = ENDED + RETENTION + timedelta(seconds=1)
    assert is_expired(request, after, RETENTION) is (paid is ConditionStatus.TRUE)
    assert is_expired(request, after + timedelta(days=62), RETENTION)


def test_a_self_tests_order_goes_soon() -> None:
    """One whose test was killed before it deleted it: within hours, since nothing about it comes again."""
    session_id = self_test_session("0" * 24, livemode=False)
    acknowledged = Annotations(acknowledged=ANNOTATIONS[ACKNOWLEDGED])
    left = status(Phase.FAILED, Reason.SESSION_NOT_FOUND)
    request = make_request(status=left, session_id=session_id, annotations=acknowledged)
    assert is_expired(request, ENDED + timedelta(hours=2), RETENTION)
    assert not is_expired(request, ENDED + timedelta(minutes=59), RETENTION)


@pytest.mark.parametrize(
    "asked",
    [
        Annotations(retry="again, please"),
        Annotations(complete="parcel 7"),
        Annotations(fail="sold out"),
        Annotations(paused="the address is odd"),
    ],
    ids=["retry", "complete", "fail", "paused"],
)
def test_what_a_person_asks_something_of_stays(asked: Annotations) -> None:
    """While Stripe is away, a wish for another try waits; were the order deleted, nobody would know of it."""
    request = make_request(status=status(Phase.FAILED, Reason.REFUNDED), annotations=asked)
    assert is_expired(request, ENDED + 2 * RETENTION, RETENTION) is False


@pytest.mark.parametrize("ended", [Phase.FULFILLED, Phase.FAILED])
def test_what_has_unobserved_spec_that_nobody_looked_at_stays(ended: Phase) -> None:
    """As a dispute of which the backend could not be told yet."""
    request = make_request(status=status(ended, Reason.REFUNDED), generation=2)
    request = replace(
        request, spec=replace(request.spec, reversal=Reversal(kind=ReversalKind.DISPUTED, observed_at=ENDED))
    )
    assert is_expired(request, ENDED + 2 * RETENTION, RETENTION) is False


def test_what_is_being_deleted_is_left_alone() -> None:
    """Someone else's finalizer holds it: nothing is asked twice."""
    request = make_request(status=status(Phase.FULFILLED, Reason.FULFILLED), deleted=True)
    assert is_expired(request, ENDED + 2 * RETENTION, RETENTION) is False


LATE = CREATED + timedelta(days=20)


@pytest.mark.parametrize(
    ("request_", "ended"),
    [
        (make_request(), CREATED),
        (make_request(status=status(Phase.FULFILLED, Reason.FULFILLED)), ENDED),
        (
            make_request(
                status=replace(
                    status(Phase.FULFILLED, Reason.FULFILLED),
                    fulfillment=Fulfillment(backend="log", attempts=1, started_at=CREATED, completed_at=LATE),
                )
            ),
            LATE,
        ),
        (
            replace(
                make_request(status=status(Phase.FAILED, Reason.MANUALLY_FAILED)),
                spec=replace(make_request().spec, payment=replace(make_request().spec.payment, observed_at=LATE)),
            ),
            LATE,
        ),
        (
            replace(
                make_request(status=status(Phase.FULFILLED, Reason.FULFILLED)),
                spec=replace(make_request().spec, callback=Callback(result=CallbackResult.DONE, observed_at=LATE)),
            ),
            LATE,
        ),
    ],
    ids=["no status", "condition", "fulfillment", "payment", "callback"],
)
def test_an_order_has_ended_when_the_last_was_said_of_it(request_: FulfillmentRequest, ended: datetime) -> None:
    """News of an order that a person failed before it was paid keeps it for as long as Stripe can resend that."""
    assert request_.last_changed_at == ended


LATE = ENDED + TRIMMED_AFTER + timedelta(seconds=1)
AMOUNT = Amount(total=1099, currency="usd", display="10.99 USD")
OTHER_AMOUNT = Amount(total=999, currency="usd", display="9.99 USD")
ITEMS = [LineItem(id="li_1"), LineItem(id="li_2")]


def mirrored(kind: ConditionType, value: bool, message: str = "m", generation: int = 1) -> Condition:
    return Condition(
        type=kind,
        status=ConditionStatus.TRUE if value else ConditionStatus.FALSE,
        reason="R",
        message=message,
        last_transition_time=ENDED,
        observed_generation=generation,
    )


def whole(phase: Phase, order: Order | None = None) -> Status:
    done = phase is Phase.FULFILLED
    return Status(
        phase=phase,
        reason="R",
        message="m",
        observed_generation=1,
        conditions=[
            mirrored(ConditionType.PAID, value=True, message="Stripe has the payment"),
            mirrored(ConditionType.FULFILLED, value=done),
            mirrored(ConditionType.READY, value=done),
            mirrored(ConditionType.STALLED, value=not done),
        ],
        order=order,
    )


@pytest.mark.parametrize(
    ("phase", "mirrors"),
    [
        (Phase.FULFILLED, {ConditionType.FULFILLED: True, ConditionType.READY: True}),
        (Phase.FAILED, {ConditionType.FULFILLED: False, ConditionType.STALLED: True}),
    ],
)
def test_of_an_old_order_stays_what_nothing_else_says(phase: Phase, mirrors: dict[ConditionType, bool]) -> None:
    """Once; the payment's condition has a message of its own."""
    request = make_request(status=whole(phase, Order(line_items=ITEMS, amount=AMOUNT)))
    assert request.spec.amount == AMOUNT
    rest = trimmed(request, LATE)
    assert rest is not None
    assert rest.order == Order(line_items=[], removed_line_items=2)
    assert rest.conditions == [
        mirrored(ConditionType.PAID, value=True, message="Stripe has the payment", generation=0),
        *(mirrored(kind, value, "", 0) for kind, value in mirrors.items()),
    ]
    assert replace(rest, order=None, conditions=[]) == replace(whole(phase), conditions=[])
    assert trimmed(replace(request, status=rest), LATE) is None
    assert replace(request, status=rest).last_changed_at == request.last_changed_at


def test_what_stripe_took_is_kept_where_the_spec_says_another_amount() -> None:
    """After a thin event the spec says none; after a partial capture it says another."""
    request = make_request(status=whole(Phase.FULFILLED, Order(line_items=ITEMS, amount=OTHER_AMOUNT)))
    rest = trimmed(request, LATE)
    assert rest is not None
    assert rest.order == Order(line_items=[], removed_line_items=2, amount=OTHER_AMOUNT)


@pytest.mark.parametrize(
    "request_",
    [
        make_request(status=whole(Phase.AWAITING_PAYMENT)),
        make_request(status=whole(Phase.FULFILLING)),
        make_request(),
        make_request(status=whole(Phase.FAILED), generation=2),
        make_request(status=whole(Phase.FULFILLED), deleted=True),
        make_request(status=whole(Phase.FAILED), annotations=Annotations(retry="1")),
    ],
    ids=["waits", "is worked on", "new", "has a new spec", "is being deleted", "is to be retried"],
)
def test_an_order_that_is_not_done_with_is_left_as_it_is(request_: FulfillmentRequest) -> None:
    """However old it is."""
    assert trimmed(request_, LATE) is None


def test_an_order_is_left_whole_for_a_week() -> None:
    """Who looks into it finds its items."""
    request = make_request(status=whole(Phase.FULFILLED, Order(line_items=ITEMS)))
    assert trimmed(request, ENDED + TRIMMED_AFTER) is None
