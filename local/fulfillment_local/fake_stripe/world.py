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

from fulfillment_local.fake_stripe.catalogue import BUYERS, SUBSCRIPTION, choose_products
from fulfillment_local.fake_stripe.model import (
    AfterPayment,
    DeliveryState,
    Dispute,
    DisputeStatus,
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
    Refund,
    RefundStatus,
    Session,
    SessionStatus,
    Settlement,
)
from fulfillment_local.fake_stripe.objects import BANK_TRANSFER, delayed_payment_method
from fulfillment_local.fake_stripe.webhook_endpoints import usual_endpoints

_LETTERS = string.ascii_letters + string.digits

_SETTLED = {
    Settlement.SUCCEEDED: PaymentIntentStatus.SUCCEEDED,
    Settlement.FAILED: PaymentIntentStatus.REQUIRES_PAYMENT_METHOD,
    Settlement.RETRIED: PaymentIntentStatus.PROCESSING,
    Settlement.PARTLY_FUNDED: PaymentIntentStatus.REQUIRES_ACTION,
    Settlement.CAPTURED: PaymentIntentStatus.SUCCEEDED,
    Settlement.PARTLY_CAPTURED: PaymentIntentStatus.SUCCEEDED,
    Settlement.CANCELED: PaymentIntentStatus.CANCELED,
    Settlement.LAPSED: PaymentIntentStatus.CANCELED,
}
_ONLY_FROM = {
    Settlement.PARTLY_FUNDED: PaymentIntentStatus.REQUIRES_ACTION,
    Settlement.CAPTURED: PaymentIntentStatus.REQUIRES_CAPTURE,
    Settlement.PARTLY_CAPTURED: PaymentIntentStatus.REQUIRES_CAPTURE,
    Settlement.LAPSED: PaymentIntentStatus.REQUIRES_CAPTURE,
}
"""What can happen to a payment in one state alone."""
_COMPLETED = {
    Outcome.PAID: (PaymentStatus.PAID, PaymentIntentStatus.SUCCEEDED),
    Outcome.UNPAID: (PaymentStatus.UNPAID, PaymentIntentStatus.PROCESSING),
    Outcome.AUTHORIZED: (PaymentStatus.UNPAID, PaymentIntentStatus.REQUIRES_CAPTURE),
    Outcome.BANK_TRANSFER: (PaymentStatus.UNPAID, PaymentIntentStatus.REQUIRES_ACTION),
    Outcome.FREE: (PaymentStatus.NO_PAYMENT_REQUIRED, PaymentIntentStatus.SUCCEEDED),
    Outcome.TRIAL: (PaymentStatus.NO_PAYMENT_REQUIRED, PaymentIntentStatus.SUCCEEDED),
}
"""The states in which a buyer who submits the form leaves the Session, and its payment if there is one."""


_TOLD = {
    AfterPayment.REFUNDED: EventType.REFUNDED,
    AfterPayment.PARTLY_REFUNDED: EventType.REFUNDED,
    AfterPayment.REFUND_FAILED: EventType.REFUND_FAILED,
    AfterPayment.REFUND_CANCELED: EventType.REFUND_UPDATED,
    AfterPayment.INQUIRY: EventType.DISPUTED,
    AfterPayment.INQUIRY_CLOSED: EventType.DISPUTE_CLOSED,
    AfterPayment.DISPUTED: EventType.DISPUTED,
    AfterPayment.DISPUTE_WON: EventType.DISPUTE_CLOSED,
    AfterPayment.DISPUTE_REINSTATED: EventType.DISPUTE_FUNDS_REINSTATED,
    AfterPayment.DISPUTE_LOST: EventType.DISPUTE_CLOSED,
    AfterPayment.DISPUTE_PREVENTED: EventType.DISPUTE_CLOSED,
    AfterPayment.FRAUD_WARNING: EventType.FRAUD_WARNING,
}
"""The event that tells of each."""

