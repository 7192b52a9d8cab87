"""Reads what an event tells, within the contract's bounds: what does not fit is left out. Pure."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any, get_type_hints

import msgspec

from fulfillment_api.money import display_amount
from fulfillment_api.spec import Amount, Currency, Metadata, Payment, Session
from fulfillment_service.event import Event, SessionObject
from fulfillment_service.refusals import Refusal, RefusedError

_BOUNDS = get_type_hints(Session, include_extras=True) | get_type_hints(Payment, include_extras=True)
_MOST_METADATA = 50  # Stripe's bound, and the contract's
_INTEGER_BITS = 63  # beside the sign: the contract's integers are int64


def session_of(event: Event) -> Session:
    """Read the Session that an event is about. Raises what `session_id_of` and `account_of` do."""
    told = event.session
    session_id = session_id_of(event)
    return Session(
        id=session_id,
        account=account_of(event),
        livemode=livemode_of(event, session_id),
        mode=_fitting(told.mode, _BOUNDS["mode"]),
        created_at=_time(told.created),
        payment_intent=id_of("payment_intent", told.payment_intent),
        subscription=id_of("subscription", told.subscription),
        payment_link=id_of("payment_link", told.payment_link),
        customer=id_of("customer", told.customer),
        client_reference_id=_fitting(told.client_reference_id or None, _BOUNDS["client_reference_id"]),
        metadata=_metadata(told.metadata),
    )


def session_id_of(event: Event) -> str:
    """Read which Session an event is about.

    Raises:
        RefusedError: it does not say.
    """
    session_id = id_of("id", event.session.id)
    if session_id is None:
        raise RefusedError(Refusal.NO_SESSION_ID, "the event does not say which Checkout Session it is about: cs_…")
    return str(session_id)


def account_of(event: Event) -> str | None:
    """Read which connected account an event comes from; None: the platform's own.

    Raises:
        RefusedError: what it says is no account.
    """
    account: str | None = id_of("account", event.account or None)
    if event.account and account is None:
        raise RefusedError(Refusal.ODD_ACCOUNT, "the event comes from an account whose id is none: acct_…")
    return account


def happened_at(event: Event, now: datetime) -> datetime:
    """Read when an event happened; one that does not say so is news."""
    if not isinstance(event.created, str):
        return _time(event.created) or now
    try:
        told = datetime.fromisoformat(event.created)
    except ValueError:
        return now
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def livemode_of(event: Event, session_id: str) -> bool:
    """Read an event's mode; an old event may tell it by the Session's id alone."""
    for told in (event.livemode, event.session.livemode):
        if isinstance(told, bool):
            return told
    return session_id.startswith("cs_live_")


def amount_of(session: SessionObject) -> Amount | None:
    """Read what a Session costs; None when the event does not say, or not within bounds."""
    total = session.amount_total
    currency = _fitting(session.currency.strip().lower(), Currency) if isinstance(session.currency, str) else None
    if currency is None or type(total) is not int or total.bit_length() > _INTEGER_BITS:
        return None
    return Amount(total=total, currency=currency, display=display_amount(total, currency))


def _metadata(told: object) -> dict[str, str]:
    if not isinstance(told, dict):
        return {}
    entries = ((key, value) for key, value in told.items() if _fitting({key: value}, Metadata))
    return dict(islice(entries, _MOST_METADATA))


def _time(told: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(told, UTC) if type(told) is int else None
    except (OverflowError, ValueError, OSError):  # beyond what a date can be
        return None


def id_of(field: str, told: object) -> Any:  # noqa: ANN401 - as the contract types the field
    """Read an id, or that of an expanded object, within the contract's bounds of a field."""
    value = told.get("id") if isinstance(told, dict) else told
    if isinstance(value, str) and value.endswith("\n"):  # which Python's "$" lets pass, and the API server's does not
        return None
    return _fitting(value, _BOUNDS[field])


def _fitting(value: object, bounds: Any) -> Any:  # noqa: ANN401 - as the contract types it
    try:
        return msgspec.convert(value, bounds)
    except msgspec.ValidationError:
        return None
