"""The status of a FulfillmentRequest: what became of the order. The operator writes it, all but `manual`."""

from enum import StrEnum, unique
from typing import Annotated

from msgspec import Meta, Struct

from fulfillment_api.spec import Amount, Currency, StripeId, Timestamp

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
    PAID = "Paid"
    NO_PAYMENT_REQUIRED = "NoPaymentRequired"
    PAYMENT_FAILED = "PaymentFailed"
    """The payment was declined or failed otherwise; the customer is asked for a new order."""
    SESSION_EXPIRED = "SessionExpired"
    """The Session was never completed. That is no failed payment, so nobody is mailed."""
    NOTHING_TO_FULFILL = "NothingToFulfill"
    """The Session is in setup mode: it saved a payment method, and sold nothing."""
    SESSION_NOT_FOUND = "SessionNotFound"
    """Stripe knows no such Session under this API key."""
    LIVEMODE_MISMATCH = "LivemodeMismatch"
    """A test order under a live key, or the reverse."""
    NAME_MISMATCH = "NameMismatch"
    """The object's name is not the one of its Session: another object is, or may become, the order."""
    STRIPE_UNAVAILABLE = "StripeUnavailable"
    """Stripe cannot be asked right now."""
    STRIPE_MISCONFIGURED = "StripeMisconfigured"
    """Stripe refuses the API key or its permissions: a person must mend the settings, then all goes on."""
    BACKEND_UNAVAILABLE = "BackendUnavailable"
    """The fulfillment backend had a passing fault; it is tried again."""
    FULFILLMENT_FAILED = "FulfillmentFailed"
    """The backend refused the order for good, or its deadline passed: a person is needed."""
    HANDED_OVER = "HandedOver"
    """The backend has the order, and works on it."""
    NO_ROUTE = "NoRoute"
    """No route takes the order: a person must add one, then ask for another try."""
    PAUSED = "Paused"
    """A person holds the order."""
    COMPLETED_BY_HAND = "CompletedByHand"
    """A person said that the order is fulfilled."""
    FAILED_BY_HAND = "FailedByHand"
    """A person said that the order is not to be fulfilled."""
    PAYMENT_OVERDUE = "PaymentOverdue"
    """The payment takes longer than its method can: a person must look."""
    FULFILLED = "Fulfilled"
    REFUNDED = "Refunded"
    """All of the payment was given back. Of a failed request: before the order was fulfilled."""
    DISPUTED = "Disputed"
    """The buyer disputes the payment. Of a failed request: before the order was fulfilled."""
    MAIL_SENT = "MailSent"
    MAIL_UNAVAILABLE = "MailUnavailable"
    """The mail server had a passing fault; the mail is tried again."""
    MAIL_REFUSED = "MailRefused"
    """The mail server refused the mail for good, or its deadline passed."""
    MAIL_NOT_CONFIGURED = "MailNotConfigured"
    NO_EMAIL_ADDRESS = "NoEmailAddress"
    """Stripe has no e-mail address of this customer."""
    ODD_ANNOTATION = "OddAnnotation"
    """A person wrote an annotation that means nothing."""
    UNDERSTOOD = "Understood"
    CALLBACK_REFUSED = "CallbackRefused"
    """A callback about the order was not the backend's, or not understood."""
    CALLBACK_ACCEPTED = "CallbackAccepted"


@unique
class ConditionType(StrEnum):
    """What can be waited for with `kubectl wait --for=condition=…`. Ready and Stalled are as kstatus reads them."""

    PAID = "Paid"
    FULFILLED = "Fulfilled"
    CUSTOMER_NOTIFIED = "CustomerNotified"
    REFUNDED = "Refunded"
    DISPUTED = "Disputed"
    ANNOTATIONS_UNDERSTOOD = "AnnotationsUnderstood"
    CALLBACK_ACCEPTED = "CallbackAccepted"
    READY = "Ready"
    STALLED = "Stalled"


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
            description="All line items, in Stripe's order.",
            extra_json_schema={"x-kubernetes-list-type": "atomic"},
        ),
    ]
    amount: Amount | None = None


class Fulfillment(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the fulfillment backend did."""

    backend: Annotated[str, Meta(max_length=63, description="The backend's name: log, http, ….")]
    attempts: Annotated[
        int, Meta(ge=0, description="How often the order was handed to the backend, since a person last asked for it.")
    ]
    started_at: Annotated[
        Timestamp, Meta(description="When it was first handed over, since a person last asked for it.")
    ]
    accepted_at: (
        Annotated[Timestamp, Meta(description="When the backend took the order, to say later what became of it.")]
        | None
    ) = None
    completed_at: Annotated[Timestamp, Meta(description="When the backend said it is done.")] | None = None
    next_attempt_at: Annotated[Timestamp, Meta(description="When it is handed over again.")] | None = None
    reference: Annotated[str, Meta(max_length=255, description="What the backend calls the order.")] | None = None
    last_error: Annotated[str, Meta(max_length=1024, description="What went wrong last.")] | None = None


class Obeyed(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The newest instruction of each kind that was followed, so that none is followed twice."""

    retry: Annotated[str, Meta(max_length=1024, description="The value of the annotation retry.")] | None = None
    complete: Annotated[str, Meta(max_length=1024, description="The value of the annotation complete.")] | None = None
    fail: Annotated[str, Meta(max_length=1024, description="The value of the annotation fail.")] | None = None
    manual: Annotated[str, Meta(max_length=1024, description="What status.manual said.")] | None = None


class Manual(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How an order ended that the manual backend has, as another controller says. The operator never writes it."""

    complete: (
        Annotated[str, Meta(max_length=1024, description="It is fulfilled: the reference of what was done.")] | None
    ) = None
    fail: Annotated[str, Meta(max_length=1024, description="It cannot be fulfilled: why.")] | None = None


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
    obeyed: Obeyed | None = None
    manual: Manual | None = None

    def condition(self, kind: ConditionType) -> Condition | None:
        """Return the condition of this type, if there is one."""
        return next((each for each in self.conditions if each.type == kind), None)
