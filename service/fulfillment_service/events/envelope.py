"""Decodes what every event shows, whatever it is about: a snapshot of any API version, or a thin event. Pure."""

from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from fulfillment_runtime.json_text import without_lone_surrogates
from fulfillment_service.events.event_fields import (
    parse_boolean,
    parse_id,
    parse_iso_time,
    parse_object,
    parse_string,
    parse_unix_time,
)
from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason

_THIN = "v2.core.event"
_THIN_PREFIX = "v1."
_NULL = Raw(b"null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An event whose type is known, and not yet what it is about."""

    id: str | None
    """The event's id, evt_…; None when it is odd: no decision hangs on it."""
    type: str | None
    """The event type as snapshots have it: a thin event's without its leading `v1.`."""
    is_thin: bool
    """Whether it shows nothing of its object but the id."""
    created_at: datetime | None
    """When it happened; None when it does not say."""
    livemode: bool | None
    """None when it does not say."""
    account: str | None
    """The connected account that it comes from, acct_…; None: the platform's own; empty: what it shows is no id."""
    object: Raw
    """What it is about, unparsed."""


class _Fields(Struct):
    """Stripe, "The Event object"; for thin events "Event destinations"."""

    object: Raw = _NULL
    id: Raw = _NULL
    type: Raw = _NULL
    created: Raw = _NULL
    livemode: Raw = _NULL
    account: Raw = _NULL
    data: Raw = _NULL
    context: Raw = _NULL
    """Of a thin event: the account, behind the organization's if there is one (`org_…/acct_…`)."""
    related_object: Raw = _NULL


class _Data(Struct):
    object: Raw = _NULL


def decode_envelope(text: str) -> Envelope:
    """Decode the envelope of an event: the body of a webhook request, or a part of Stripe's list.

    Raises:
        EventRejectedError: it is not JSON, or not an object.
    """
    try:
        fields = msgspec.json.decode(without_lone_surrogates(text.encode()), type=_Fields)
    except msgspec.ValidationError:
        raise EventRejectedError(EventRejectReason.NOT_AN_OBJECT, "the body is not a JSON object") from None
    except (msgspec.DecodeError, RecursionError):
        raise EventRejectedError(EventRejectReason.NOT_JSON, "the body is not JSON") from None
    is_thin = parse_string(fields.object) == _THIN
    event_type = parse_string(fields.type)
    return Envelope(
        id=parse_id(fields.id),
        type=event_type.removeprefix(_THIN_PREFIX) if event_type and is_thin else event_type,
        is_thin=is_thin,
        created_at=parse_unix_time(fields.created) or parse_iso_time(fields.created),
        livemode=parse_boolean(fields.livemode),
        account=_account(_last_part(fields.context) if is_thin else fields.account),
        object=fields.related_object if is_thin else parse_object(fields.data, _Data).object,
    )


def _account(raw: Raw) -> str | None:
    return None if bytes(raw) in {b"null", b'""'} else parse_id(raw) or ""


def _last_part(context: Raw) -> Raw:
    path = parse_string(context) or ""
    return Raw(msgspec.json.encode(path.rpartition("/")[2]))
