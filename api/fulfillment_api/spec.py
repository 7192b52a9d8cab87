"""The spec of a FulfillmentRequest: what Stripe said. The service alone writes it.

The bounds are Stripe's own where it publishes them (metadata: 50 keys of 40 characters with values of 500;
`client_reference_id`: 200 characters), so that whatever Stripe sends fits.
"""

from datetime import datetime
from enum import StrEnum, unique
from typing import Annotated

from msgspec import Meta, Struct, field

from fulfillment_api.bounds import (
    LONGEST_MESSAGE,
    LONGEST_METADATA_KEY,
    LONGEST_METADATA_VALUE,
    LONGEST_REFERENCE,
    MOST_METADATA,
)

Timestamp = Annotated[datetime, Meta(tz=True)]
StripeId = Annotated[str, Meta(min_length=1, max_length=255, pattern="^[A-Za-z0-9_]+$")]
PaymentLinkId = Annotated[str, Meta(pattern="^plink_[A-Za-z0-9_]+$")]
Currency = Annotated[str, Meta(pattern="^[a-z]{3}$", description="ISO 4217 code in lower case, as Stripe writes it.")]
MetadataKey = Annotated[str, Meta(max_length=LONGEST_METADATA_KEY)]
MetadataValue = Annotated[str, Meta(max_length=LONGEST_METADATA_VALUE)]
Metadata = Annotated[
    dict[MetadataKey, MetadataValue],
    Meta(max_length=MOST_METADATA, description="Keys of the Session's metadata that are asked for: not all of them."),
]


@unique
class Mode(StrEnum):
    """What a Checkout Session sells. Sessions in `setup` mode sell nothing, so they have no request."""

    PAYMENT = "payment"
    SUBSCRIPTION = "subscription"


@unique
class PaymentStatus(StrEnum):
    """A Session's `payment_status`, and what later events add.

    `failed` follows from `checkout.session.async_payment_failed`, `canceled` from the events of an authorization that
    was released or lapsed.
    """

    UNPAID = "unpaid"
    PAID = "paid"
    NO_PAYMENT_REQUIRED = "no_payment_required"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to pay: the order may be fulfilled."""
        return self in {PaymentStatus.PAID, PaymentStatus.NO_PAYMENT_REQUIRED}

    def may_become(self, other: "PaymentStatus") -> bool:
        """Tell whether an event may change this status: nothing leaves a paid one, and what ended yields to paid.

        Stripe neither orders events nor sends each once, so an old event must never undo a newer one. The CRD's
        transition rule says the same to everyone who writes.
        """
        match self:
            case PaymentStatus.UNPAID:
                return other is not PaymentStatus.UNPAID
            case PaymentStatus.FAILED:
                return other in {PaymentStatus.CANCELED, PaymentStatus.PAID}
            case PaymentStatus.CANCELED:
                return other is PaymentStatus.PAID
            case PaymentStatus.PAID | PaymentStatus.NO_PAYMENT_REQUIRED:
                return False


PAYMENT_STATUS_RULE = {
    "rule": "self == oldSelf || oldSelf == 'unpaid' || (oldSelf in ['failed', 'canceled'] && self == 'paid') "
    "|| (oldSelf == 'failed' && self == 'canceled')",
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
        Annotated[
            str, Meta(max_length=200, description="The shop's own reference for the buyer or the cart, if asked for.")
        ]
        | None
    ) = None
    metadata: Metadata = field(default_factory=dict)


class Amount(Struct, frozen=True, kw_only=True, rename="camel"):
    """An amount of money in the merchant's currency: what the order costs, or what of it was given back."""

    total: Annotated[int, Meta(description="In the currency's smallest unit, after discounts and taxes.")]
    currency: Currency
    display: Annotated[str, Meta(max_length=40, description='For people: "10.99 USD".')]


class Payment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The payment, as the newest of Stripe's events shows it: a hint, which the operator checks with Stripe."""

    status: Annotated[PaymentStatus, Meta(extra_json_schema={"x-kubernetes-validations": [PAYMENT_STATUS_RULE]})]
    event: Annotated[StripeId, Meta(description="The event that said so, evt_….")] | None = None
    observed_at: Annotated[Timestamp, Meta(description="When that event was received.")] | None = None


@unique
class CallbackResult(StrEnum):
    """The result that the backend of an order in progress reported."""

    DONE = "done"
    REJECTED = "rejected"


class Callback(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The backend's callback about an order that was in progress."""

    result: CallbackResult
    reference: (
        Annotated[str, Meta(max_length=LONGEST_REFERENCE, description="What the backend calls the order.")] | None
    ) = None
    message: (
        Annotated[str, Meta(max_length=LONGEST_MESSAGE, description="Why it was rejected, for a person.")] | None
    ) = None
    observed_at: Annotated[Timestamp, Meta(description="When the callback was received.")] | None = None


class RejectedCallback(Struct, frozen=True, kw_only=True, rename="camel"):
    """A callback about the order that was rejected: the first one since the order was dispatched."""

    message: Annotated[str, Meta(max_length=LONGEST_MESSAGE, description="Why, for a person; nothing of what it said.")]
    observed_at: Annotated[Timestamp, Meta(description="When it was received.")]


@unique
class ReversalKind(StrEnum):
    """What became of the payment after it was made: a refund, a dispute, or how one of them went on."""

    REFUNDED = "refunded"
    """All of the payment was given back."""
    PARTIALLY_REFUNDED = "partially-refunded"
    """A part of it was given back, or more than before: the order stands."""
    REFUND_FAILED = "refund-failed"
    """A refund failed or was canceled, so that less is given back than before."""
    DISPUTED = "disputed"
    """The buyer asks their bank for the payment back, and that is open."""
    DISPUTE_LOST = "dispute-lost"
    INQUIRY = "inquiry"
    """The bank asks, and takes nothing back yet: it may become a dispute."""
    DISPUTE_WON = "dispute-won"
    DISPUTE_PREVENTED = "dispute-prevented"
    """It was settled before the bank took anything back, mostly by a refund."""
    INQUIRY_CLOSED = "inquiry-closed"
    """The inquiry did not become a dispute."""
    FRAUD_WARNING = "fraud-warning"
    """The card's issuer suspects fraud. Nothing is taken back yet."""


class Reversal(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What Stripe's newest event about a refund or a dispute says: a hint, which the operator checks with Stripe."""

    kind: ReversalKind
    event: Annotated[StripeId, Meta(description="The event that said so, evt_….")] | None = None
    observed_at: Annotated[Timestamp, Meta(description="When that event was received.")] | None = None

    @property
    def id(self) -> str:
        """What tells it from another hint: its event, or else its kind."""
        return self.event or self.kind


class Expiry(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """That the Session expired, as `checkout.session.expired` says: a hint, which the operator checks with Stripe."""

    event: Annotated[StripeId, Meta(description="The event that said so, evt_….")] | None = None
    observed_at: Annotated[Timestamp, Meta(description="When that event was received.")] | None = None


class Spec(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What Stripe said of the order. Written by the webhook service alone."""

    session: Annotated[Session, Meta(extra_json_schema={"x-kubernetes-validations": [SESSION_RULE]})]
    payment: Payment
    amount: Amount | None = None
    callback: Callback | None = None
    rejected_callback: RejectedCallback | None = None
    reversal: Reversal | None = None
    expiry: Expiry | None = None
