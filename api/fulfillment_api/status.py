"""The status of a FulfillmentRequest: what became of the order. The operator writes it, all but `manual`."""

from datetime import datetime
from enum import StrEnum, unique
from typing import Annotated

from msgspec import Meta, Struct

from fulfillment_api.bounds import LONGEST_MESSAGE, LONGEST_REFERENCE
from fulfillment_api.spec import Amount, Currency, ReversalKind, StripeId, Timestamp

_CONDITION_REASON = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"


@unique
class Phase(StrEnum):
    """Where the order stands. Only `fulfilled` is final: a failed payment may still be paid after all."""

    AWAITING_PAYMENT = "awaiting-payment"
    FULFILLING = "fulfilling"
    FULFILLED = "fulfilled"
    FAILED = "failed"


PHASE_RULE = {
    "rule": f"self == oldSelf || oldSelf != '{Phase.FULFILLED}'",
    "message": "an order that is fulfilled stays so, whoever writes late",
}


@unique
class Reason(StrEnum):
    """Why a request is in its phase, or a condition has its status.

    An open set, as Kubernetes' API conventions ask of reasons: readers must expect others.
    """

    PAYMENT_PROCESSING = "PaymentProcessing"
    """The buyer authorized a delayed payment; the funds are on their way."""
    PAYMENT_REQUIRES_ACTION = "PaymentRequiresAction"
    """The buyer has something left to do: a bank transfer, of which a part may have come, or a voucher to pay."""
    PAYMENT_REQUIRES_CAPTURE = "PaymentRequiresCapture"
    """The payment is authorized: the seller has to capture it."""
    SESSION_OPEN = "SessionOpen"
    """The buyer has not completed Checkout, Stripe says, though an event said so."""
    PAID = "Paid"
    NO_PAYMENT_REQUIRED = "NoPaymentRequired"
    PAYMENT_FAILED = "PaymentFailed"
    """The payment was declined or failed otherwise; the customer is asked for a new order."""
    PAYMENT_CANCELED = "PaymentCanceled"
    """The seller released the payment, or it lapsed. The buyer's payment method did not fail, so nobody is mailed."""
    SESSION_EXPIRED = "SessionExpired"
    """The Session was never completed. That is no failed payment, so nobody is mailed."""
    NOTHING_TO_FULFILL = "NothingToFulfill"
    """The Session is in setup mode: it saved a payment method, and sold nothing, so nothing is left to fulfill."""
    SESSION_NOT_FOUND = "SessionNotFound"
    """Stripe knows no such Session under this API key."""
    SESSION_UNREADABLE = "SessionUnreadable"
    """Stripe's answer about the Session is of a form that this version cannot judge."""
    LIVEMODE_MISMATCH = "LivemodeMismatch"
    """A test order under a live key, or the reverse."""
    NAME_MISMATCH = "NameMismatch"
    """The object's name is not the one of its Session: another object is, or may become, the order."""
    STRIPE_UNAVAILABLE = "StripeUnavailable"
    """Stripe cannot be asked right now."""
    STRIPE_MISCONFIGURED = "StripeMisconfigured"
    """Stripe rejects the API key or its permissions: a person must mend the settings, then all goes on."""
    BACKEND_UNAVAILABLE = "BackendUnavailable"
    """The fulfillment backend had a passing fault; it is retried."""
    FULFILLMENT_FAILED = "FulfillmentFailed"
    """The backend rejected the order, or its deadline passed: a person is needed."""
    DISPATCHED = "Dispatched"
    """The backend has the order, and works on it."""
    NO_ROUTE = "NoRoute"
    """No route takes the order: a person must add one, then retry the order."""
    PAUSED = "Paused"
    """A person paused the order."""
    RESTORED = "Restored"
    """A backup brought the order back without its status: a person must say whether it was done."""
    MANUALLY_COMPLETED = "ManuallyCompleted"
    """A person completed the order."""
    MANUALLY_FAILED = "ManuallyFailed"
    """A person failed the order."""
    PAYMENT_OVERDUE = "PaymentOverdue"
    """The payment takes longer than its method can: a person must act."""
    FULFILLED = "Fulfilled"
    REFUNDED = "Refunded"
    """All of the payment was given back. Of a failed request: before the order was fulfilled."""
    PARTIALLY_REFUNDED = "PartiallyRefunded"
    """A part of the payment was given back."""
    REFUND_FAILED = "RefundFailed"
    """A refund failed. Of a failed request: the one that stopped the order; a person decides how it goes on."""
    DISPUTED = "Disputed"
    """The buyer disputes the payment. Of a failed request: before the order was fulfilled."""
    DISPUTE_LOST = "DisputeLost"
    """The dispute was lost. Of a failed request: before the order was fulfilled."""
    DISPUTE_WON = "DisputeWon"
    """The dispute was won. Of a failed request: the one that stopped the order; a person decides how it goes on."""
    DISPUTE_PREVENTED = "DisputePrevented"
    """The dispute was settled before the bank took anything back. Of a failed request: as above."""
    INQUIRY = "Inquiry"
    """The buyer's bank inquires about the payment, and has taken nothing back."""
    INQUIRY_CLOSED = "InquiryClosed"
    """The inquiry did not become a dispute."""
    EARLY_FRAUD_WARNING = "EarlyFraudWarning"
    """The card's issuer suspects fraud."""
    MAIL_SENT = "MailSent"
    MAIL_UNAVAILABLE = "MailUnavailable"
    """The mail server had a passing fault; the mail is retried."""
    MAIL_REJECTED = "MailRejected"
    """The mail server rejected the mail, or put it off for three days."""
    MAIL_NOT_CONFIGURED = "MailNotConfigured"
    NO_EMAIL_ADDRESS = "NoEmailAddress"
    """Stripe has no e-mail address of this customer."""
    INVALID_ANNOTATION = "InvalidAnnotation"
    """An annotation of ours is invalid."""
    ANNOTATIONS_VALID = "AnnotationsValid"
    CALLBACK_REJECTED = "CallbackRejected"
    """A callback about the order was not the backend's, or not understood."""
    CALLBACK_ACCEPTED = "CallbackAccepted"


