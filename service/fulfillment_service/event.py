"""Decodes an event into the little that this service reads of it, whatever its API version made of the rest.

Anything but the envelope may be absent, null, of another type, or an expanded object instead of its id.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from fulfillment_service.refusals import Refusal, RefusedError

_THIN = "v2.core.event"
_THIN_PREFIX = "v1."

T = TypeVar("T")


class SessionObject(Struct, frozen=True, kw_only=True):
    """A Checkout Session as an event shows it, unchecked. A thin event shows its `id` alone."""

    id: Any = None
    livemode: Any = None
    mode: Any = None
    payment_status: Any = None
    created: Any = None
    amount_total: Any = None
    currency: Any = None
    payment_intent: Any = None
    subscription: Any = None
    payment_link: Any = None
    customer: Any = None
    client_reference_id: Any = None
    metadata: Any = None
    refunded: Any = None
    """Of a charge: whether all of it was given back."""


class Event(Struct, frozen=True, kw_only=True):
    """An event, unchecked but for its being one: a snapshot of any API version, or a thin one."""

    id: Any
    type: Any
    """The event type in a snapshot's words: a thin event's without its leading `v1.`."""
    livemode: Any
    account: Any
    """The connected account that it comes from; None or empty when it is the platform's own."""
    created: Any
    """When it happened: in seconds since the epoch, or, in a thin event, in ISO 8601."""
    is_thin: bool
    """Whether it shows nothing of its Session but the id."""
    session: SessionObject
    """The object that the event is about. It is a Session only if `type` says so."""


class _Envelope(Struct):
    """Stripe, "The Event object"; for thin events "Event destinations"."""

    object: Any = None
    id: Any = None
    type: Any = None
    livemode: Any = None
    account: Any = None
    created: Any = None
    context: Any = None
    data: Raw = Raw(b"null")
    related_object: Raw = Raw(b"null")


class _Data(Struct):
    about: Raw = field(name="object", default=Raw(b"null"))


def decode_event(text: str) -> Event:
    """Decode the body of a webhook request.

    Raises:
        RefusedError: it is not JSON, or not an object.
    """
    try:
        envelope = msgspec.json.decode(text, type=_Envelope)
    except msgspec.ValidationError:
        raise RefusedError(Refusal.NOT_AN_OBJECT, "the body is not a JSON object") from None
    except (msgspec.DecodeError, RecursionError):
        raise RefusedError(Refusal.NOT_JSON, "the body is not JSON") from None
    if envelope.object == _THIN:
        return Event(
            id=envelope.id,
            type=envelope.type.removeprefix(_THIN_PREFIX) if isinstance(envelope.type, str) else None,
            livemode=envelope.livemode,
            account=_account_in(envelope.context),
            created=envelope.created,
            is_thin=True,
            session=_part(envelope.related_object, SessionObject) or SessionObject(),
        )
    data = _part(envelope.data, _Data) or _Data()
    return Event(
        id=envelope.id,
        type=envelope.type,
        livemode=envelope.livemode,
        account=envelope.account,
        created=envelope.created,
        is_thin=False,
        session=_part(data.about, SessionObject) or SessionObject(),
    )


def _part(raw: Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:  # null, or something else that is no object
        return None


def _account_in(context: object) -> object:
    """Read a thin event's account: `acct_…`, behind the organization's if there is one (`org_…/acct_…`)."""
    return context.rpartition("/")[2] if isinstance(context, str) else None
