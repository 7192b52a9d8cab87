"""A Checkout Session as Stripe has it now: what the operator believes. No I/O.

Personal data stands here and goes to the backend and into the mail; it is never written to the cluster or a log.
"""

from datetime import datetime
from enum import StrEnum, unique

from msgspec import Struct, field

from fulfillment_api.spec import Amount, ReversalKind
from fulfillment_api.status import LineItem
from fulfillment_operator.checkout.collected import Collected, Customer, Shipping


@unique
class SessionStatus(StrEnum):
    """`status` of a Checkout Session."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


@unique
class SessionPayment(StrEnum):
    """`payment_status` of a Checkout Session: what it says of `unpaid` is little, its PaymentIntent says more."""

    PAID = "paid"
    NO_PAYMENT_REQUIRED = "no_payment_required"
    UNPAID = "unpaid"


@unique
class PaymentIntentStatus(StrEnum):
    """`status` of a PaymentIntent (Stripe, "How PaymentIntents work")."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    CANCELED = "canceled"
    SUCCEEDED = "succeeded"
    UNKNOWN = "unknown"
    """None of Stripe's: one that this version does not know yet, or none at all."""


class PaymentIntent(Struct, frozen=True, kw_only=True):
    """What pays a Session: the Session's own PaymentIntent, or that of its subscription's first invoice."""

    id: str | None
    """pi_…."""
    status: PaymentIntentStatus
    has_error: bool = False
    """Whether the last try to pay failed (`last_payment_error`)."""
    cancellation_reason: str | None = None
    """Why it was canceled, in one of Stripe's words; None: nobody said."""
    amount: Amount | None = None
    """What is to be paid."""
    received: Amount | None = None
    """What has come: what was captured, or what a bank transfer brought so far; None: nothing, or it is not told."""
    capture_before: datetime | None = None
    """When an authorization lapses that is not captured; None: there is none, or it is not told."""


class CheckoutSession(Struct, frozen=True, kw_only=True):
    """A Checkout Session with all its line items."""

    id: str
    mode: str
    status: SessionStatus
    payment: SessionPayment
    line_items: tuple[LineItem, ...]
    amount: Amount | None
    """What the order costs; once paid, what was taken: less than the total, when the seller captured a part."""
    customer: Customer | None
    shipping: Shipping | None
    payment_link: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    payment_methods: tuple[str, ...] = ()
    """`payment_method_types`: with which the buyer could pay."""
    refunded: bool = False
    """Whether all of the payment was given back."""
    amount_refunded: Amount | None = None
    """What was given back; None: nothing."""
    payment_intent: PaymentIntent | None = None
    """What pays it; None: nothing is to be paid, or Stripe does not tell."""
    dispute: ReversalKind | None = None
    """What the gravest dispute about the payment means, such as `disputed` or `dispute-won`; None: there is none."""
    created_at: datetime | None = None
    subscription: str | None = None
    """sub_…."""
    customer_id: str | None = None
    """The Customer, cus_…."""
    client_reference_id: str | None = None
    locale: str | None = None
    """In which Checkout was shown, as an IETF language tag; None: in the browser's."""
    recovered_from: str | None = None
    """The expired Session that this one recovered, cs_…."""
    presentment: Amount | None = None
    """What the buyer saw and paid, where Adaptive Pricing made another currency of it; None: `amount`."""
    collected: Collected = Collected()

    @property
    def is_reversed(self) -> bool:
        """Whether anything became of the payment after it was made."""
        return self.refunded or self.amount_refunded is not None or self.dispute is not None
