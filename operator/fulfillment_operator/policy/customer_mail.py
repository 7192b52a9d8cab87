"""Until when a mail that the mail server does not take is tried. Pure."""

from datetime import datetime, timedelta

from fulfillment_api.status import ConditionType, Reason, Status
from fulfillment_operator.mail.interface import TRIED_AGAIN, MailOutcome
from fulfillment_operator.policy.next_step import is_mail_due

_TRIED_FOR = timedelta(days=3)  # as Stripe does with an event; each try asks Stripe, too


def give_up_in_time(status: Status | None, outcome: MailOutcome, now: datetime) -> MailOutcome:
    """Return what came of a mail: what was put off again and again is rejected in the end.

    Args:
        status: what was written of the order before.
        outcome: what came of this try.
        now: the time, with its zone.
    """
    shown = status.condition(ConditionType.CUSTOMER_NOTIFIED) if status and is_mail_due(status) else None
    if outcome.reason is not Reason.MAIL_UNAVAILABLE or shown is None:
        return outcome
    if now < shown.last_transition_time + _TRIED_FOR:  # unknown since the first try of this failure
        return outcome
    message = f"{outcome.message.removesuffix(TRIED_AGAIN)}; given up after {_TRIED_FOR.days} days"
    return MailOutcome(Reason.MAIL_REJECTED, message)
