"""Until when a mail that the mail server does not take is tried. Pure."""

from datetime import datetime, timedelta

from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Reason, Status
from fulfillment_operator.mail.interface import TRIED_AGAIN, MailOutcome
from fulfillment_operator.policy.conditions import ConditionUpdate
from fulfillment_operator.policy.next_step import is_mail_due

_TRIED_FOR = timedelta(days=3)  # as Stripe does with an event; each try asks Stripe, too


def give_up_at(status: Status | None) -> datetime | None:
    """Tell until when the mail about a failed payment is tried that was put off.

    Args:
        status: as it stood; None: nothing was written yet.

    Returns:
        The time, in UTC; None: no such mail is due.
    """
    shown = _put_off(status)
    return shown.last_transition_time + _TRIED_FOR if shown else None  # unknown since the first try of this failure


def mail_given_up(status: Status) -> dict[ConditionType, ConditionUpdate]:
    """Say of a mail that is due that it is not tried any more; nothing where none is.

    Args:
        status: as it stood.
    """
    shown = _put_off(status)
    if shown is None:
        return {}
    return {ConditionType.CUSTOMER_NOTIFIED: (ConditionStatus.FALSE, Reason.MAIL_REJECTED, _given_up(shown.message))}


def give_up_in_time(status: Status | None, outcome: MailOutcome, now: datetime) -> MailOutcome:
    """Return what came of a mail: what was put off again and again is rejected in the end.

    Args:
        status: what was written of the order before.
        outcome: what came of this try.
        now: the time, with its zone.
    """
    until = give_up_at(status)
    if outcome.reason is not Reason.MAIL_UNAVAILABLE or until is None or now < until:
        return outcome
    return MailOutcome(Reason.MAIL_REJECTED, _given_up(outcome.message))


def _put_off(status: Status | None) -> Condition | None:
    return status.condition(ConditionType.CUSTOMER_NOTIFIED) if status is not None and is_mail_due(status) else None


def _given_up(message: str) -> str:
    return f"{message.removesuffix(TRIED_AGAIN)}; given up after {_TRIED_FOR.days} days"
