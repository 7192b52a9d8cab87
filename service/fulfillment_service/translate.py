"""Decides what an event asks for: the request that should exist, or nothing. Pure: no I/O, no clock."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Literal

from fulfillment_api.names import request_name
from fulfillment_api.spec import Payment, PaymentStatus, Sale, SaleKind, Session, Spec
from fulfillment_service.event import Event, SessionObject
from fulfillment_service.refusals import Refusal, RefusedError
from fulfillment_service.told import account_of, amount_of, happened_at, id_of, livemode_of, session_id_of, session_of

_SETUP = "setup"  # a mode that sells nothing


@unique
class EventType(StrEnum):
    """The event types that concern this product: those of the guide, and what can come after the sale."""

    COMPLETED = "checkout.session.completed"
    ASYNC_PAYMENT_SUCCEEDED = "checkout.session.async_payment_succeeded"
    ASYNC_PAYMENT_FAILED = "checkout.session.async_payment_failed"
    EXPIRED = "checkout.session.expired"
    REFUNDED = "charge.refunded"
    DISPUTED = "charge.dispute.created"

    @classmethod
    def of(cls, event: Event) -> "EventType | None":
        """Return an event's type; None for every other."""
        try:
            return cls(event.type)
        except ValueError:
            return None


@unique
class Ignored(StrEnum):
    """Why an event of Stripe's asks for nothing."""

    EVENT_TYPE = "event-type"
    """It is about something else."""
    EXPIRED = "expired"
    """The Session was never completed: nothing was bought, and no payment failed."""
    NO_ORDER = "no-order"
    """No request is of this payment: it paid for something else, or for what no request says it was paid with."""
    NO_PAYMENT_INTENT = "no-payment-intent"
    """It does not say which payment it is about, as a thin event, or one of a charge that Checkout did not make."""
    PARTIAL_REFUND = "partial-refund"
    """Only a part of the payment was given back: the order stands."""
    SETUP_MODE = "setup-mode"
    """The Session saved a payment method and sold nothing."""
    LIVEMODE = "livemode"
    """It is a test event, or a live one, where the other mode is asked for."""
    ACCOUNT = "account"
    """It comes from a connected account that is not asked for."""
    PAYMENT_LINK = "payment-link"
    """The Session did not come from a payment link that is asked for."""
    METADATA = "metadata"
    """The Session lacks metadata that is asked for."""
    OLDER_THAN_RETENTION = "older-than-retention"
    """It is so old that its order may be finished and deleted: acting on it could fulfill an order twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which events are asked for."""

    livemode: bool | None = None
    """None: both modes."""
    accounts: Collection[str] | None = None
    """The connected accounts; None: all. The platform's own events always count."""
    payment_links: Collection[str] | None = None
    """The payment links; None: all, and Sessions without one."""
    metadata: Mapping[str, str] | None = None
    """What a Session's metadata must hold, all of it; None: anything."""
    retention: timedelta | None = None
    """How long finished orders are kept; None: for ever."""

    def against_origin(self, event: Event, *, livemode: bool, account: str | None, now: datetime) -> Ignored | None:
        """Tell what speaks against an event, whatever it is about, if anything does.

        Args:
            event: the event.
            livemode: its mode.
            account: the connected account that it comes from.
            now: the time, with its zone.
        """
        if self.livemode not in (None, livemode):
            return Ignored.LIVEMODE
        if self.accounts is not None and account is not None and account not in self.accounts:
            return Ignored.ACCOUNT
        if self.retention is not None and happened_at(event, now) < now - self.retention:
            return Ignored.OLDER_THAN_RETENTION
        return None

    def against(self, event: Event, session: Session, *, now: datetime) -> Ignored | None:
        """Tell what speaks against an event about this Session, if anything does.

        Args:
            event: the event.
            session: what it says of its Session.
            now: the time, with its zone.

        Raises:
            RefusedError: the event does not show what the filters ask about. Were it ignored, an order would be lost.
        """
        if unwanted := self.against_origin(event, livemode=session.livemode, account=session.account, now=now):
            return unwanted
        if event.is_thin and (self.payment_links is not None or self.metadata is not None):
            raise RefusedError(
                Refusal.UNFILTERABLE,
                "a thin event does not show the payment link and metadata that STRIPE_PAYMENT_LINKS and "
                "STRIPE_METADATA ask for: let the event destination send snapshot events, or unset both",
            )
        if self.payment_links is not None and session.payment_link not in self.payment_links:
            return Ignored.PAYMENT_LINK
        if self.metadata is not None and not self.metadata.items() <= session.metadata.items():
            return Ignored.METADATA
        return None


