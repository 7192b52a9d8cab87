"""The stand-in's state and its rules: what can happen to a Session, and which event tells of it.

Source: https://docs.stripe.com/payments/checkout/fulfill-orders, and the Session's and PaymentIntent's life
cycles in Stripe's API reference.
"""

import random
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import assert_never

from fulfillment_local.stripe_world.catalogue import BUYERS, SUBSCRIPTION, choose_products
from fulfillment_local.stripe_world.model import (
    AfterSale,
    DeliveryState,
    Event,
    EventType,
    LineItem,
    Mode,
    Order,
    Outcome,
    PaymentIntent,
    PaymentIntentStatus,
    PaymentStatus,
    Product,
    Session,
    SessionStatus,
    Settlement,
)
from fulfillment_local.stripe_world.objects import delayed_payment_method
from fulfillment_local.stripe_world.webhook_endpoints import usual_endpoints

_LETTERS = string.ascii_letters + string.digits

_SETTLED = {
    Settlement.SUCCEEDED: PaymentIntentStatus.SUCCEEDED,
    Settlement.FAILED: PaymentIntentStatus.REQUIRES_PAYMENT_METHOD,
    Settlement.CANCELED: PaymentIntentStatus.CANCELED,
}


def new_world(*, seed: int | None = None, clock: Callable[[], float] = time.time) -> "StripeWorld":
    """Make an empty world; with a seed, its ids are the same each time."""
    return StripeWorld(
        clock=clock,
        chance=random.Random(seed),  # noqa: S311 - ids and products of a stand-in, no secrets
    )


class TransitionError(Exception):
    """What was asked for cannot happen to a Session in its state."""


