"""The event types of Stripe's that concern this product (Stripe, "Types of events")."""

from enum import StrEnum, unique
from typing import Literal


@unique
class StripeEventType(StrEnum):
    """An event's `type`: those of Stripe's guide to fulfillment, of payments that wait, and of what can come after."""

    COMPLETED = "checkout.session.completed"
    ASYNC_PAYMENT_SUCCEEDED = "checkout.session.async_payment_succeeded"
    ASYNC_PAYMENT_FAILED = "checkout.session.async_payment_failed"
    EXPIRED = "checkout.session.expired"
    CAPTURED = "charge.captured"
    AUTHORIZATION_EXPIRED = "charge.expired"
    PAYMENT_SUCCEEDED = "payment_intent.succeeded"
    PAYMENT_CANCELED = "payment_intent.canceled"
    PARTIALLY_FUNDED = "payment_intent.partially_funded"
    REFUNDED = "charge.refunded"
    REFUND_FAILED = "refund.failed"
    REFUND_UPDATED = "refund.updated"
    DISPUTED = "charge.dispute.created"
    DISPUTE_FUNDS_WITHDRAWN = "charge.dispute.funds_withdrawn"
    """Of an inquiry that became a dispute it is the first that says so."""
    DISPUTE_FUNDS_REINSTATED = "charge.dispute.funds_reinstated"
    DISPUTE_CLOSED = "charge.dispute.closed"
    FRAUD_WARNING = "radar.early_fraud_warning.created"


CheckoutType = Literal[
    StripeEventType.COMPLETED, StripeEventType.ASYNC_PAYMENT_SUCCEEDED, StripeEventType.ASYNC_PAYMENT_FAILED
]
"""Of a Session that was completed, or whose delayed payment came to its end."""
PaymentType = Literal[
    StripeEventType.CAPTURED,
    StripeEventType.AUTHORIZATION_EXPIRED,
    StripeEventType.PAYMENT_SUCCEEDED,
    StripeEventType.PAYMENT_CANCELED,
    StripeEventType.PARTIALLY_FUNDED,
]
"""Of an authorization that was captured, released or has lapsed, or a bank transfer of which a part has come."""
ReversalType = Literal[
    StripeEventType.REFUNDED,
    StripeEventType.REFUND_FAILED,
    StripeEventType.REFUND_UPDATED,
    StripeEventType.DISPUTED,
    StripeEventType.DISPUTE_FUNDS_WITHDRAWN,
    StripeEventType.DISPUTE_FUNDS_REINSTATED,
    StripeEventType.DISPUTE_CLOSED,
    StripeEventType.FRAUD_WARNING,
]
"""Of a refund or a dispute, or of how one went on."""