@dataclass(frozen=True, slots=True)
class Desired:
    """The FulfillmentRequest that an event asks for."""

    name: str
    spec: Spec

    @property
    def names(self) -> dict[str, str]:
        """What it is about, for a log."""
        return {"session": self.spec.session.id, "request": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterSale:
    """What came after Checkout: news for the request of the Session, or of the payment, if there is one."""

    sale: Sale
    livemode: bool
    account: str | None
    session: str | None
    """The Session that it is about; None when only the payment tells."""
    payment_intent: str | None
    otherwise: Ignored
    """Why it asks for nothing when there is no such request."""

    @property
    def names(self) -> dict[str, str]:
        """What it is about, for a log."""
        if self.session is not None:
            return {"session": self.session, "request": request_name(self.session, self.account)}
        return {"payment_intent": self.payment_intent or ""}


Wanted = Desired | AfterSale


def translate(event: Event, filters: Filters, *, observed_at: datetime) -> Wanted | Ignored:
    """Decide what an event asks for.

    What does not fit the contract's bounds is left out, for the operator asks Stripe anyway; but not what tells
    which order it is.

    Args:
        event: the event, its signature verified.
        filters: which events are asked for.
        observed_at: when it was received, in UTC.

    Raises:
        RefusedError: it is about a Session, but does not say which, or not what the filters ask about.
    """
    kind = EventType.of(event)
    match kind:
        case None:
            return Ignored.EVENT_TYPE
        case EventType.EXPIRED | EventType.REFUNDED | EventType.DISPUTED:
            return _after_sale(kind, event, filters, observed_at)
    session = session_of(event)
    if unwanted := filters.against(event, session, now=observed_at):
        return unwanted
    if event.session.mode == _SETUP:
        return Ignored.SETUP_MODE
    payment = Payment(
        status=_payment_status(kind, event.session),
        event=id_of("event", event.id),
        observed_at=observed_at.replace(microsecond=0),
    )
    return Desired(
        request_name(session.id, session.account),
        Spec(session=session, payment=payment, amount=amount_of(event.session)),
    )


_AFTER_SALE = {
    EventType.EXPIRED: (SaleKind.EXPIRED, Ignored.EXPIRED),
    EventType.REFUNDED: (SaleKind.REFUNDED, Ignored.NO_ORDER),
    EventType.DISPUTED: (SaleKind.DISPUTED, Ignored.NO_ORDER),
}
"""What each event tells, and why it asks for nothing when there is no order."""


def _after_sale(kind: EventType, event: Event, filters: Filters, observed_at: datetime) -> AfterSale | Ignored:
    happened, otherwise = _AFTER_SALE[kind]
    session = session_id_of(event) if kind is EventType.EXPIRED else None
    livemode, account = livemode_of(event, session or ""), account_of(event)
    if unwanted := filters.against_origin(event, livemode=livemode, account=account, now=observed_at):
        return unwanted
    payment_intent = id_of("payment_intent", event.session.payment_intent)
    if kind is EventType.REFUNDED and event.session.refunded is False:
        return Ignored.PARTIAL_REFUND
    if session is None and payment_intent is None:
        return Ignored.NO_PAYMENT_INTENT
    return AfterSale(
        sale=Sale(kind=happened, event=id_of("event", event.id), observed_at=observed_at.replace(microsecond=0)),
        livemode=livemode,
        account=account,
        session=session,
        payment_intent=payment_intent,
        otherwise=otherwise,
    )


def _payment_status(
    kind: Literal[EventType.COMPLETED, EventType.ASYNC_PAYMENT_SUCCEEDED, EventType.ASYNC_PAYMENT_FAILED],
    session: SessionObject,
) -> PaymentStatus:
    match kind:
        case EventType.ASYNC_PAYMENT_SUCCEEDED:
            return PaymentStatus.PAID
        case EventType.ASYNC_PAYMENT_FAILED:
            return PaymentStatus.FAILED
        case EventType.COMPLETED if session.payment_status in (PaymentStatus.PAID, PaymentStatus.NO_PAYMENT_REQUIRED):
            return PaymentStatus(session.payment_status)
        case EventType.COMPLETED:  # unpaid, or an API version that does not say: a hint, and Stripe is asked
            return PaymentStatus.UNPAID
