"""Parses the fields of the object that an event is about, within the contract's bounds. Pure.

Whatever its API version, a field may be absent, null, of another type, or an expanded object instead of its id. What
does not fit the contract is left out, for the operator asks Stripe anyway.
"""

from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar, get_type_hints

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from fulfillment_api.bounds import MOST_METADATA
from fulfillment_api.money import display_amount
from fulfillment_api.spec import Amount, Currency, Metadata, Mode, PaymentStatus, Session, StripeId
from fulfillment_api.stripe_values import Int64, fits, unix_time

T = TypeVar("T")

_NULL = Raw(b"null")
_SETUP = "setup"  # a mode that sells nothing


class SessionFields(Struct, frozen=True, kw_only=True):
    """A Checkout Session as an event shows it, unparsed. A thin event shows its `id` alone."""

    id: Raw = _NULL
    livemode: Raw = _NULL
    mode: Raw = _NULL
    payment_status: Raw = _NULL
    created: Raw = _NULL
    amount_total: Raw = _NULL
    currency: Raw = _NULL
    payment_intent: Raw = _NULL
    subscription: Raw = _NULL
    payment_link: Raw = _NULL
    customer: Raw = _NULL
    client_reference_id: Raw = _NULL
    metadata: Raw = _NULL


class ChargeFields(Struct, frozen=True, kw_only=True):
    """A charge, its PaymentIntent, or a refund, a dispute or a fraud warning of it, as an event shows it, unparsed.

    A thin event shows its `id` alone.
    """

    id: Raw = _NULL
    livemode: Raw = _NULL
    payment_intent: Raw = _NULL
    charge: Raw = _NULL
    """The charge that it is about; a charge itself has none."""
    status: Raw = _NULL
    """Of a refund or a dispute: how it stands."""
    refunded: Raw = _NULL
    """Of a charge: whether all of it was given back."""


class _Expanded(Struct, frozen=True):
    """An expanded object, of which only the id counts."""

    id: StripeId


_SESSION = get_type_hints(Session, include_extras=True)
_BOOLEAN = Decoder(bool)
_STRING = Decoder(str)
_INTEGER: Decoder[int] = Decoder(Int64)
_ID: Decoder[str | _Expanded] = Decoder(StripeId | _Expanded)
_SESSION_ID: Decoder[str] = Decoder(_SESSION["id"])
_CLIENT_REFERENCE_ID: Decoder[str | None] = Decoder(_SESSION["client_reference_id"])
_MODE = Decoder(Mode)
_PAYMENT_STATUS = Decoder(PaymentStatus)
_METADATA = Decoder(dict[str, Raw])


def parse_object(raw: Raw, fields: type[T]) -> T:
    """Parse an object's fields; none of them is there when it is no object, as that of a ping."""
    try:
        return msgspec.json.decode(raw, type=fields)
    except msgspec.ValidationError:
        return fields()


def parse_session(fields: SessionFields, session_id: str, account: str | None, *, livemode: bool) -> Session:
    """Parse a Session, whose identity is parsed already."""
    return Session(
        id=session_id,
        account=account,
        livemode=livemode,
        mode=_within_bounds(fields.mode, _MODE),
        created_at=parse_unix_time(fields.created),
        payment_intent=parse_id(fields.payment_intent),
        subscription=parse_id(fields.subscription),
        payment_link=parse_id(fields.payment_link),
        customer=parse_id(fields.customer),
        client_reference_id=_within_bounds(fields.client_reference_id, _CLIENT_REFERENCE_ID) or None,
        metadata=_parse_metadata(fields.metadata),
    )


def is_setup(fields: SessionFields) -> bool:
    """Return whether a Session saved a payment method and sold nothing."""
    return parse_string(fields.mode) == _SETUP


def parse_payment_status(fields: SessionFields) -> PaymentStatus | None:
    """Parse a Session's payment status; None when an API version does not say."""
    return _within_bounds(fields.payment_status, _PAYMENT_STATUS)


def parse_amount(fields: SessionFields) -> Amount | None:
    """Parse what a Session costs; None when the event does not say, or not within bounds."""
    total, currency = _within_bounds(fields.amount_total, _INTEGER), parse_string(fields.currency)
    currency = currency.strip().lower() if currency else None
    if total is None or currency is None or not fits(currency, Currency):
        return None
    return Amount(total=total, currency=currency, display=display_amount(total, currency))


def parse_session_id(raw: Raw) -> str | None:
    """Parse a Session's id, cs_…."""
    return _whole(_within_bounds(raw, _SESSION_ID))


def parse_id(raw: Raw) -> str | None:
    """Parse an id, or that of an expanded object."""
    found = _within_bounds(raw, _ID)
    return _whole(found.id if isinstance(found, _Expanded) else found)


def parse_boolean(raw: Raw) -> bool | None:
    """Parse true or false."""
    return _within_bounds(raw, _BOOLEAN)


def parse_string(raw: Raw) -> str | None:
    """Parse a string, however long it is."""
    return _within_bounds(raw, _STRING)


def parse_unix_time(raw: Raw) -> datetime | None:
    """Parse a time in seconds since the epoch."""
    return unix_time(_within_bounds(raw, _INTEGER))


def parse_iso_time(raw: Raw) -> datetime | None:
    """Parse a time in ISO 8601; one without a zone is in UTC."""
    try:
        time = datetime.fromisoformat(parse_string(raw) or "")
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _parse_metadata(raw: Raw) -> dict[str, str]:
    shown = _within_bounds(raw, _METADATA) or {}
    entries = ((key, text) for key, value in shown.items() if (text := parse_string(value)) is not None)
    return dict(islice((entry for entry in entries if fits(dict([entry]), Metadata)), MOST_METADATA))


def _whole(found: str | None) -> str | None:
    """Leave out what ends with a line break, which Python's "$" lets pass, and the API server's does not."""
    return None if found is None or found.endswith("\n") else found


def _within_bounds(raw: Raw, decoder: Decoder[T]) -> T | None:
    """Decode a field; None when it does not fit."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        return None
