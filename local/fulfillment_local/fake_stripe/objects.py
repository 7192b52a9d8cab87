"""Records → the JSON objects of Stripe's API, in the shape of API version 2026-10-28.endive.

Source: https://docs.stripe.com/api/checkout/sessions/object and its siblings. A test holds the keys against
the official stripe-mock.
"""

import hashlib
import string
from datetime import UTC, datetime
from typing import Any, TypeAlias

from fulfillment_local.fake_stripe.charges import (
    charge_object,
    dispute_object,
    fraud_warning_object,
    refund_object,
)
from fulfillment_local.fake_stripe.model import (
    API_VERSION,
    DeliveryState,
    Event,
    EventType,
    LineItem,
    Mode,
    Order,
    Outcome,
    PaymentIntent,
    PaymentIntentStatus,
    Session,
    SessionStatus,
)
from fulfillment_local.fake_stripe.page_objects import page_fields

Json: TypeAlias = dict[str, Any]

BANK_TRANSFER = "customer_balance"  # the type of the payment method
DAY = 24 * 60 * 60  # seconds that a Session stays open


def session_object(session: Session) -> Json:
    """Render a `checkout.session`. Its line items are left out, as Stripe does unless asked to expand them."""
    order, setup = session.order, session.order.mode is Mode.SETUP
    is_open = session.status is SessionStatus.OPEN
    address = {
        "city": session.buyer.city,
        "country": session.buyer.country,
        "line1": session.buyer.line1,
        "line2": None,
        "postal_code": session.buyer.postal_code,
        "state": session.buyer.state,
    }
    return {
        "id": session.id,
        "object": "checkout.session",
        "allow_promotion_codes": None,
        "amount_subtotal": None if setup else session.subtotal,
        "amount_total": None if setup else session.total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": "auto",
        "cancel_url": "https://shop.example.com/basket",
        "client_reference_id": order.client_reference_id,
        "client_secret": None,
        "collected_information": {
            "business_name": order.page.business_name,
            "individual_name": order.page.individual_name,
            "shipping_details": (
                {"address": address, "name": session.buyer.name} if order.mode is Mode.PAYMENT and not is_open else None
            ),
        },
        "consent_collection": None,
        "created": session.created,
        "currency": None if setup else order.currency,
        "currency_conversion": None,
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": session.customer,
        "customer_account": None,
        "customer_creation": "if_required" if order.mode is Mode.PAYMENT else "always",
        "customer_details": None if session.status is not SessionStatus.COMPLETE else _details(session, address),
        "customer_email": None,
        "expires_at": session.created + DAY,
        "integration_identifier": None,
        "invoice": session.invoice,
        "invoice_creation": None,
        "livemode": order.livemode,
        "metadata": dict(order.metadata),
        "mode": order.mode,
        "origin_context": None,
        "payment_intent": session.payment_intent,
        "payment_link": order.payment_link,
        "payment_method_collection": "always" if order.mode is Mode.SUBSCRIPTION else "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": payment_method_types(order),
        "payment_status": session.payment_status,
        "permissions": None,
        "phone_number_collection": {"enabled": True},
        "saved_payment_method_options": None,
        "setup_intent": session.setup_intent,
        "shipping_address_collection": None,
        "shipping_options": [],
        "status": session.status,
        "submit_type": None,
        "subscription": session.subscription,
        "success_url": "https://shop.example.com/thanks?session_id={CHECKOUT_SESSION_ID}",
        "ui_mode": "hosted_page",
        "url": f"https://checkout.stripe.com/c/pay/{session.id}" if is_open else None,
        "wallet_options": None,
        **page_fields(session),
        **({"adaptive_pricing": None, "total_details": None} if setup else {}),
    }


def _details(session: Session, address: Json) -> Json:
    email = session.buyer.email if session.order.email is None else session.order.email
    page = session.order.page
    return {
        "address": address,
        "business_name": page.business_name,
        "email": email or None,
        "individual_name": page.individual_name,
        "name": session.buyer.name,
        "phone": session.buyer.phone,
        "tax_exempt": "none",
        "tax_ids": [{"type": "eu_vat", "value": page.tax_id}] if page.tax_id else [],
    }


def line_item_object(item: LineItem, order: Order) -> Json:
    """Render an `item`."""
    discount = item.subtotal if order.outcome is Outcome.FREE else item.discount
    subtotal = 0 if order.outcome is Outcome.TRIAL else item.subtotal
    recurring = order.mode is Mode.SUBSCRIPTION
    return {
        "id": item.id,
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": discount,
        "amount_subtotal": subtotal,
        "amount_tax": item.tax,
        "amount_total": subtotal - discount + item.tax,
        "currency": order.currency,
        "description": item.product.name,
        "metadata": {},
        "price": {
            # The shop's own objects outlive a Session: the same product has the same ids in every order.
            "id": _lasting_id("price_1", 23, item.product.name, str(item.product.unit_amount), order.currency),
            "object": "price",
            "active": True,
            "billing_scheme": "per_unit",
            "created": 1767225600,
            "currency": order.currency,
            "custom_unit_amount": None,
            "livemode": order.livemode,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": _lasting_id("prod_", 14, item.product.name),
            "recurring": (
                {"interval": "month", "interval_count": 1, "meter": None, "usage_type": "licensed"}
                if recurring
                else None
            ),
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "recurring" if recurring else "one_time",
            "unit_amount": item.product.unit_amount,
            "unit_amount_decimal": str(item.product.unit_amount),
        },
        "quantity": item.quantity,
    }


