"""What the stand-in knows: frozen records and the closed sets of Stripe's words for their states.

Source: the Checkout Session, LineItem, PaymentIntent and Event objects of Stripe's API 2026-10-28.endive.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from fulfillment_local.fake_stripe.page import CheckoutPage

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

    REQUIRES_ACTION = "requires_action"
    REQUIRES_CAPTURE = "requires_capture"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    CANCELED = "canceled"


@unique
class EventType(StrEnum):
    """The events that Checkout sends, those of payments that wait, and those of what comes after."""

    COMPLETED = "checkout.session.completed"
    ASYNC_PAYMENT_SUCCEEDED = "checkout.session.async_payment_succeeded"
    ASYNC_PAYMENT_FAILED = "checkout.session.async_payment_failed"
    EXPIRED = "checkout.session.expired"
    CAPTURED = "charge.captured"
    AUTHORIZATION_EXPIRED = "charge.expired"
    PAYMENT_CANCELED = "payment_intent.canceled"
    PARTIALLY_FUNDED = "payment_intent.partially_funded"
    REFUNDED = "charge.refunded"
    REFUND_FAILED = "refund.failed"
    REFUND_UPDATED = "refund.updated"
    DISPUTED = "charge.dispute.created"
    DISPUTE_FUNDS_WITHDRAWN = "charge.dispute.funds_withdrawn"
    DISPUTE_FUNDS_REINSTATED = "charge.dispute.funds_reinstated"
    DISPUTE_CLOSED = "charge.dispute.closed"
    FRAUD_WARNING = "radar.early_fraud_warning.created"


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
    AUTHORIZED = "authorized"
    """Authorized a card payment that the seller captures later."""
    BANK_TRANSFER = "bank-transfer"
    """Chose a bank transfer, which is yet to be made."""
    FREE = "free"
    """Completed an order that a discount made free."""
    TRIAL = "trial"
    """Subscribed, and is billed after a trial."""
    EXPIRED = "expired"
    """Left: the Session ran out."""


@unique
class Settlement(StrEnum):
    """What became of a payment that waits."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    """It failed, and the buyer tried again: another payment is on its way."""
    PARTLY_FUNDED = "partly-funded"
    """A part of a bank transfer has come."""
    CAPTURED = "captured"
    """The seller captured an authorized payment."""
    PARTLY_CAPTURED = "partly-captured"
    """The seller captured a part of it, and released the rest."""
    CANCELED = "canceled"
    """The seller canceled the PaymentIntent: released an authorization, or gave up a payment."""
    LAPSED = "lapsed"
    """Nobody captured an authorization in time."""


@unique
class AfterPayment(StrEnum):
    """What can come after the payment (Stripe, "After the payment")."""

    REFUNDED = "refunded"
    """The seller gave all of the payment back, or what was left of it."""
    PARTLY_REFUNDED = "partly-refunded"
    """The seller gave half of it back, or of what was left of it."""
    REFUND_FAILED = "refund-failed"
    """The last refund failed: the buyer's bank does not take it."""
    REFUND_CANCELED = "refund-canceled"
    """The seller canceled the last refund before it went out."""
    INQUIRY = "inquiry"
    """The buyer's bank inquires, and takes nothing back."""
    INQUIRY_CLOSED = "inquiry-closed"
    """The inquiry ended without a dispute."""
    DISPUTED = "disputed"
    """The buyer asked their bank for it back; an inquiry becomes the dispute."""
    DISPUTE_WON = "dispute-won"
    """The dispute ended so; one that the buyer withdraws does, too."""
    DISPUTE_REINSTATED = "dispute-reinstated"
    """The same, told by the event of the funds that come back."""
    DISPUTE_LOST = "dispute-lost"
    DISPUTE_PREVENTED = "dispute-prevented"
    """The dispute was settled before the bank took anything back."""
    FRAUD_WARNING = "fraud-warning"
    """The card's issuer suspects fraud."""


@unique
class RefundStatus(StrEnum):
    """The states of a refund that are played."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


@unique
class DisputeStatus(StrEnum):
    """The states of a dispute that are played."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    PREVENTED = "prevented"
    WON = "won"
    LOST = "lost"


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
    page: CheckoutPage = CheckoutPage()
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
    discount: int = 0
    tax: int = 0

    @property
    def subtotal(self) -> int:
        """The line's sum before discounts and taxes."""
        return self.product.unit_amount * self.quantity

    @property
    def total(self) -> int:
        """The line's sum after both."""
        return self.subtotal - self.discount + self.tax


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
    """The invoice that Checkout made: of a subscription, its first."""
    setup_intent: str | None = None
    customer: str | None = None

    @property
    def subtotal(self) -> int:
        """The sum before discounts, as far as it is due now."""
        return 0 if self.order.outcome is Outcome.TRIAL else sum(item.subtotal for item in self.line_items)

    @property
    def shipping(self) -> int:
        """What shipping costs."""
        return self.order.page.shipping or 0

    @property
    def tax(self) -> int:
        """The taxes."""
        return sum(item.tax for item in self.line_items)

    @property
    def total(self) -> int:
        """What the buyer pays now."""
        is_free = self.order.outcome in {Outcome.FREE, Outcome.TRIAL}
        return 0 if is_free else sum(item.total for item in self.line_items) + self.shipping


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A part of a payment, or all of it, on its way back."""

    id: str
    created: int
    amount: int
    status: RefundStatus = RefundStatus.SUCCEEDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """What the buyer's bank has against a payment."""

    id: str
    created: int
    status: DisputeStatus


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
    received: int = 0
    """What has come of it: captured, or brought by bank transfers."""
    is_captured_manually: bool = False
    cancellation_reason: str | None = None
    invoice_payment: str | None = None
    """What makes it the payment of an invoice, inpay_…."""
    refunds: tuple[Refund, ...] = ()
    """The one that changed last stands last."""
    disputes: tuple[Dispute, ...] = ()
    """Oldest first."""
    fraud_warning: str | None = None
    """The id of the issuer's warning, once there is one."""

    @property
    def amount_refunded(self) -> int:
        """What was given back: a refund that failed or was canceled counts no more."""
        return sum(each.amount for each in self.refunds if each.status is RefundStatus.SUCCEEDED)

    @property
    def refunded(self) -> bool:
        """Whether all of it was given back."""
        return 0 < self.received == self.amount_refunded


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