class StripeWorld:
    """Sessions, PaymentIntents and events.

    Args:
        clock: tells the time in seconds since the epoch.
        chance: chooses ids, buyers and products; the same seed and calls give the same world.
    """

    def __init__(self, *, clock: Callable[[], float], chance: random.Random) -> None:
        self._clock = clock
        self._chance = chance
        self._sessions: dict[str, Session] = {}
        self._payment_intents: dict[str, PaymentIntent] = {}
        self._payments: dict[str, str] = {}  # Session, and invoice -> PaymentIntent
        self._events: dict[str, Event] = {}
        self.webhook_endpoints = usual_endpoints()
        """Those that are registered, in both modes; others may take their place."""

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The Sessions by id."""
        return MappingProxyType(self._sessions)

    @property
    def payment_intents(self) -> Mapping[str, PaymentIntent]:
        """The PaymentIntents by id."""
        return MappingProxyType(self._payment_intents)

    def payment_of(self, payable: str) -> PaymentIntent | None:
        """Return what pays a Session or an invoice, by its id; None: nothing is to be paid, or not yet."""
        intent = self._payments.get(payable)
        return self._payment_intents[intent] if intent else None

    @property
    def events(self) -> Mapping[str, Event]:
        """The events by id, oldest first."""
        return MappingProxyType(self._events)

    def play(self, order: Order) -> tuple[Session, Event | None]:
        """Open a Session and let the buyer do what the order says; return it with the event, if there is one.

        Raises:
            TransitionError: the order cannot come out so.
        """
        opened = self.open(order)
        match order.outcome:
            case Outcome.OPEN:
                return opened, None
            case Outcome.EXPIRED:
                event = self.expire(opened.id)
            case Outcome.PAID:
                event = self.complete(opened.id, PaymentStatus.PAID)
            case Outcome.UNPAID:
                event = self.complete(opened.id, PaymentStatus.UNPAID)
            case Outcome.FREE:
                event = self.complete(opened.id, PaymentStatus.NO_PAYMENT_REQUIRED)
            case never:
                assert_never(never)
        return event.session, event

    def open(self, order: Order) -> Session:
        """Open a Session, as the seller's server does when the buyer goes to Checkout."""
        if order.mode is Mode.SETUP:
            items: tuple[LineItem, ...] = ()
        else:
            items = tuple(
                LineItem(id=self._id("li_1", 23), product=product, quantity=quantity)
                for product, quantity in self._products(order)
            )
        mode = "live" if order.livemode else "test"
        session = Session(
            id=self._id(f"cs_{mode}_a1", 56),
            created=int(self._clock()),
            order=order,
            buyer=self._chance.choice(BUYERS),
            line_items=items,
        )
        self._sessions[session.id] = session
        return session

    def complete(self, session_id: str, payment_status: PaymentStatus) -> Event:
        """Let the buyer submit the form.

        Args:
            session_id: an open Session.
            payment_status: `unpaid` for a delayed payment, whose PaymentIntent is then processing.

        Raises:
            TransitionError: the Session is not open, or cannot be completed so.
        """
        session = replace(self._open_session(session_id), status=SessionStatus.COMPLETE, payment_status=payment_status)
        match session.order.mode:
            case Mode.SETUP:
                session = replace(
                    session,
                    payment_status=PaymentStatus.NO_PAYMENT_REQUIRED,
                    setup_intent=self._id("seti_1", 23),
                    customer=self._id("cus_", 14),
                )
            case Mode.SUBSCRIPTION:
                session = replace(
                    session,
                    subscription=self._id("sub_1", 23),
                    invoice=self._id("in_1", 23),
                    customer=self._id("cus_", 14),
                )
                if payment_status is not PaymentStatus.NO_PAYMENT_REQUIRED:
                    self._pay(session, invoice_payment=self._id("inpay_1", 23))
            case Mode.PAYMENT:
                free = payment_status is PaymentStatus.NO_PAYMENT_REQUIRED
                if free is not (session.total == 0):
                    raise TransitionError(
                        f"{session.id} costs {session.total}: only a free order is completed without a payment"
                    )
                if not free:
                    session = replace(session, payment_intent=self._pay(session).id)
            case never:
                assert_never(never)
        return self._change(session, EventType.COMPLETED)

    def expire(self, session_id: str) -> Event:
        """Let an open Session run out.

        Raises:
            TransitionError: the Session is not open.
        """
        return self._change(replace(self._open_session(session_id), status=SessionStatus.EXPIRED), EventType.EXPIRED)

    def settle(self, session_id: str, settlement: Settlement) -> Event | None:
        """End a delayed payment. A failed one may succeed later, when the buyer pays in another way.

        A failed payment leaves the Session complete and unpaid; only its PaymentIntent tells.

        Raises:
            TransitionError: no payment of the Session is waiting.
        """
        session = self._session(session_id)
        intent = self.payment_of(session_id)
        if intent is None or session.payment_status is not PaymentStatus.UNPAID:
            raise TransitionError(
                f"{session.id} is {session.status} and {session.payment_status}: no payment is waiting"
            )
        if intent.status is PaymentIntentStatus.CANCELED:
            raise TransitionError(f"{intent.id} of {session.id} is canceled: no payment is waiting")
        self._payment_intents[intent.id] = replace(intent, status=_SETTLED[settlement])
        match settlement:
            case Settlement.SUCCEEDED:
                paid = replace(session, payment_status=PaymentStatus.PAID)
                return self._change(paid, EventType.ASYNC_PAYMENT_SUCCEEDED)
            case Settlement.FAILED:
                return self._change(session, EventType.ASYNC_PAYMENT_FAILED)
            case Settlement.CANCELED:
                return None

    def come_after(self, session_id: str, after: AfterSale) -> Event:
        """Let a paid order be refunded or disputed.

        Raises:
            TransitionError: no payment of the Session succeeded, or it was refunded or disputed before.
        """
        session = self._session(session_id)
        intent = self.payment_of(session_id)
        if intent is None or intent.status is not PaymentIntentStatus.SUCCEEDED:
            raise TransitionError(f"no payment of {session.id} succeeded")
        match after:
            case AfterSale.DISPUTED if intent.dispute is None:
                intent = replace(intent, dispute=self._id("du_1", 23))
            case AfterSale.REFUNDED if not intent.refunded:
                intent = replace(intent, amount_refunded=intent.amount)
            case AfterSale.PARTLY_REFUNDED if intent.amount_refunded == 0 and intent.amount > 1:
                intent = replace(intent, amount_refunded=intent.amount // 2)
            case _:
                raise TransitionError(f"{intent.charge} of {session.id} was {after} before")
        self._payment_intents[intent.id] = intent
        told = EventType.DISPUTED if after is AfterSale.DISPUTED else EventType.REFUNDED
        return self._tell(session, told, intent)

    def mark(self, event_id: str, delivery: DeliveryState) -> None:
        """Note what became of an event's delivery.

        Raises:
            TransitionError: there is no such event.
        """
        if event_id not in self._events:
            raise TransitionError(f"there is no event {event_id}")
        self._events[event_id] = replace(self._events[event_id], delivery=delivery)

    def _pay(self, session: Session, invoice_payment: str | None = None) -> PaymentIntent:
        delayed = session.payment_status is PaymentStatus.UNPAID
        intent = PaymentIntent(
            id=self._id("pi_3", 23),
            created=int(self._clock()),
            session=session.id,
            order=session.order,
            amount=session.total,
            method=delayed_payment_method(session.order.currency) if delayed else "card",
            charge=self._id("py_3" if delayed else "ch_3", 23),
            status=PaymentIntentStatus.PROCESSING if delayed else PaymentIntentStatus.SUCCEEDED,
            invoice_payment=invoice_payment,
        )
        self._payments[session.id] = intent.id
        if session.invoice is not None:
            self._payments[session.invoice] = intent.id
        self._payment_intents[intent.id] = intent
        return intent

    def _products(self, order: Order) -> list[tuple[Product, int]]:
        """Choose what is bought, and how many of each."""
        subscription = order.mode is Mode.SUBSCRIPTION
        first = [SUBSCRIPTION] if subscription else []
        products = [*first, *choose_products(self._chance, order.line_items - len(first))]
        if order.amount is None:
            return [(product, 1 if subscription else self._chance.randint(1, 3)) for product in products]
        share, rest = divmod(order.amount, len(products))
        return [
            (replace(product, unit_amount=share + (1 if place < rest else 0)), 1)
            for place, product in enumerate(products)
        ]

    def _session(self, session_id: str) -> Session:
        try:
            return self._sessions[session_id]
        except KeyError:
            raise TransitionError(f"there is no Session {session_id}") from None

    def _open_session(self, session_id: str) -> Session:
        session = self._session(session_id)
        if session.status is not SessionStatus.OPEN:
            raise TransitionError(f"{session.id} is {session.status}: only an open Session can change so")
        return session

    def _change(self, session: Session, event_type: EventType) -> Event:
        self._sessions[session.id] = session
        return self._tell(session, event_type)

    def _tell(self, session: Session, event_type: EventType, payment: PaymentIntent | None = None) -> Event:
        event = Event(
            id=self._id("evt_1", 23),
            thin_id=self._id(f"evt_{'live' if session.order.livemode else 'test'}_65", 44),
            type=event_type,
            created=self._clock(),
            session=session,
            payment=payment,
        )
        self._events[event.id] = event
        return event

    def _id(self, prefix: str, length: int) -> str:
        return prefix + "".join(self._chance.choices(_LETTERS, k=length))