def payment_intent_object(intent: PaymentIntent) -> Json:
    """Render a `payment_intent`."""
    status = PaymentIntentStatus
    failed, canceled = intent.status is status.REQUIRES_PAYMENT_METHOD, intent.status is status.CANCELED
    return {
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.amount if intent.status is status.REQUIRES_CAPTURE else 0,
        "amount_details": {},
        "amount_received": intent.received if intent.status is status.SUCCEEDED else 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": intent.created if canceled else None,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": "manual" if intent.is_captured_manually else "automatic_async",
        "client_secret": None,  # whoever holds it could act for the buyer: nobody here needs it
        "confirmation_method": "automatic",
        "created": intent.created,
        "currency": intent.order.currency,
        "customer": None,
        "description": None,
        "last_payment_error": _PAYMENT_ERROR | {"payment_method": _payment_method(intent)} if failed else None,
        "latest_charge": intent.charge,
        "livemode": intent.order.livemode,
        "metadata": {},
        "next_action": _bank_transfer(intent) if intent.status is status.REQUIRES_ACTION else None,
        "on_behalf_of": None,
        "payment_method": None if failed else _payment_method(intent)["id"],
        "payment_method_options": {},
        "payment_method_types": payment_method_types(intent.order),
        "processing": None,
        "receipt_email": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": intent.status,
        "transfer_data": None,
        "transfer_group": None,
    }


def _bank_transfer(intent: PaymentIntent) -> Json:
    """Tell the buyer where to send the money, and how much of it is yet to come."""
    return {
        "type": "display_bank_transfer_instructions",
        "display_bank_transfer_instructions": {
            "amount_remaining": intent.amount - intent.received,
            "currency": intent.order.currency,
            "financial_addresses": [],
            "hosted_instructions_url": None,
            "reference": intent.id[-10:].upper(),
            "type": "us_bank_transfer",
        },
    }


_PAYMENT_ERROR = {
    "code": "payment_intent_payment_attempt_failed",
    "decline_code": "insufficient_funds",
    "doc_url": "https://stripe.com/docs/error-codes/payment-intent-payment-attempt-failed",
    "message": "The customer's account has insufficient funds to cover this payment.",
    "type": "card_error",  # Stripe says so of bank debits, too
}


def _payment_method(intent: PaymentIntent) -> Json:
    return {
        "id": _lasting_id("pm_1", 23, intent.id),
        "object": "payment_method",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "created": intent.created,
        "livemode": intent.order.livemode,
        "type": intent.method,
    }


def snapshot_event_object(event: Event) -> Json:
    """Render an `event`, which holds what it is about as it was then."""
    account = event.order.account
    return {
        "id": event.id,
        "object": "event",
        **({} if account is None else {"account": account}),
        "api_version": API_VERSION,
        "created": int(event.created),
        "data": {"object": _about(event)},
        "livemode": event.order.livemode,
        "pending_webhooks": 1 if event.delivery is DeliveryState.PENDING else 0,
        "request": {"id": None, "idempotency_key": None},
        "type": event.type,
    }


def thin_event_object(event: Event) -> Json:
    """Render a `v2.core.event`, which only names what it is about.

    Source: https://docs.stripe.com/event-destinations#thin-payload.
    """
    about = _about(event)
    path = _PATHS[about["object"]]
    moment = datetime.fromtimestamp(event.created, tz=UTC)
    return {
        "id": event.thin_id,
        "object": "v2.core.event",
        "type": f"v1.{event.type}",
        "livemode": event.order.livemode,
        "created": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "context": event.order.account,
        "reason": None,
        "related_object": {
            "id": about["id"],
            "type": about["object"],
            "url": f"/v1/{path}/{about['id']}",
        },
    }


_PATHS = {
    "checkout.session": "checkout/sessions",
    "payment_intent": "payment_intents",
    "charge": "charges",
    "refund": "refunds",
    "dispute": "disputes",
    "radar.early_fraud_warning": "radar/early_fraud_warnings",
}


def _about(event: Event) -> Json:
    intent = event.payment
    if intent is None:
        return session_object(event.session)
    match event.type:
        case EventType.PAYMENT_CANCELED | EventType.PARTIALLY_FUNDED:
            return payment_intent_object(intent)
        case EventType.REFUND_FAILED | EventType.REFUND_UPDATED:
            return refund_object(intent, intent.refunds[-1])
        case (
            EventType.DISPUTED
            | EventType.DISPUTE_FUNDS_WITHDRAWN
            | EventType.DISPUTE_FUNDS_REINSTATED
            | EventType.DISPUTE_CLOSED
        ):
            return dispute_object(intent, intent.disputes[-1])
        case EventType.FRAUD_WARNING:
            return fraud_warning_object(intent, created=int(event.created))
        case _:
            return charge_object(intent)


def payment_method_types(order: Order) -> list[str]:
    """Name the payment methods that Checkout offers to the buyer of an order."""
    if order.outcome is Outcome.AUTHORIZED:
        return ["card"]
    if order.outcome is Outcome.BANK_TRANSFER:
        return ["card", BANK_TRANSFER]
    return ["card", delayed_payment_method(order.currency)]


def delayed_payment_method(currency: str) -> str:
    """Name the delayed payment method that a buyer who pays in this currency is offered."""
    return {
        "cad": "acss_debit",
        "eur": "sepa_debit",
        "gbp": "bacs_debit",
        "jpy": "konbini",
        "usd": "us_bank_account",
    }.get(currency, BANK_TRANSFER)


def _lasting_id(prefix: str, length: int, *parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    alphabet = string.ascii_letters + string.digits
    return prefix + "".join(alphabet[byte % len(alphabet)] for byte in digest[:length])
