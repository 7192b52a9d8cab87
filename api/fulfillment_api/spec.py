"""The spec of a FulfillmentRequest: what Stripe said. The service alone writes it.

The bounds are Stripe's own where it publishes them (metadata: 50 keys of 40 characters with values of 500;
`client_reference_id`: 200 characters), so that whatever Stripe sends fits.
"""

from datetime import datetime
from enum import StrEnum, unique
from typing import Annotated

from msgspec import Meta, Struct, field

Timestamp = Annotated[datetime, Meta(tz=True)]
StripeId = Annotated[str, Meta(min_length=1, max_length=255, pattern="^[A-Za-z0-9_]+$")]
Currency = Annotated[str, Meta(pattern="^[a-z]{3}$", description="ISO 4217 code in lower case, as Stripe writes it.")]
MetadataKey = Annotated[str, Meta(max_length=40)]
MetadataValue = Annotated[str, Meta(max_length=500)]
Metadata = Annotated[
    dict[MetadataKey, MetadataValue],
    Meta(max_length=50, description="The Session's metadata, as the shop set it."),
]


@unique
class Mode(StrEnum):
    """What a Checkout Session sells. Sessions in `setup` mode sell nothing, so they have no request."""

    PAYMENT = "payment"
    SUBSCRIPTION = "subscription"


@unique
class PaymentStatus(StrEnum):
    """A Session's `payment_status`, and `failed` after `checkout.session.async_payment_failed`."""

    UNPAID = "unpaid"
    PAID = "paid"
    NO_PAYMENT_REQUIRED = "no_payment_required"
    FAILED = "failed"

    def may_become(self, other: "PaymentStatus") -> bool:
        """Tell whether news may change this status: nothing leaves a paid one, and failed yields only to paid.

        Stripe neither orders events nor sends each once, so old news must never undo newer. The CRD's
        transition rule says the same to everyone who writes.
        """
        match self:
            case PaymentStatus.UNPAID:
                return other is not PaymentStatus.UNPAID
            case PaymentStatus.FAILED:
                return other is PaymentStatus.PAID
            case PaymentStatus.PAID | PaymentStatus.NO_PAYMENT_REQUIRED:
                return False


PAYMENT_STATUS_RULE = {
    "rule": "self == oldSelf || oldSelf == 'unpaid' || (oldSelf == 'failed' && self == 'paid')",
    "messageExpression": "'a payment never goes back: it is ' + oldSelf + ' and cannot become ' + self",
    "message": "a payment never goes back",
}
SESSION_RULE = {
    "rule": "self == oldSelf",
    "message": "spec.session is immutable: it says which order this is; another Session is another FulfillmentRequest",
}


class Session(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The Checkout Session that the order was placed with. Immutable."""

    id: Annotated[
        str,
        Meta(max_length=255, pattern="^cs_[A-Za-z0-9_]+$", description="The Checkout Session's id, cs_…."),
    ]
    livemode: Annotated[bool, Meta(description="Whether real money moved.")]
    account: Annotated[StripeId, Meta(description="The connected account that owns the Session, acct_….")] | None = None
    mode: (
        Annotated[Mode, Meta(description="What was sold; absent until Stripe is asked, after a thin event.")] | None
    ) = None
    created_at: Annotated[Timestamp, Meta(description="When the Session was created.")] | None = None
    payment_intent: Annotated[StripeId, Meta(description="The PaymentIntent, pi_….")] | None = None
    subscription: Annotated[StripeId, Meta(description="The Subscription, sub_….")] | None = None
    payment_link: Annotated[StripeId, Meta(description="The Payment Link that was used, plink_….")] | None = None
    customer: Annotated[StripeId, Meta(description="The Customer, cus_….")] | None = None
    client_reference_id: (
        Annotated[str, Meta(max_length=200, description="The shop's own reference for the buyer or the cart.")] | None
    ) = None
    metadata: Metadata = field(default_factory=dict)


class Amount(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the order costs, in the merchant's currency."""

    total: Annotated[int, Meta(description="In the currency's smallest unit, after discounts and taxes.")]
    currency: Currency
    display: Annotated[str, Meta(max_length=40, description='For people: "10.99 USD".')]


class Payment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The newest word of Stripe's events on the payment: a hint, which the operator checks with Stripe."""

    status: Annotated[PaymentStatus, Meta(extra_json_schema={"x-kubernetes-validations": [PAYMENT_STATUS_RULE]})]
    event: Annotated[StripeId, Meta(description="The event that said so, evt_….")] | None = None
    observed_at: Annotated[Timestamp, Meta(description="When that event was received.")] | None = None


@unique
class CallbackResult(StrEnum):
    """What a backend that took its time said in the end."""

    DONE = "done"
    REFUSED = "refused"


class Callback(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The backend's word on an order that it had taken before, as its callback brought it."""

    result: CallbackResult
    reference: Annotated[str, Meta(max_length=255, description="What the backend calls the order.")] | None = None
    message: Annotated[str, Meta(max_length=1024, description="Why it was refused, for a person.")] | None = None
    observed_at: Annotated[Timestamp, Meta(description="When the callback came.")] | None = None


class RefusedCallback(Struct, frozen=True, kw_only=True, rename="camel"):
    """A callback about the order that was not believed: the first one since it was handed over."""

    message: Annotated[str, Meta(max_length=1024, description="Why not, for a person; nothing of what it said.")]
    observed_at: Annotated[Timestamp, Meta(description="When it came.")]


@unique
class SaleKind(StrEnum):
    """What can happen to an order after Checkout."""

    REFUNDED = "refunded"
    """`charge.refunded`: all of the payment was given back."""
    DISPUTED = "disputed"
    """`charge.dispute.created`: the buyer asks their bank for the payment back."""
    EXPIRED = "expired"
    """`checkout.session.expired`: the buyer never completed the Session."""


class Sale(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The newest word of Stripe's events on what came after Checkout: a hint, which the operator checks with Stripe."""

    kind: SaleKind
    event: Annotated[StripeId, Meta(description="The event that said so, evt_….")] | None = None
    observed_at: Annotated[Timestamp, Meta(description="When that event was received.")] | None = None


class Spec(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What Stripe said of the order. Written by the webhook service alone."""

    session: Annotated[Session, Meta(extra_json_schema={"x-kubernetes-validations": [SESSION_RULE]})]
    payment: Payment
    amount: Amount | None = None
    callback: Callback | None = None
    refused_callback: RefusedCallback | None = None
    sale: Sale | None = None