HELD = frozenset({Reason.PAUSED, Reason.RESTORED})
"""The reasons of an order that a person holds, or must release."""
WAITING_FOR_OTHERS = HELD | {Reason.DISPATCHED}
"""The reasons of an order for which the operator has nothing to do, however long it takes."""


@unique
class ConditionType(StrEnum):
    """What can be waited for with `kubectl wait --for=condition=…`. Ready and Stalled are as kstatus reads them."""

    PAID = "Paid"
    FULFILLED = "Fulfilled"
    CUSTOMER_NOTIFIED = "CustomerNotified"
    REFUNDED = "Refunded"
    DISPUTED = "Disputed"
    FRAUD_WARNING = "FraudWarning"
    ANNOTATIONS_VALID = "AnnotationsValid"
    CALLBACK_ACCEPTED = "CallbackAccepted"
    READY = "Ready"
    STALLED = "Stalled"


INPUT_CONDITIONS = (ConditionType.ANNOTATIONS_VALID, ConditionType.CALLBACK_ACCEPTED)
"""The conditions that are there only once an input was invalid, and become true when it is mended."""


@unique
class ConditionStatus(StrEnum):
    """metav1.ConditionStatus."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One aspect of the order, as metav1.Condition."""

    type: Annotated[str, Meta(max_length=316, description="Paid, Fulfilled, Ready, ….")]
    status: ConditionStatus
    reason: Annotated[
        str,
        Meta(min_length=1, max_length=1024, pattern=_CONDITION_REASON, description="One word for programs."),
    ]
    message: Annotated[str, Meta(max_length=32768, description="One sentence for a person.")]
    last_transition_time: Annotated[Timestamp, Meta(description="When the status last changed.")]
    observed_generation: Annotated[int, Meta(ge=0, description="The generation of the spec it was decided on.")] = 0


