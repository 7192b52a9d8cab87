"""Decides what an event changes: the request that should exist, a hint for one that does, or nothing. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from fulfillment_api.event_types import PaymentType, StripeEventType
from fulfillment_api.names import request_name
from fulfillment_api.spec import Expiry, Payment, PaymentStatus, Reversal, Spec
from fulfillment_service.events.event import (
    CheckoutEvent,
    Event,
    ExpiryEvent,
    OtherEvent,
    PaymentEvent,
    ReversalEvent,
)
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rules import EventRules


@dataclass(frozen=True, slots=True)
class DesiredRequest:
    """The FulfillmentRequest that should exist."""

    name: str
    spec: Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryHint:
    """That a Session expired: a hint for the request of the Session, if there is one."""

    name: str
    """The request's."""
    session_id: str
    account: str | None
    livemode: bool
    expiry: Expiry


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentHint:
    """That a payment was captured or canceled: a hint for the request that waits for it, if there is one."""

    payment_intent: str
    account: str | None
    livemode: bool
    payment: Payment


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalHint:
    """That a payment was taken back: a hint for the request that was paid with it, if there is one."""

    payment_intent: str
    account: str | None
    livemode: bool
    reversal: Reversal


SpecChange = DesiredRequest | ExpiryHint | PaymentHint | ReversalHint


def translate(event: Event, rules: EventRules, *, observed_at: datetime) -> SpecChange | Ignored:
    """Decide what an event changes.

    Args:
        event: the event, its signature verified.
        rules: which events count, and what is stored of them.
        observed_at: when it was received, in UTC.

    Raises:
        EventRejectedError: it does not show what the filters ask about.
    """
    if isinstance(event, OtherEvent):
        return Ignored.EVENT_TYPE
    if reason := rules.filters.reason_to_ignore(event, now=observed_at):
        return reason
    second = observed_at.replace(microsecond=0)
    match event:
        case CheckoutEvent(is_setup=True):
            return Ignored.SETUP_MODE
        case CheckoutEvent(session=session):
            payment = Payment(status=_payment_status(event), event=event.id, observed_at=second)
            spec = Spec(session=rules.stored.of(session), payment=payment, amount=event.amount)
            return DesiredRequest(request_name(session.id, session.account), spec)
        case ExpiryEvent():
            return ExpiryHint(
                name=request_name(event.session_id, event.account),
                session_id=event.session_id,
                account=event.account,
                livemode=event.livemode,
                expiry=Expiry(event=event.id, observed_at=second),
            )
        case PaymentEvent():
            return _payment(event, second)
        case ReversalEvent():
            return _reversal(event, second)
    assert_never(event)


def _payment(event: PaymentEvent, observed_at: datetime) -> PaymentHint | Ignored:
    if event.payment_intent is None:
        return Ignored.NO_PAYMENT_INTENT
    return PaymentHint(
        payment_intent=event.payment_intent,
        account=event.account,
        livemode=event.livemode,
        payment=Payment(status=_status_after(event.type), event=event.id, observed_at=observed_at),
    )


def _reversal(event: ReversalEvent, observed_at: datetime) -> ReversalHint | Ignored:
    if event.kind is None:
        return Ignored.REFUND_UPDATED
    if event.payment_intent is None:
        return Ignored.NO_PAYMENT_INTENT
    return ReversalHint(
        payment_intent=event.payment_intent,
        account=event.account,
        livemode=event.livemode,
        reversal=Reversal(kind=event.kind, event=event.id, observed_at=observed_at),
    )


def _payment_status(event: CheckoutEvent) -> PaymentStatus:
    """Return the payment's status: a completed Session shows it, a later event has a type for it."""
    match event.type:
        case StripeEventType.ASYNC_PAYMENT_SUCCEEDED:
            return PaymentStatus.PAID
        case StripeEventType.ASYNC_PAYMENT_FAILED:
            return PaymentStatus.FAILED
        case StripeEventType.COMPLETED:
            if event.payment_status is not None and event.payment_status.is_settled:
                return event.payment_status
            return PaymentStatus.UNPAID  # or an API version that does not say: a hint, and Stripe is asked


def _status_after(event_type: PaymentType) -> PaymentStatus:
    match event_type:
        case StripeEventType.CAPTURED | StripeEventType.PAYMENT_SUCCEEDED:
            return PaymentStatus.PAID
        case StripeEventType.AUTHORIZATION_EXPIRED | StripeEventType.PAYMENT_CANCELED:
            return PaymentStatus.CANCELED
        case StripeEventType.PARTIALLY_FUNDED:
            return PaymentStatus.UNPAID  # as before; what has come, Stripe is asked
