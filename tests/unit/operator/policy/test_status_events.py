"""What a status tells that the one before it did not: tables."""

import pytest

from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Reversals, Status
from fulfillment_operator.policy.reversals import REASONS
from fulfillment_operator.policy.status_events import StatusEvent, status_change
from support.builders import CREATED


def condition(kind: ConditionType, status: ConditionStatus, reason: str, message: str) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=CREATED)


def status(*conditions: Condition, phase: Phase = Phase.FULFILLING, reason: str = "Dispatched") -> Status:
    """Return a status that shows these for the first time, or as they were."""
    kinds = {reason: kind for kind, reason in REASONS.items()}
    news = {str(kinds[Reason(each.reason)]): 1 for each in conditions if each.reason in set(kinds)}
    return Status(
        phase=phase,
        reason=reason,
        message="…",
        observed_generation=1,
        conditions=list(conditions),
        reversals=Reversals(news=news) if news else None,
    )


ANNOTATIONS_VALID, ACCEPTED = ConditionType.ANNOTATIONS_VALID, ConditionType.CALLBACK_ACCEPTED
NO, YES = ConditionStatus.FALSE, ConditionStatus.TRUE
SHOWN = "a callback was rejected: the signature is not ours"
IS_ODD = condition(ANNOTATIONS_VALID, NO, "InvalidAnnotation", "other words")
IS_REFUSED = condition(ACCEPTED, NO, "CallbackRejected", SHOWN)
SENT = condition(ConditionType.CUSTOMER_NOTIFIED, YES, "MailSent", "sent")
LATE = condition(ConditionType.CUSTOMER_NOTIFIED, NO, "MailUnavailable", "away")
REFUSED = condition(ConditionType.CUSTOMER_NOTIFIED, NO, "MailRejected", "refused with 550")
FAILED = (Phase.FAILED, Reason.PAYMENT_FAILED)
DONE = (Phase.FULFILLED, Reason.FULFILLED)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, status(), [StatusEvent("Dispatched", "…")]),
        (status(), status(), []),
        (status(), status(reason="BackendUnavailable"), [StatusEvent("BackendUnavailable", "…", warning=True)]),
        (status(), status(phase=Phase.FAILED), [StatusEvent("Dispatched", "…", warning=True)]),
        (status(), status(IS_ODD), [StatusEvent("InvalidAnnotation", "other words", warning=True)]),
        (status(IS_ODD), status(IS_ODD), []),
        (status(IS_ODD), status(condition(ANNOTATIONS_VALID, YES, "AnnotationsValid", "fine")), []),
        (status(), status(IS_REFUSED), [StatusEvent("CallbackRejected", SHOWN, warning=True)]),
        (
            status(),
            status(REFUSED, phase=FAILED[0], reason=FAILED[1]),
            [StatusEvent("PaymentFailed", "…", warning=True)],
        ),
        (
            status(LATE, phase=FAILED[0], reason=FAILED[1]),
            status(SENT, phase=FAILED[0], reason=FAILED[1]),
            [StatusEvent("MailSent", "sent")],
        ),
        (
            status(LATE, phase=FAILED[0], reason=FAILED[1]),
            status(REFUSED, phase=FAILED[0], reason=FAILED[1]),
            [StatusEvent("MailRejected", "refused with 550", warning=True)],
        ),
        (status(), status(SENT, phase=DONE[0], reason=DONE[1]), [StatusEvent("Fulfilled", "…")]),
        (
            status(),
            status(REFUSED, phase=DONE[0], reason=DONE[1]),
            [StatusEvent("Fulfilled", "…"), StatusEvent("MailRejected", "refused with 550", warning=True)],
        ),
    ],
)
def test_what_is_told(before: Status | None, after: Status, expected: list[StatusEvent]) -> None:
    """Each thing once, and what stands in the transition's own words not again."""
    assert expected == list(status_change(before, after).events)


REFUNDED = condition(ConditionType.REFUNDED, YES, "Refunded", "all of the payment was given back")
DISPUTED = condition(ConditionType.DISPUTED, YES, "Disputed", "the buyer disputes the payment")
FAILED_REFUND = condition(ConditionType.REFUNDED, NO, "RefundFailed", "nothing is given back")
PART = condition(ConditionType.REFUNDED, NO, "PartiallyRefunded", "5.00 USD was given back")
WARNED = condition(ConditionType.FRAUD_WARNING, YES, "EarlyFraudWarning", "the issuer suspects fraud")
FULFILLED = status(phase=DONE[0], reason=DONE[1])
GIVEN_BACK = StatusEvent("Refunded", "all of the payment was given back")


@pytest.mark.parametrize(
    ("before", "after", "events", "reversals"),
    [
        (FULFILLED, status(REFUNDED, phase=DONE[0], reason=DONE[1]), [GIVEN_BACK], [ReversalKind.REFUNDED]),
        (
            status(),
            status(REFUNDED, phase=DONE[0], reason=DONE[1]),
            [StatusEvent("Fulfilled", "…"), GIVEN_BACK],
            [ReversalKind.REFUNDED],
        ),
        (
            status(REFUNDED, phase=DONE[0], reason=DONE[1]),
            status(REFUNDED, DISPUTED, phase=DONE[0], reason=DONE[1]),
            [StatusEvent("Disputed", "the buyer disputes the payment", warning=True)],
            [ReversalKind.DISPUTED],
        ),
        (
            FULFILLED,
            status(FAILED_REFUND, phase=DONE[0], reason=DONE[1]),
            [StatusEvent("RefundFailed", "nothing is given back", warning=True)],
            [ReversalKind.REFUND_FAILED],
        ),
        (
            status(),
            status(PART),
            [StatusEvent("PartiallyRefunded", "5.00 USD was given back")],
            [ReversalKind.PARTIALLY_REFUNDED],
        ),
        (
            status(),
            status(WARNED),
            [StatusEvent("EarlyFraudWarning", "the issuer suspects fraud", warning=True)],
            [ReversalKind.FRAUD_WARNING],
        ),
        (
            status(),
            status(REFUNDED, phase=Phase.FAILED, reason=Reason.REFUNDED),
            [StatusEvent("Refunded", "…", warning=True)],
            [],
        ),
        (
            status(REFUNDED, phase=Phase.FAILED, reason=Reason.REFUNDED),
            status(REFUNDED, phase=DONE[0], reason=Reason.MANUALLY_COMPLETED),
            [StatusEvent("ManuallyCompleted", "…")],
            [],
        ),
    ],
    ids=[
        "after it",
        "its backend was done before it was seen",
        "one after the other",
        "that failed",
        "in part, while the backend has it",
        "a warning, likewise",
        "before it",
        "completed after it",
    ],
)
def test_a_reversal_is_told_and_counted_once(
    before: Status, after: Status, events: list[StatusEvent], reversals: list[ReversalKind]
) -> None:
    """Whoever wrote it; of an order that failed for it, it is the reason, and told as that."""
    change = status_change(before, after)
    assert list(change.events) == events
    assert list(change.reversals) == reversals


def test_what_is_counted_of_a_transition() -> None:
    """A phase or a reason that is new counts; a message alone does not."""
    moved, same = status_change(None, FULFILLED), status_change(FULFILLED, FULFILLED)
    assert (moved.has_transitioned, moved.is_fulfilled) == (True, True)
    assert (same.has_transitioned, same.is_fulfilled, same.events) == (False, False, ())
    assert status_change(status(), status(IS_ODD)).has_invalid_annotation
    assert not status_change(status(IS_ODD), status(IS_ODD)).has_invalid_annotation
