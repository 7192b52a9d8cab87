"""Parses an event into the little that this service reads of it, as soon as its type says that it concerns an order.

Pure.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fulfillment_api.disputes import dispute_kind
from fulfillment_api.event_types import CheckoutType, PaymentType, ReversalType, StripeEventType
from fulfillment_api.spec import Amount, PaymentStatus, ReversalKind, Session
from fulfillment_service.events.envelope import Envelope
from fulfillment_service.events.event_fields import (
    ChargeFields,
    SessionFields,
    is_setup,
    parse_amount,
    parse_boolean,
    parse_id,
    parse_object,
    parse_payment_status,
    parse_session,
    parse_session_id,
    parse_string,
)
from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason

_REFUND_IS_UNDONE = {"failed", "canceled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """What every event shows that concerns an order."""

    id: str | None
    """The event's id, evt_…; None when it is odd."""
    created_at: datetime | None
    """When it happened; None when it does not say."""
    livemode: bool
    account: str | None
    """The connected account that it comes from, acct_…; None: the platform's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutEvent(OrderEvent):
    """A Checkout Session was completed, or its delayed payment came to its end."""

    type: CheckoutType
    session: Session
    payment_status: PaymentStatus | None
    """As the Session shows it; None when the event does not say, as a thin one."""
    amount: Amount | None
    """What the Session costs; None when the event does not say, or not within bounds."""
    is_setup: bool
    """Whether the Session saved a payment method and sold nothing."""
    is_thin: bool
    """Whether it shows nothing of the Session but its id."""

    @property
    def subject(self) -> dict[str, str]:
        """What it is about, for a log."""
        return {"session": self.session.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryEvent(OrderEvent):
    """A Checkout Session expired."""

    type: Literal[StripeEventType.EXPIRED]
    session_id: str

    @property
    def subject(self) -> dict[str, str]:
        """What it is about, for a log."""
        return {"session": self.session_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent(OrderEvent):
    """A payment was captured, released, funded in part, or has lapsed: Checkout sends no event for it."""

    type: PaymentType
    charge: str | None
    """The charge, ch_…; None when the event is not about one."""
    payment_intent: str | None
    """The PaymentIntent, pi_…; None when the event does not say, as a thin one about a charge."""

    @property
    def subject(self) -> dict[str, str]:
        """What it is about, for a log."""
        return _subject(self.charge, self.payment_intent)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalEvent(OrderEvent):
    """A payment was refunded or disputed, or that went on."""

    type: ReversalType
    kind: ReversalKind | None
    """What it says; None: that a refund was updated in a way that changes nothing of the order."""
    charge: str | None
    """The charge, ch_…; None when the event does not say, as a thin one about a dispute."""
    payment_intent: str | None
    """The PaymentIntent, pi_…; None when the event does not say, as a thin one."""

    @property
    def subject(self) -> dict[str, str]:
        """What it is about, for a log."""
        return _subject(self.charge, self.payment_intent)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent:
    """An event that concerns no order."""

    id: str | None
    """The event's id, evt_…; None when it is odd."""
    type: str | None

    @property
    def subject(self) -> dict[str, str]:
        """Nothing: what it is about is not parsed."""
        return {}


Event = CheckoutEvent | ExpiryEvent | PaymentEvent | ReversalEvent | OtherEvent


def parse_event(envelope: Envelope) -> Event:
    """Parse what an event shows of an order.

    What does not fit the contract's bounds is left out, but not what identifies the order.

    Raises:
        EventRejectedError: it is about a Session and does not name it, or names an account by what is no id.
    """
    try:
        event_type = StripeEventType(envelope.type or "")
    except ValueError:
        return OtherEvent(id=envelope.id, type=envelope.type)
    match event_type:
        case StripeEventType.EXPIRED:
            return _parse_expiry(envelope, event_type)
        case StripeEventType.CAPTURED | StripeEventType.AUTHORIZATION_EXPIRED:
            return _parse_payment(envelope, event_type, is_of_charge=True)
        case StripeEventType.PAYMENT_SUCCEEDED | StripeEventType.PAYMENT_CANCELED | StripeEventType.PARTIALLY_FUNDED:
            return _parse_payment(envelope, event_type, is_of_charge=False)
        case StripeEventType.COMPLETED | StripeEventType.ASYNC_PAYMENT_SUCCEEDED | StripeEventType.ASYNC_PAYMENT_FAILED:
            return _parse_checkout(envelope, event_type)
        case _:
            return _parse_reversal(envelope, event_type)


