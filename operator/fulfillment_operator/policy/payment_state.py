"""How the payment of a Session stands: the states of its PaymentIntent as a table, and what the order shows. Pure.

Source: Stripe, "How PaymentIntents work", "Place a hold on a payment method", "Accept a bank transfer" and "Fulfill
orders with Checkout". docs/fulfillmentrequest.md has the table for people.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum, unique
from types import MappingProxyType

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import ConditionStatus, Reason
from fulfillment_operator.checkout.session import (
    CheckoutSession,
    PaymentIntent,
    PaymentIntentStatus,
    SessionPayment,
    SessionStatus,
)
from fulfillment_operator.policy.conditions import ConditionUpdate
from fulfillment_operator.policy.payment_methods import longest_wait

_CAPTURE_IS_URGENT = timedelta(days=1)
"""So long before an authorization lapses a person is told."""
_STRIPE_CATCHES_UP = timedelta(hours=1)
"""So long an event that says paid is believed rather than an answer of Stripe's that the payment came to nothing."""


@unique
class PaymentState(StrEnum):
    """How the payment of a Session stands."""

    PAID = "paid"
    NOTHING_DUE = "nothing-due"
    """It is paid for with nothing: free, or a subscription that is billed later."""
    SESSION_OPEN = "session-open"
    """The buyer has not completed Checkout."""
    PROCESSING = "processing"
    """The payment is on its way."""
    REQUIRES_ACTION = "requires-action"
    """The buyer has something left to do, such as a bank transfer."""
    REQUIRES_CAPTURE = "requires-capture"
    """It is authorized, and the seller has to capture it."""
    FAILED = "failed"
    """The buyer's payment method failed."""
    CANCELED = "canceled"
    """The seller released it, or it lapsed: nothing is wrong with the buyer's payment method."""


_STATES: Mapping[PaymentIntentStatus, PaymentState] = MappingProxyType(
    {
        PaymentIntentStatus.SUCCEEDED: PaymentState.PAID,  # the Session follows
        PaymentIntentStatus.PROCESSING: PaymentState.PROCESSING,
        PaymentIntentStatus.REQUIRES_CAPTURE: PaymentState.REQUIRES_CAPTURE,
        PaymentIntentStatus.REQUIRES_ACTION: PaymentState.REQUIRES_ACTION,
        PaymentIntentStatus.REQUIRES_CONFIRMATION: PaymentState.REQUIRES_ACTION,
        PaymentIntentStatus.REQUIRES_PAYMENT_METHOD: PaymentState.REQUIRES_ACTION,  # FAILED after a try that failed
        PaymentIntentStatus.CANCELED: PaymentState.CANCELED,
        PaymentIntentStatus.UNKNOWN: PaymentState.PROCESSING,
    }
)
"""The state of a completed, unpaid Session by the status of what pays it."""
_BY_EVENT: Mapping[PaymentStatus, PaymentState] = MappingProxyType(
    {PaymentStatus.FAILED: PaymentState.FAILED, PaymentStatus.CANCELED: PaymentState.CANCELED}
)
"""The state where Stripe does not tell what pays it: as its event said."""
_FAILED_INVOICE = "failed_invoice"
_LAPSED = frozenset({"automatic", "expired"})
"""The `cancellation_reason`s of what Stripe canceled by itself, because its time was over."""
_CANCELED_BY_SELLER = frozenset({"abandoned", "duplicate", "fraudulent", "requested_by_customer", "void_invoice"})


def payment_state(request: FulfillmentRequest, session: CheckoutSession, now: datetime) -> PaymentState:
    """Tell how the payment of a Session stands that has not expired.

    Args:
        request: the object as it stands in the cluster, with what the newest event said.
        session: what Stripe says now.
        now: the time, with its zone.
    """
    if session.status is SessionStatus.OPEN:
        return PaymentState.SESSION_OPEN
    if session.payment is SessionPayment.PAID:
        return PaymentState.PAID
    if session.payment is SessionPayment.NO_PAYMENT_REQUIRED:
        return PaymentState.NOTHING_DUE
    state = _unpaid(session.payment_intent, request.spec.payment.status)
    ended = state in {PaymentState.FAILED, PaymentState.CANCELED}
    return PaymentState.PROCESSING if ended and _is_newly_paid(request, now) else state


def _unpaid(intent: PaymentIntent | None, event: PaymentStatus) -> PaymentState:
    if intent is None or intent.status is PaymentIntentStatus.UNKNOWN:
        return _BY_EVENT.get(event, PaymentState.PROCESSING)
    match intent.status:
        case PaymentIntentStatus.REQUIRES_PAYMENT_METHOD if intent.has_error or event is PaymentStatus.FAILED:
            return PaymentState.FAILED
        case PaymentIntentStatus.CANCELED if intent.cancellation_reason == _FAILED_INVOICE:
            return PaymentState.FAILED
        case status:
            return _STATES[status]


