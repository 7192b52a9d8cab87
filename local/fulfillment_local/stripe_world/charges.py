"""The charge of a payment, its dispute, and its place on an invoice, in the shape of API version 2026-10-28.endive.

Source: https://docs.stripe.com/api/charges/object, /api/disputes/object and /api/invoice-payment/object.
"""

from typing import Any

from fulfillment_local.stripe_world.model import PaymentIntent, PaymentIntentStatus

Json = dict[str, Any]

_WEEK = 7 * 24 * 60 * 60  # seconds within which a dispute is to be answered


def charge_object(intent: PaymentIntent) -> Json:
    """Render a `charge`, as an event shows it and as a PaymentIntent's `latest_charge` is expanded."""
    succeeded = intent.status is PaymentIntentStatus.SUCCEEDED
    pending = intent.status is PaymentIntentStatus.PROCESSING
    return {
        "id": intent.charge,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.amount if succeeded else 0,
        "amount_refunded": intent.amount_refunded,
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
        "disputed": intent.dispute is not None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": intent.order.livemode,
        "metadata": {},
        "on_behalf_of": None,
        "paid": succeeded,
        "payment_intent": intent.id,
        "receipt_email": None,
        "receipt_number": None,
        "refunded": succeeded and intent.refunded,
        "review": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded" if succeeded else "pending" if pending else "failed",
        "transfer_group": None,
    }


def dispute_object(intent: PaymentIntent, *, created: int) -> Json:
    """Render a `dispute`."""
    return {
        "id": intent.dispute,
        "object": "dispute",
        "amount": intent.amount,
        "balance_transactions": [],
        "charge": intent.charge,
        "created": created,
        "currency": intent.order.currency,
        "evidence_details": {
            "due_by": created + _WEEK,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": True,
        "livemode": intent.order.livemode,
        "metadata": {},
        "payment_intent": intent.id,
        "reason": "product_not_received",
        "status": "needs_response",
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
