"""What is told of a status that was written: Events, which are log lines too, and what is counted. Pure.

The one place that says so, for the reconciler and the sweep over reversals alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import INPUT_CONDITIONS, Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.policy.reversals import CONDITIONS, NOTABLE, REASONS, new_reversals

_WARNINGS = {
    Reason.BACKEND_UNAVAILABLE,
    Reason.PAYMENT_OVERDUE,
    Reason.RESTORED,
    Reason.STRIPE_MISCONFIGURED,
    Reason.STRIPE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One Event about a request, as `kubectl describe` shows it, and the line of the log that says the same."""

    reason: str
    message: str
    warning: bool = False
    """Whether something is not as it should be."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """What one status tells that the one before it did not."""

    events: tuple[StatusEvent, ...]
    has_transitioned: bool
    """Whether the order is in another phase, or in it for another reason."""
    is_fulfilled: bool
    """Whether it was fulfilled just now, and there was something to fulfill."""
    reversals: tuple[ReversalKind, ...]
    """What is new of refunds and disputes, beside what ended the order."""
    has_invalid_annotation: bool
    """Whether an annotation is invalid that was not, or for another reason."""


def status_change(before: Status | None, after: Status) -> StatusChange:
    """Tell what is new.

    Args:
        before: the status that stood in the cluster; None at first.
        after: the status that was written.
    """
    has_transitioned = before is None or (before.phase, before.reason) != (after.phase, after.reason)
    events = tuple(_events(before, after, has_transitioned=has_transitioned))
    return StatusChange(
        events=events,
        has_transitioned=has_transitioned,
        is_fulfilled=has_transitioned and after.phase is Phase.FULFILLED and after.reason != Reason.NOTHING_TO_FULFILL,
        reversals=_told_reversals(before, after),
        has_invalid_annotation=any(each.reason == Reason.INVALID_ANNOTATION for each in events),
    )


def _events(before: Status | None, after: Status, *, has_transitioned: bool) -> Iterator[StatusEvent]:
    if has_transitioned:
        yield StatusEvent(after.reason, after.message, after.phase is Phase.FAILED or after.reason in _WARNINGS)
    for kind in _told_reversals(before, after):
        if condition := after.condition(CONDITIONS[kind]):
            yield StatusEvent(condition.reason, condition.message, warning=kind in NOTABLE)
    for each in INPUT_CONDITIONS:
        condition, shown = after.condition(each), before and before.condition(each)
        is_false = condition is not None and condition.status is ConditionStatus.FALSE
        if condition and is_false and not (shown and shown.message == condition.message):
            yield StatusEvent(condition.reason, condition.message, warning=True)
    mail = after.condition(ConditionType.CUSTOMER_NOTIFIED)
    shown = before and before.condition(ConditionType.CUSTOMER_NOTIFIED)
    if mail and not (shown and shown.reason == mail.reason) and not (has_transitioned and _is_implied(mail, after)):
        yield StatusEvent(mail.reason, mail.message, warning=mail.reason != Reason.MAIL_SENT)


def _told_reversals(before: Status | None, after: Status) -> tuple[ReversalKind, ...]:
    """Return what is new of refunds and disputes; the one that ended the order is told, and counted, as its reason."""
    reason = after.reason if after.phase is Phase.FAILED else None
    return tuple(kind for kind in new_reversals(before, after) if REASONS[kind] != reason)


def _is_implied(mail: Condition, after: Status) -> bool:
    """Tell whether what came of a mail is in the transition's own message, or as everyone expects."""
    return after.phase is Phase.FAILED or mail.reason == Reason.MAIL_SENT
