"""A Checkout Session as Stripe has it now: what the operator believes. No I/O.

Personal data stands here and goes to the backend and into the mail; it is never written to the cluster or a log.
"""

from enum import StrEnum, unique
from typing import Any

from msgspec import Struct, field

from fulfillment_api.spec import Amount
from fulfillment_api.status import LineItem


@unique
class SessionStatus(StrEnum):
    """`status` of a Checkout Session."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


@unique
class SessionPayment(StrEnum):
    """`payment_status` of a Checkout Session, and what its PaymentIntent adds to `unpaid`."""

    PAID = "paid"
    NO_PAYMENT_REQUIRED = "no_payment_required"
    UNPAID = "unpaid"
    FAILED = "failed"
    """Unpaid, and the PaymentIntent asks for another payment method or is canceled."""


class Customer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who bought (`customer_details`)."""

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    address: dict[str, Any] | None = None


class Shipping(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where to send the goods (`collected_information.shipping_details`)."""

    name: str | None = None
    address: dict[str, Any] | None = None


class CheckoutSession(Struct, frozen=True, kw_only=True):
    """A Checkout Session with all its line items."""

    id: str
    mode: str
    status: SessionStatus
    payment: SessionPayment
    line_items: tuple[LineItem, ...]
    amount: Amount | None
    customer: Customer | None
    shipping: Shipping | None
    payment_link: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    payment_methods: tuple[str, ...] = ()
    """`payment_method_types`: with which the buyer could pay."""
    refunded: bool = False
    """Whether all of the payment was given back."""
    payment_intent: str | None = None
    """The PaymentIntent that pays it, itself or by its invoice, pi_…; None: nothing is to be paid."""
    disputed: bool = False
    """Whether the buyer disputes, or disputed, the payment."""
