"""A Session that Stripe was asked for, taken for the event that says it was completed. Pure."""

from enum import StrEnum, unique

import msgspec
from msgspec import Raw

from fulfillment_api.event_types import StripeEventType
from fulfillment_service.events.event import CheckoutEvent
from fulfillment_service.events.event_fields import (
    SessionFields,
    is_setup,
    parse_amount,
    parse_boolean,
    parse_object,
    parse_payment_status,
    parse_session,
    parse_session_id,
    parse_string,
)

_NULL = Raw(b"null")
_OPEN, _COMPLETE = "open", "complete"  # the third status is expired


@unique
class NotCompleted(StrEnum):
    """Why a Session is no order."""

    OPEN = "open"
    """The buyer may still complete it."""
    EXPIRED = "expired"
    UNREADABLE = "unreadable"
    """The answer is none that can be judged."""


class _Answer(SessionFields, frozen=True, kw_only=True):
    status: Raw = _NULL


def parse_retrieved_session(body: bytes, session_id: str, account: str | None) -> CheckoutEvent | NotCompleted:
    """Parse what Stripe answers about a Session as the event `checkout.session.completed` shows it.

    Args:
        body: the answer, as it came.
        session_id: the Session that was asked for.
        account: the connected account that was asked; None: the API key's own.
    """
    try:
        fields = parse_object(Raw(body), _Answer)
    except msgspec.DecodeError:
        return NotCompleted.UNREADABLE
    livemode, status = parse_boolean(fields.livemode), parse_string(fields.status)
    if parse_session_id(fields.id) != session_id or livemode is None:
        return NotCompleted.UNREADABLE
    if status != _COMPLETE:
        return NotCompleted.OPEN if status == _OPEN else NotCompleted.EXPIRED
    session = parse_session(fields, session_id, account, livemode=livemode)
    return CheckoutEvent(
        id=None,
        type=StripeEventType.COMPLETED,
        created_at=session.created_at,
        livemode=livemode,
        account=account,
        session=session,
        payment_status=parse_payment_status(fields),
        amount=parse_amount(fields),
        is_setup=is_setup(fields),
        is_thin=False,
    )
