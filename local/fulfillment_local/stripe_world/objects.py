"""Records → the JSON objects of Stripe's API, in the shape of API version 2026-10-28.endive.

Source: https://docs.stripe.com/api/checkout/sessions/object and its siblings. A test holds the keys against
the official stripe-mock.
"""

import hashlib
import string
from datetime import UTC, datetime
from typing import Any, TypeAlias

from fulfillment_local.stripe_world.charges import charge_object, dispute_object
from fulfillment_local.stripe_world.model import (
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

Json: TypeAlias = dict[str, Any]

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
        "adaptive_pricing": None if setup else {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": None if setup else session.subtotal,
        "amount_total": None if setup else session.total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": "auto",
        "cancel_url": "https://shop.example.com/basket",
        "client_reference_id": order.client_reference_id,
        "client_secret": None,
        "collected_information": {
            "business_name": None,
            "individual_name": None,
            "shipping_details": (
                {"address": address, "name": session.buyer.name} if order.mode is Mode.PAYMENT and not is_open else None
            ),
        },
        "consent": None,
        "consent_collection": None,
        "created": session.created,
        "currency": None if setup else order.currency,
        "currency_conversion": None,
        "custom_fields": [],
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
        "discounts": [],
        "expires_at": session.created + DAY,
        "integration_identifier": None,
        "invoice": session.invoice,
        "invoice_creation": None,
        "livemode": order.livemode,
        "locale": None,
        "metadata": dict(order.metadata),
        "mode": order.mode,
        "origin_context": None,
        "payment_intent": session.payment_intent,
        "payment_link": order.payment_link,
        "payment_method_collection": "always" if order.mode is Mode.SUBSCRIPTION else "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card", delayed_payment_method(order.currency)],
        "payment_status": session.payment_status,
        "permissions": None,
        "phone_number_collection": {"enabled": True},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": session.setup_intent,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": session.status,
        "submit_type": None,
        "subscription": session.subscription,
        "success_url": "https://shop.example.com/thanks?session_id={CHECKOUT_SESSION_ID}",
        "total_details": (
            None
            if setup
            else {"amount_discount": session.subtotal - session.total, "amount_shipping": 0, "amount_tax": 0}
        ),
        "ui_mode": "hosted_page",
        "url": f"https://checkout.stripe.com/c/pay/{session.id}" if is_open else None,
        "wallet_options": None,
    }


def _details(session: Session, address: Json) -> Json:
    email = session.buyer.email if session.order.email is None else session.order.email
    return {
        "address": address,
        "business_name": None,
        "email": email or None,
        "individual_name": None,
        "name": session.buyer.name,
        "phone": session.buyer.phone,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def line_item_object(item: LineItem, order: Order) -> Json:
    """Render an `item`."""
    discount = item.subtotal if order.outcome is Outcome.FREE else 0
    recurring = order.mode is Mode.SUBSCRIPTION
    return {
        "id": item.id,
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": discount,
        "amount_subtotal": item.subtotal,
        "amount_tax": 0,
        "amount_total": item.subtotal - discount,
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
        "amount_capturable": 0,
        "amount_details": {},
        "amount_received": intent.amount if intent.status is status.SUCCEEDED else 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": intent.created if canceled else None,
        "cancellation_reason": "requested_by_customer" if canceled else None,
        "capture_method": "automatic_async",
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
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None if failed else _payment_method(intent)["id"],
        "payment_method_options": {},
        "payment_method_types": ["card", delayed_payment_method(intent.order.currency)],
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
    path = {"checkout.session": "checkout/sessions", "charge": "charges", "dispute": "disputes"}[about["object"]]
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


def _about(event: Event) -> Json:
    if event.payment is None:
        return session_object(event.session)
    if event.type is EventType.DISPUTED:
        return dispute_object(event.payment, created=int(event.created))
    return charge_object(event.payment)


def delayed_payment_method(currency: str) -> str:
    """Name the delayed payment method that a buyer who pays in this currency is offered."""
    return {
        "cad": "acss_debit",
        "eur": "sepa_debit",
        "gbp": "bacs_debit",
        "jpy": "konbini",
        "usd": "us_bank_account",
    }.get(currency, "customer_balance")


def _lasting_id(prefix: str, length: int, *parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    alphabet = string.ascii_letters + string.digits
    return prefix + "".join(alphabet[byte % len(alphabet)] for byte in digest[:length])