def _is_newly_paid(request: FulfillmentRequest, now: datetime) -> bool:
    """Tell whether an event said a moment ago that it is paid: then an answer that denies it may be older."""
    payment = request.spec.payment
    observed_at = payment.observed_at or request.metadata.creation_timestamp
    return payment.status is PaymentStatus.PAID and now < observed_at + _STRIPE_CATCHES_UP


def is_overdue(request: FulfillmentRequest, session: CheckoutSession, state: PaymentState, now: datetime) -> bool:
    """Tell whether a person must look at a payment that is awaited.

    An authorization is overdue a day before it lapses; what the buyer or their bank has to do, when it takes longer
    than the payment method can. A Session that is open ends by itself.
    """
    match state:
        case PaymentState.REQUIRES_CAPTURE:
            before = session.payment_intent.capture_before if session.payment_intent else None
            return before is not None and now > before - _CAPTURE_IS_URGENT
        case PaymentState.PROCESSING | PaymentState.REQUIRES_ACTION:
            return now > request.metadata.creation_timestamp + longest_wait(session.payment_methods)
        case _:
            return False


def payment_condition(session: CheckoutSession, state: PaymentState) -> ConditionUpdate:
    """Say how the payment stands: the condition Paid, and the reason and message of an order that awaits it."""
    match state:
        case PaymentState.PAID:
            return ConditionStatus.TRUE, Reason.PAID, _paid(session)
        case PaymentState.NOTHING_DUE:
            return ConditionStatus.TRUE, Reason.NO_PAYMENT_REQUIRED, _nothing_due(session)
        case PaymentState.SESSION_OPEN:
            return ConditionStatus.FALSE, Reason.SESSION_OPEN, "the buyer has not completed Checkout yet, Stripe says"
        case PaymentState.PROCESSING:
            return (
                ConditionStatus.FALSE,
                Reason.PAYMENT_PROCESSING,
                "the payment is on its way; it may take days to succeed or fail",
            )
        case PaymentState.REQUIRES_ACTION:
            return ConditionStatus.FALSE, Reason.PAYMENT_REQUIRES_ACTION, _requires_action(session.payment_intent)
        case PaymentState.REQUIRES_CAPTURE:
            return ConditionStatus.FALSE, Reason.PAYMENT_REQUIRES_CAPTURE, _requires_capture(session.payment_intent)
        case PaymentState.FAILED:
            return ConditionStatus.FALSE, Reason.PAYMENT_FAILED, "the payment failed"
        case PaymentState.CANCELED:
            return ConditionStatus.FALSE, Reason.PAYMENT_CANCELED, _canceled(session.payment_intent)


def awaited(session: CheckoutSession, state: PaymentState, *, overdue: bool) -> tuple[Reason, str]:
    """Say what an order waits for: its reason and message; `overdue` when a person must look at it."""
    _, reason, message = payment_condition(session, state)
    return (Reason.PAYMENT_OVERDUE, _overdue_message(state, message)) if overdue else (reason, message)


def _overdue_message(state: PaymentState, message: str) -> str:
    match state:
        case PaymentState.REQUIRES_CAPTURE:
            return f"the authorization is about to lapse: {message}"
        case PaymentState.REQUIRES_ACTION:
            return f"the buyer takes longer than the payment method gives them: {message}"
        case _:
            return "the payment takes longer than its method can: look at it in the Stripe Dashboard"


def _paid(session: CheckoutSession) -> str:
    intent = session.payment_intent
    if intent is None or intent.amount is None or session.amount is None or session.amount != intent.received:
        return "Stripe has the payment"
    return (
        "Stripe has the payment"
        if session.amount == intent.amount
        else f"{session.amount.display} were captured of the {intent.amount.display} that were authorized"
    )


def _nothing_due(session: CheckoutSession) -> str:
    if session.mode == "payment" and (session.amount is None or session.amount.total == 0):
        return "the order costs nothing"
    return "no payment is due now: Stripe bills it as it falls due"


def _requires_action(intent: PaymentIntent | None) -> str:
    if intent is None or intent.received is None or intent.amount is None:
        return "the buyer has yet to do their part, such as a bank transfer or a payment at a shop"
    return f"{intent.received.display} of {intent.amount.display} have come; the buyer has yet to pay the rest"


def _requires_capture(intent: PaymentIntent | None) -> str:
    taken = f"{intent.received.display} are captured, the rest is" if intent and intent.received else "the payment is"
    until = f", before {intent.capture_before:%Y-%m-%d %H:%M} UTC" if intent and intent.capture_before else ""
    return f"{taken} authorized: capture it in the Stripe Dashboard or by the API{until}"


def _canceled(intent: PaymentIntent | None) -> str:
    reason = intent.cancellation_reason if intent else None
    if reason in _LAPSED:
        return "the payment was canceled by Stripe, because it was not captured or completed in time"
    return "the payment was canceled" + (f" ({reason})" if reason in _CANCELED_BY_SELLER else "") + ", not declined"
