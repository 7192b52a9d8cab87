"""What the stand-in knows: frozen records and the closed sets of Stripe's words for their states.

Source: the Checkout Session, LineItem, PaymentIntent and Event objects of Stripe's API 2026-10-28.endive.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

API_VERSION = "2026-10-28.endive"
"""The API version whose object shapes the stand-in has."""


@unique
class Mode(StrEnum):
    """What a Session is for."""

    PAYMENT = "payment"
    SUBSCRIPTION = "subscription"
    SETUP = "setup"


@unique
class SessionStatus(StrEnum):
    """How far the buyer came on Checkout's page."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


@unique
class PaymentStatus(StrEnum):
    """Whether the funds are there."""

    PAID = "paid"
    UNPAID = "unpaid"
    NO_PAYMENT_REQUIRED = "no_payment_required"


@unique
class PaymentIntentStatus(StrEnum):
    """The states of a PaymentIntent that a completed Session can show."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    CANCELED = "canceled"


@unique
class EventType(StrEnum):
    """The events that Checkout sends, and those of what comes after the sale."""

    COMPLETED = "checkout.session.completed"
    ASYNC_PAYMENT_SUCCEEDED = "checkout.session.async_payment_succeeded"
    ASYNC_PAYMENT_FAILED = "checkout.session.async_payment_failed"
    EXPIRED = "checkout.session.expired"
    REFUNDED = "charge.refunded"
    DISPUTED = "charge.dispute.created"


@unique
class DeliveryState(StrEnum):
    """What became of an event's delivery to the webhook."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@unique
class Outcome(StrEnum):
    """What the buyer did on Checkout's page."""

    OPEN = "open"
    """Nothing yet: the page stands open."""
    PAID = "paid"
    """Paid by card, at once."""
    UNPAID = "unpaid"
    """Authorized a delayed payment, such as a bank debit."""
    FREE = "free"
    """Completed an order that a discount made free."""
    EXPIRED = "expired"
    """Left: the Session ran out."""


@unique
class Settlement(StrEnum):
    """How a delayed payment ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    """The seller canceled the PaymentIntent. Checkout sends no event for it."""


@unique
class AfterSale(StrEnum):
    """What comes after a paid order."""

    REFUNDED = "refunded"
    """The seller gave all of the payment back."""
    PARTLY_REFUNDED = "partly-refunded"
    """The seller gave a part of it back."""
    DISPUTED = "disputed"
    """The buyer asked their bank for it back."""


Metadata: TypeAlias = dict[str, str]
"""What the seller noted on the Session."""


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a buyer orders, and what comes of it on Checkout's page."""

    outcome: Outcome = Outcome.PAID
    mode: Mode = Mode.PAYMENT
    line_items: Annotated[int, Meta(ge=1, le=1000)] = 1
    """How many. Stripe allows 100; more are possible here, to try the pages of a list."""
    amount: Annotated[int, Meta(ge=1, le=99_999_999)] | None = None
    """The sum in the currency's smallest unit; None: what the catalogue's products cost."""
    currency: Annotated[str, Meta(pattern="^[a-z]{3}$")] = "usd"
    email: str | None = None
    """None: the buyer's own; empty: the buyer left none."""
    payment_link: str | None = None
    client_reference_id: str | None = None
    metadata: Metadata = msgspec.field(default_factory=dict)
    livemode: bool = False
    account: str | None = None
    """The connected account that the Session belongs to."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product and its price."""

    name: str
    unit_amount: int
    """In the currency's smallest unit."""


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys, and where it goes."""

    name: str
    email: str
    phone: str
    line1: str
    city: str
    postal_code: str
    country: str
    state: str | None = None


@dataclass(frozen=True, slots=True)
class LineItem:
    """One line of an order."""

    id: str
    product: Product
    quantity: int

    @property
    def subtotal(self) -> int:
        """The line's sum before discounts."""
        return self.product.unit_amount * self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A Checkout Session at one moment; a change makes another record, so events keep what they saw."""

    id: str
    created: int
    order: Order
    buyer: Buyer
    line_items: tuple[LineItem, ...]
    status: SessionStatus = SessionStatus.OPEN
    payment_status: PaymentStatus = PaymentStatus.UNPAID
    payment_intent: str | None = None
    subscription: str | None = None
    invoice: str | None = None
    """The subscription's first invoice."""
    setup_intent: str | None = None
    customer: str | None = None

    @property
    def subtotal(self) -> int:
        """The sum before discounts."""
        return sum(item.subtotal for item in self.line_items)

    @property
    def total(self) -> int:
        """What the buyer pays."""
        return 0 if self.order.outcome is Outcome.FREE else self.subtotal


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentIntent:
    """The payment of a Session, or of its invoice."""

    id: str
    created: int
    session: str
    """The id of the Session that it pays."""
    order: Order
    amount: int
    method: str
    """The payment method's type, such as `card` or `sepa_debit`."""
    charge: str
    status: PaymentIntentStatus
    invoice_payment: str | None = None
    """What makes it the payment of an invoice, inpay_…."""
    amount_refunded: int = 0
    dispute: str | None = None
    """The dispute's id, once there is one."""

    @property
    def refunded(self) -> bool:
        """Whether all of it was given back."""
        return self.amount_refunded == self.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event, with the Session as it was then, and with its payment when it is about that."""

    id: str
    thin_id: str
    """The thin event that tells of the same change has an id of its own."""
    type: EventType
    created: float
    session: Session
    payment: PaymentIntent | None = None
    delivery: DeliveryState = DeliveryState.PENDING

    @property
    def order(self) -> Order:
        """What the Session is about."""
        return self.session.order