def _parse_checkout(envelope: Envelope, event_type: CheckoutType) -> CheckoutEvent:
    fields = parse_object(envelope.object, SessionFields)
    session_id = _session_id(fields)
    account, livemode = _account(envelope), _livemode(envelope, fields, session_id)
    return CheckoutEvent(
        id=envelope.id,
        type=event_type,
        created_at=envelope.created_at,
        livemode=livemode,
        account=account,
        session=parse_session(fields, session_id, account, livemode=livemode),
        payment_status=parse_payment_status(fields),
        amount=parse_amount(fields),
        is_setup=is_setup(fields),
        is_thin=envelope.is_thin,
    )


def _parse_expiry(envelope: Envelope, event_type: Literal[StripeEventType.EXPIRED]) -> ExpiryEvent:
    fields = parse_object(envelope.object, SessionFields)
    session_id = _session_id(fields)
    return ExpiryEvent(
        id=envelope.id,
        type=event_type,
        created_at=envelope.created_at,
        livemode=_livemode(envelope, fields, session_id),
        account=_account(envelope),
        session_id=session_id,
    )


def _parse_payment(envelope: Envelope, event_type: PaymentType, *, is_of_charge: bool) -> PaymentEvent:
    fields = parse_object(envelope.object, ChargeFields)
    return PaymentEvent(
        id=envelope.id,
        type=event_type,
        created_at=envelope.created_at,
        livemode=_livemode(envelope, fields),
        account=_account(envelope),
        charge=parse_id(fields.id) if is_of_charge else None,
        payment_intent=parse_id(fields.payment_intent if is_of_charge else fields.id),
    )


def _parse_reversal(envelope: Envelope, event_type: ReversalType) -> ReversalEvent:
    fields = parse_object(envelope.object, ChargeFields)
    is_charge = event_type is StripeEventType.REFUNDED
    return ReversalEvent(
        id=envelope.id,
        type=event_type,
        created_at=envelope.created_at,
        livemode=_livemode(envelope, fields),
        account=_account(envelope),
        kind=_reversal_kind(fields, event_type),
        charge=parse_id(fields.id if is_charge else fields.charge),
        payment_intent=parse_id(fields.payment_intent),
    )


def _reversal_kind(fields: ChargeFields, event_type: ReversalType) -> ReversalKind | None:
    match event_type:
        case StripeEventType.REFUNDED:
            is_partial = parse_boolean(fields.refunded) is False
            return ReversalKind.PARTIALLY_REFUNDED if is_partial else ReversalKind.REFUNDED
        case StripeEventType.REFUND_FAILED:
            return ReversalKind.REFUND_FAILED
        case StripeEventType.REFUND_UPDATED:
            return ReversalKind.REFUND_FAILED if parse_string(fields.status) in _REFUND_IS_UNDONE else None
        case StripeEventType.FRAUD_WARNING:
            return ReversalKind.FRAUD_WARNING
        case _:  # a dispute: how it stands says more than which of its events came
            return dispute_kind(parse_string(fields.status))


def _subject(charge: str | None, payment_intent: str | None) -> dict[str, str]:
    names = {"charge": charge, "payment_intent": payment_intent}
    return {key: value for key, value in names.items() if value is not None}


def _session_id(fields: SessionFields) -> str:
    session_id = parse_session_id(fields.id)
    if session_id is None:
        raise EventRejectedError(
            EventRejectReason.NO_SESSION_ID, "the event does not say which Checkout Session it is about: cs_…"
        )
    return session_id


def _account(envelope: Envelope) -> str | None:
    if envelope.account == "":
        raise EventRejectedError(
            EventRejectReason.INVALID_ACCOUNT, "the event comes from an account whose id is none: acct_…"
        )
    return envelope.account


def _livemode(envelope: Envelope, fields: SessionFields | ChargeFields, session_id: str = "") -> bool:
    """Return an event's mode, which an old event may show by the Session's id alone."""
    for livemode in (envelope.livemode, parse_boolean(fields.livemode)):
        if livemode is not None:
            return livemode
    return session_id.startswith("cs_live_")
