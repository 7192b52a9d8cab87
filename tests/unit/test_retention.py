"""Which finished orders may be deleted, row by row."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from builders import CREATED, make_request
from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, Sale, SaleKind
from fulfillment_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Fulfillment,
    Phase,
    Reason,
    Status,
)
from fulfillment_operator.retention import may_go

RETENTION = timedelta(days=45)
ENDED = CREATED + timedelta(days=5)
TOLD = Condition(
    type=ConditionType.CUSTOMER_NOTIFIED,
    status=ConditionStatus.TRUE,
    reason=Reason.MAIL_SENT,
    message="m",
    last_transition_time=ENDED,
)
UNTOLD = replace(TOLD, status=ConditionStatus.FALSE, reason=Reason.MAIL_REFUSED)


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
        Case(status(Phase.FULFILLED, Reason.COMPLETED_BY_HAND), "", goes=True),
        Case(status(Phase.FAILED, Reason.PAYMENT_FAILED, TOLD), "", goes=True),
        Case(status(Phase.FAILED, Reason.PAYMENT_FAILED, UNTOLD), "", goes=False),
        Case(status(Phase.FAILED, Reason.PAYMENT_FAILED), "", goes=False),
        Case(status(Phase.FAILED, Reason.PAYMENT_FAILED, UNTOLD), "PaymentFailed: called them", goes=True),
        Case(status(Phase.FAILED, Reason.SESSION_EXPIRED), "", goes=True),
        Case(status(Phase.FAILED, Reason.NOTHING_TO_FULFILL), "", goes=True),
        Case(status(Phase.FAILED, Reason.FAILED_BY_HAND), "", goes=True),
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
    assert may_go(request, later, RETENTION) is case.goes
    assert may_go(request, ENDED + RETENTION, RETENTION) is False


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
    assert may_go(request, ENDED + 2 * RETENTION, RETENTION) is False


@pytest.mark.parametrize("ended", [Phase.FULFILLED, Phase.FAILED])
def test_what_has_news_that_nobody_looked_at_stays(ended: Phase) -> None:
    """As a dispute of which the backend could not be told yet."""
    request = make_request(status=status(ended, Reason.REFUNDED), generation=2)
    request = replace(request, spec=replace(request.spec, sale=Sale(kind=SaleKind.DISPUTED, observed_at=ENDED)))
    assert may_go(request, ENDED + 2 * RETENTION, RETENTION) is False


def test_what_is_being_deleted_is_left_alone() -> None:
    """Someone else's finalizer holds it: nothing is asked twice."""
    request = make_request(status=status(Phase.FULFILLED, Reason.FULFILLED), deleted=True)
    assert may_go(request, ENDED + 2 * RETENTION, RETENTION) is False


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
                make_request(status=status(Phase.FULFILLED, Reason.COMPLETED_BY_HAND)),
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
    """News of an order that was completed by hand before it was paid keeps it for as long as Stripe can resend that."""
    assert request_.last_changed_at == ended