class LineItem(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One line of the order."""

    id: Annotated[str, Meta(max_length=255, description="The line item's id, li_….")]
    description: (
        Annotated[str, Meta(max_length=5000, description="The product's name, as the buyer saw it.")] | None
    ) = None
    quantity: Annotated[int, Meta(ge=0, description="How many of it.")] | None = None
    price: Annotated[str, Meta(max_length=255, description="The Price, price_….")] | None = None
    product: Annotated[str, Meta(max_length=255, description="The Product, prod_….")] | None = None
    amount_total: (
        Annotated[int, Meta(description="In the currency's smallest unit, after discounts and taxes.")] | None
    ) = None
    currency: Currency | None = None


class Order(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The order's copy, as Stripe had it when it was last asked."""

    line_items: Annotated[
        list[LineItem],
        Meta(
            max_length=1000,
            description="All line items, in Stripe's order; none once they were removed.",
            extra_json_schema={"x-kubernetes-list-type": "atomic"},
        ),
    ]
    removed_line_items: (
        Annotated[
            int,
            Meta(
                ge=1, description="How many line items were removed, since the order ended long ago: Stripe has them."
            ),
        ]
        | None
    ) = None
    amount: Amount | None = None
    presentment: (
        Annotated[
            Amount,
            Meta(description="What the buyer saw and paid, where that is another currency than the merchant's."),
        ]
        | None
    ) = None


Times = Annotated[int, Meta(ge=1)]


class Reversals(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What became of the payment after it was made, as Stripe had it when it was last asked."""

    amount_refunded: Annotated[Amount, Meta(description="What was given back.")] | None = None
    news: Annotated[
        dict[str, Times],
        Meta(
            max_length=16,
            description="How often each kind of refund or dispute was news, by its name: refunded, disputed, ….",
        ),
    ] = {}
    untold: Annotated[
        list[ReversalKind],
        Meta(max_length=16, description="Those that the backend does not know yet: it is notified again."),
    ] = []
    handled: (
        Annotated[StripeId, Meta(description="The event of the newest hint that was checked with Stripe.")] | None
    ) = None


class Fulfillment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the fulfillment backend did."""

    backend: Annotated[str, Meta(max_length=63, description="The backend's name: log, http, ….")]
    attempts: Annotated[
        int, Meta(ge=0, description="How often the order was dispatched to the backend, since the last manual retry.")
    ]
    started_at: Annotated[Timestamp, Meta(description="When it was first dispatched, since the last manual retry.")]
    accepted_at: (
        Annotated[Timestamp, Meta(description="When the backend accepted the order, to report its result later.")]
        | None
    ) = None
    completed_at: Annotated[Timestamp, Meta(description="When the backend was done.")] | None = None
    next_attempt_at: Annotated[Timestamp, Meta(description="When it is dispatched again.")] | None = None
    reference: (
        Annotated[str, Meta(max_length=LONGEST_REFERENCE, description="What the backend calls the order.")] | None
    ) = None
    last_error: Annotated[str, Meta(max_length=LONGEST_MESSAGE, description="What went wrong last.")] | None = None


class LastHandled(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The newest value of each manual action that was handled, so that none is handled twice."""

    retry: Annotated[str, Meta(max_length=LONGEST_MESSAGE, description="The value of the annotation retry.")] | None = (
        None
    )
    complete: (
        Annotated[str, Meta(max_length=LONGEST_MESSAGE, description="The value of the annotation complete.")] | None
    ) = None
    fail: Annotated[str, Meta(max_length=LONGEST_MESSAGE, description="The value of the annotation fail.")] | None = (
        None
    )
    manual: Annotated[str, Meta(max_length=LONGEST_MESSAGE, description="The value of status.manual.")] | None = None


class Manual(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How an order ended that the manual backend has, as another controller says. The operator never writes it."""

    complete: (
        Annotated[str, Meta(max_length=LONGEST_MESSAGE, description="It is fulfilled: the reference of what was done.")]
        | None
    ) = None
    fail: Annotated[str, Meta(max_length=LONGEST_MESSAGE, description="It cannot be fulfilled: why.")] | None = None


class Status(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What became of the order. Written by the operator alone, but for `manual`."""

    phase: Annotated[Phase, Meta(extra_json_schema={"x-kubernetes-validations": [PHASE_RULE]})]
    reason: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1024,
            pattern=_CONDITION_REASON,
            description="Why it is in this phase, in one word.",
        ),
    ]
    message: Annotated[str, Meta(max_length=32768, description="Why it is in this phase, in one sentence.")]
    observed_generation: Annotated[int, Meta(ge=0, description="The generation of the spec it was decided on.")]
    conditions: Annotated[
        list[Condition],
        Meta(
            max_length=16,
            description="The aspects of the order.",
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ]
    order: Order | None = None
    payment_intent: (
        Annotated[StripeId, Meta(description="The PaymentIntent, pi_…, where no event named it: Stripe was asked.")]
        | None
    ) = None
    fulfillment: Fulfillment | None = None
    reversals: Reversals | None = None
    last_handled: LastHandled | None = None
    manual: Manual | None = None

    def condition(self, kind: ConditionType) -> Condition | None:
        """Return the condition of this type, if there is one."""
        return next((each for each in self.conditions if each.type == kind), None)

    @property
    def paid_at(self) -> datetime | None:
        """When the order was paid, for a bank may take days; None where that is not known."""
        paid = self.condition(ConditionType.PAID)
        return paid.last_transition_time if paid is not None and paid.status is ConditionStatus.TRUE else None
