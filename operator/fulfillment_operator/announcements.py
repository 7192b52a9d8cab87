"""What people are told of a new status, beside the status itself. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.remarks import REMARKS

_TROUBLES = {
    Reason.BACKEND_UNAVAILABLE,
    Reason.PAYMENT_OVERDUE,
    Reason.STRIPE_MISCONFIGURED,
    Reason.STRIPE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Announcement:
    """One sentence for people: an Event, and a line of the log."""

    reason: str
    """In one word."""
    message: str
    warning: bool = False
    """Whether something is not as it should be."""


def has_moved(before: Status | None, after: Status) -> bool:
    """Tell whether the order is in another phase now, or in it for another reason."""
    return before is None or (before.phase, before.reason) != (after.phase, after.reason)


def announcements(before: Status | None, after: Status) -> Iterator[Announcement]:
    """Yield what a new status has to tell.

    Args:
        before: what stood in the cluster; None at first.
        after: what stands there now.
    """
    moved = has_moved(before, after)
    if moved:
        warning = after.phase is Phase.FAILED or after.reason in _TROUBLES
        yield Announcement(after.reason, after.message, warning)
    for kind in REMARKS:
        remark, shown = after.condition(kind), before and before.condition(kind)
        if remark and remark.status is ConditionStatus.FALSE and not (shown and shown.message == remark.message):
            yield Announcement(remark.reason, remark.message, warning=True)
    mail = after.condition(ConditionType.CUSTOMER_NOTIFIED)
    shown = before and before.condition(ConditionType.CUSTOMER_NOTIFIED)
    if mail and not (shown and shown.reason == mail.reason) and not _is_told(mail, after, moved):
        yield Announcement(mail.reason, mail.message, warning=mail.reason != Reason.MAIL_SENT)


def _is_told(mail: Condition, after: Status, moved: bool) -> bool:  # noqa: FBT001 - the fact itself
    """Tell whether what came of a mail is in the transition's own words, or as everyone expects."""
    return moved and (after.phase is Phase.FAILED or mail.reason == Reason.MAIL_SENT)
