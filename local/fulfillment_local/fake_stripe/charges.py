"""The charge of a payment, its refunds and disputes, and its place on an invoice: API version 2026-10-28.endive.

Source: https://docs.stripe.com/api/charges/object, /api/refunds/object, /api/disputes/object,
/api/radar/early_fraud_warnings/object and /api/invoice-payment/object.
"""

from typing import Any

from fulfillment_local.fake_stripe.model import (
    Dispute,
    DisputeStatus,
    PaymentIntent,
    PaymentIntentStatus,
    Refund,
    RefundStatus,
)

Json = dict[str, Any]

_WEEK = 7 * 24 * 60 * 60  # seconds within which a dispute is to be answered, and an authorization to be captured


def charge_object(intent: PaymentIntent) -> Json:
    """Render a `charge`, as an event shows it and as a PaymentIntent's `latest_charge` is expanded."""
    succeeded = intent.status is PaymentIntentStatus.SUCCEEDED
    pending = intent.status in {PaymentIntentStatus.PROCESSING, PaymentIntentStatus.REQUIRES_ACTION}
    released = intent.is_captured_manually and intent.status is PaymentIntentStatus.CANCELED
    authorized = intent.is_captured_manually and not released
    let_go = released or (succeeded and intent.is_captured_manually)  # what is not captured counts as refunded
    return {
        "id": intent.charge,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.received if succeeded else 0,
        "amount_refunded": intent.amount_refunded + (intent.amount - intent.received if let_go else 0),
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "calculated_statement_descriptor": None,
        "captured": succeeded,
        "created": intent.created,
        "currency": intent.order.currency,
        "customer": None,
        "description": None,
        "disputed": bool(intent.disputes),
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": intent.order.livemode,
        "metadata": {},
        "on_behalf_of": None,
        "paid": succeeded or authorized or released,
        "payment_intent": intent.id,
        "payment_method_details": {
            "type": intent.method,
            **({"card": {"capture_before": intent.created + _WEEK}} if intent.is_captured_manually else {}),
        },
        "receipt_email": None,
        "receipt_number": None,
        "refunded": released or (succeeded and intent.refunded),
        "review": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded" if succeeded or authorized or released else "pending" if pending else "failed",
        "transfer_group": None,
    }


def refund_object(intent: PaymentIntent, refund: Refund) -> Json:
    """Render a `refund`."""
    failed = refund.status is RefundStatus.FAILED
    return {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": None,
        "charge": intent.charge,
        "created": refund.created,
        "currency": intent.order.currency,
        "metadata": {},
        "payment_intent": intent.id,
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": refund.status,
        "transfer_reversal": None,
        **({"failure_reason": "expired_or_canceled_card"} if failed else {}),
    }


def fraud_warning_object(intent: PaymentIntent, *, created: int) -> Json:
    """Render a `radar.early_fraud_warning`."""
    return {
        "id": intent.fraud_warning,
        "object": "radar.early_fraud_warning",
        "actionable": not intent.disputes and not intent.refunded,
        "charge": intent.charge,
        "created": created,
        "fraud_type": "unauthorized_use_of_card",
        "livemode": intent.order.livemode,
        "payment_intent": intent.id,
    }


_OPEN = {DisputeStatus.NEEDS_RESPONSE, DisputeStatus.WARNING_NEEDS_RESPONSE}


def dispute_object(intent: PaymentIntent, dispute: Dispute) -> Json:
    """Render a `dispute`."""
    created = dispute.created
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": intent.amount,
        "balance_transactions": [],
        "charge": intent.charge,
        "created": created,
        "currency": intent.order.currency,
        "evidence_details": {
            "due_by": created + _WEEK,
            "has_evidence": dispute.status not in _OPEN,
            "past_due": False,
            "submission_count": 0 if dispute.status in _OPEN else 1,
        },
        "is_charge_refundable": True,
        "livemode": intent.order.livemode,
        "metadata": {},
        "payment_intent": intent.id,
        "reason": "product_not_received",
        "status": dispute.status,
    }


def invoice_object(intent: PaymentIntent, invoice: str) -> Json:
    """Render the part of an `invoice` that tells where the buyer finds it."""
    return {
        "id": invoice,
        "object": "invoice",
        "created": intent.created,
        "currency": intent.order.currency,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/{invoice}/pdf",
        "livemode": intent.order.livemode,
        "total": intent.amount,
    }


def invoice_payment_object(intent: PaymentIntent, invoice: str) -> Json:
    """Render an `invoice_payment`: which PaymentIntent pays an invoice."""
    paid = intent.status is PaymentIntentStatus.SUCCEEDED
    canceled = intent.status is PaymentIntentStatus.CANCELED
    return {
        "id": intent.invoice_payment,
        "object": "invoice_payment",
        "amount_paid": intent.amount if paid else None,
        "amount_requested": intent.amount,
        "created": intent.created,
        "currency": intent.order.currency,
        "invoice": invoice,
        "is_default": True,
        "livemode": intent.order.livemode,
        "payment": {"payment_intent": intent.id, "type": "payment_intent"},
        "status": "paid" if paid else "canceled" if canceled else "open",
        "status_transitions": {
            "canceled_at": intent.created if canceled else None,
            "paid_at": intent.created if paid else None,
        },
    }