_GOES_ON = {
    AfterPayment.INQUIRY_CLOSED: (DisputeStatus.WARNING_NEEDS_RESPONSE, DisputeStatus.WARNING_CLOSED),
    AfterPayment.DISPUTED: (DisputeStatus.WARNING_NEEDS_RESPONSE, DisputeStatus.NEEDS_RESPONSE),
    AfterPayment.DISPUTE_WON: (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.WON),
    AfterPayment.DISPUTE_REINSTATED: (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.WON),
    AfterPayment.DISPUTE_LOST: (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.LOST),
    AfterPayment.DISPUTE_PREVENTED: (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.PREVENTED),
}
"""Which state of a dispute becomes which."""


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
        if order.outcome is Outcome.OPEN:
            return opened, None
        event = self.leave_page(opened.id, order.outcome)
        return event.session, event

    def leave_page(self, session_id: str, outcome: Outcome) -> Event:
        """Let the buyer of an open Session complete it, or the Session expire.

        Raises:
            TransitionError: the Session is not open, or cannot come out so.
        """
        match outcome:
            case Outcome.OPEN:
                raise TransitionError(f"the page of {session_id} cannot be left {outcome}")
            case Outcome.EXPIRED:
                return self.expire(session_id)
            case _:
                return self.complete(session_id, *_COMPLETED[outcome])

    def open(self, order: Order) -> Session:
        """Open a Session, as the seller's server does when the buyer goes to Checkout."""
        if order.mode is Mode.SETUP:
            items: tuple[LineItem, ...] = ()
        else:
            items = tuple(
                LineItem(id=self._id("li_1", 23), product=product, quantity=quantity)
                for product, quantity in self._products(order)
            )
            if items[0].subtotal < order.page.discount:
                raise TransitionError("a discount is at most what the first line costs")
            items = (replace(items[0], discount=order.page.discount, tax=order.page.tax), *items[1:])
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

    def complete(
        self,
        session_id: str,
        payment_status: PaymentStatus,
        intent_status: PaymentIntentStatus = PaymentIntentStatus.SUCCEEDED,
    ) -> Event:
        """Let the buyer submit the form.

        Args:
            session_id: an open Session.
            payment_status: `unpaid` for a payment that comes later.
            intent_status: the state of the PaymentIntent, if there is something to pay.

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
                    self._pay(session, intent_status, invoice_payment=self._id("inpay_1", 23))
            case Mode.PAYMENT:
                free = payment_status is PaymentStatus.NO_PAYMENT_REQUIRED
                if free is not (session.total == 0):
                    raise TransitionError(
                        f"{session.id} costs {session.total}: only a free order is completed without a payment"
                    )
                if session.order.page.invoice:
                    session = replace(session, invoice=self._id("in_1", 23))
                if not free:
                    invoice_payment = self._id("inpay_1", 23) if session.invoice else None
                    intent = self._pay(session, intent_status, invoice_payment)
                    session = replace(session, payment_intent=intent.id)
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
        """Let a payment that waits go on. A failed one may succeed later, when the buyer pays in another way.

        One that failed or was canceled leaves the Session complete and unpaid; only its PaymentIntent tells.

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
        if intent.status is not _ONLY_FROM.get(settlement, intent.status):
            raise TransitionError(f"{intent.id} of {session.id} is {intent.status}: it cannot become {settlement}")
        intent = self._payment_intents[intent.id] = _settled(intent, settlement)
        paid = replace(session, payment_status=PaymentStatus.PAID)
        match settlement:
            case Settlement.SUCCEEDED:
                return self._change(paid, EventType.ASYNC_PAYMENT_SUCCEEDED)
            case Settlement.FAILED | Settlement.RETRIED:
                return self._change(session, EventType.ASYNC_PAYMENT_FAILED)
            case Settlement.PARTLY_FUNDED:
                return self._tell(session, EventType.PARTIALLY_FUNDED, intent)
            case Settlement.CAPTURED | Settlement.PARTLY_CAPTURED:
                return self._change(paid, EventType.CAPTURED, intent)
            case Settlement.CANCELED:
                return self._tell(session, EventType.PAYMENT_CANCELED, intent)
            case Settlement.LAPSED:
                return self._tell(session, EventType.AUTHORIZATION_EXPIRED, intent)

    def play_after_payment(self, session_id: str, after: AfterPayment) -> Event:
        """Let a paid order be refunded or disputed, or let that go on.

        Raises:
            TransitionError: no payment of the Session succeeded, or this cannot come of what came before.
        """
        session = self._session(session_id)
        intent = self.payment_of(session_id)
        if intent is None or intent.status is not PaymentIntentStatus.SUCCEEDED:
            raise TransitionError(f"no payment of {session.id} succeeded")
        changed = self._reversed(intent, after)
        if changed is None:
            raise TransitionError(f"{intent.charge} of {session.id} cannot be {after}: {_reversal_state(intent)}")
        self._payment_intents[intent.id] = changed
        escalated = after is AfterPayment.DISPUTED and len(changed.disputes) == len(intent.disputes)
        return self._tell(session, EventType.DISPUTE_FUNDS_WITHDRAWN if escalated else _TOLD[after], changed)

    def _reversed(self, intent: PaymentIntent, after: AfterPayment) -> PaymentIntent | None:
        """Return the payment as it then is; None when that cannot come of what came before."""
        left = intent.received - intent.amount_refunded
        match after:
            case AfterPayment.REFUNDED:
                return self._refunded(intent, left)
            case AfterPayment.PARTLY_REFUNDED:
                return self._refunded(intent, left // 2)
            case AfterPayment.REFUND_FAILED:
                return _last_refund_becomes(intent, RefundStatus.FAILED)
            case AfterPayment.REFUND_CANCELED:
                return _last_refund_becomes(intent, RefundStatus.CANCELED)
            case AfterPayment.FRAUD_WARNING:
                return None if intent.fraud_warning else replace(intent, fraud_warning=self._id("issfr_1", 23))
            case AfterPayment.INQUIRY | AfterPayment.DISPUTED if not _open_dispute(intent):
                inquiry = after is AfterPayment.INQUIRY
                status = DisputeStatus.WARNING_NEEDS_RESPONSE if inquiry else DisputeStatus.NEEDS_RESPONSE
                dispute = Dispute(id=self._id("du_1", 23), created=int(self._clock()), status=status)
                return replace(intent, disputes=(*intent.disputes, dispute))
            case _:
                return _last_dispute_becomes(intent, after)

    def _refunded(self, intent: PaymentIntent, amount: int) -> PaymentIntent | None:
        if amount <= 0:
            return None
        refund = Refund(id=self._id("re_3", 23), created=int(self._clock()), amount=amount)
        return replace(intent, refunds=(*intent.refunds, refund))

    def mark(self, event_id: str, delivery: DeliveryState) -> None:
        """Note what became of an event's delivery.

        Raises:
            TransitionError: there is no such event.
        """
        if event_id not in self._events:
            raise TransitionError(f"there is no event {event_id}")
        self._events[event_id] = replace(self._events[event_id], delivery=delivery)

    def _pay(self, session: Session, status: PaymentIntentStatus, invoice_payment: str | None = None) -> PaymentIntent:
        is_transfer = status is PaymentIntentStatus.REQUIRES_ACTION
        delayed = status is PaymentIntentStatus.PROCESSING or is_transfer
        method = BANK_TRANSFER if is_transfer else delayed_payment_method(session.order.currency)
        intent = PaymentIntent(
            id=self._id("pi_3", 23),
            created=int(self._clock()),
            session=session.id,
            order=session.order,
            amount=session.total,
            method=method if delayed else "card",
            charge=self._id("py_3" if delayed else "ch_3", 23),
            status=status,
            received=session.total if status is PaymentIntentStatus.SUCCEEDED else 0,
            is_captured_manually=status is PaymentIntentStatus.REQUIRES_CAPTURE,
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

    def _change(self, session: Session, event_type: EventType, payment: PaymentIntent | None = None) -> Event:
        self._sessions[session.id] = session
        return self._tell(session, event_type, payment)

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


def _last_refund_becomes(intent: PaymentIntent, status: RefundStatus) -> PaymentIntent | None:
    if not intent.refunds or intent.refunds[-1].status is not RefundStatus.SUCCEEDED:
        return None
    return replace(intent, refunds=(*intent.refunds[:-1], replace(intent.refunds[-1], status=status)))


def _open_dispute(intent: PaymentIntent) -> Dispute | None:
    last = intent.disputes[-1] if intent.disputes else None
    return last if last and last.status in {before for before, _ in _GOES_ON.values()} else None


def _last_dispute_becomes(intent: PaymentIntent, after: AfterPayment) -> PaymentIntent | None:
    before, status = _GOES_ON.get(after, (None, None))
    if status is None or not intent.disputes or intent.disputes[-1].status is not before:
        return None
    return replace(intent, disputes=(*intent.disputes[:-1], replace(intent.disputes[-1], status=status)))


def _reversal_state(intent: PaymentIntent) -> str:
    disputes = ", ".join(each.status for each in intent.disputes)
    return f"{intent.amount_refunded} of {intent.received} is refunded, and its disputes are {disputes or 'none'}"


def _settled(intent: PaymentIntent, settlement: Settlement) -> PaymentIntent:
    """Return the payment as a settlement leaves it."""
    received, reason = intent.received, None
    match settlement:
        case Settlement.SUCCEEDED | Settlement.CAPTURED:
            received = intent.amount
        case Settlement.PARTLY_FUNDED | Settlement.PARTLY_CAPTURED:
            received = intent.amount // 2
        case Settlement.CANCELED:
            reason = "requested_by_customer"
        case Settlement.LAPSED:
            reason = "automatic"
        case Settlement.FAILED | Settlement.RETRIED:
            pass
    return replace(intent, status=_SETTLED[settlement], received=received, cancellation_reason=reason)
