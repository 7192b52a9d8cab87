"""The order document held to Stripe's published schema, and to what is really posted."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given, settings

from fulfillment_api.names import request_name
from fulfillment_api.spec import Session
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.control import sent_event
from fulfillment_local.fake_stripe.model import Event, Order
from fulfillment_local.fake_stripe.page import CheckoutPage, CustomField, Presentment
from fulfillment_local.webhook_sender import Webhook, delivery_of
from fulfillment_operator.backends.document import order_document
from fulfillment_operator.backends.order import PaidOrder
from fulfillment_operator.checkout.session_answer import parse_session
from fulfillment_service.main import running_service
from support.order_documents import mistakes_in
from support.order_endpoint import order_endpoint
from support.running_operator import Shop, at_work, open_shop
from support.running_webhook import RULES as SERVICE_RULES
from support.running_webhook import SECRET, service_settings
from support.stripe_openapi import allowed, properties_of

SETTINGS_OF_THE_PAGE = frozenset(
    {
        "adaptive_pricing",
        "allow_promotion_codes",
        "automatic_tax",
        "billing_address_collection",
        "branding_settings",
        "cancel_url",
        "client_secret",
        "consent_collection",
        "custom_text",
        "customer_creation",
        "customer_email",
        "excluded_payment_method_types",
        "expires_at",
        "integration_identifier",
        "invoice_creation",
        "managed_payments",
        "name_collection",
        "object",
        "optional_items",
        "origin_context",
        "payment_method_collection",
        "payment_method_configuration_details",
        "payment_method_options",
        "payment_method_types",
        "permissions",
        "phone_number_collection",
        "redirect_on_completion",
        "return_url",
        "saved_payment_method_options",
        "setup_intent",
        "shipping_address_collection",
        "shipping_options",
        "submit_type",
        "success_url",
        "tax_id_collection",
        "ui_mode",
        "url",
        "wallet_options",
    }
)
"""What the shop set up, and not what the buyer answered, chose or paid."""

DECIDED_ON = frozenset({"payment_status", "status"})
"""What there is an order by."""

LEFT_OUT = frozenset({"currency_conversion", "customer_account"})
"""Of Sessions before API version 2025-03-31.basil; of accounts of API v2."""

FIELDS: Mapping[str, Mapping[str, str]] = {
    "checkout.session": {
        "id": "session.id",
        "livemode": "session.livemode",
        "mode": "session.mode",
        "metadata": "session.metadata",
        "created": "session.createdAt",
        "payment_intent": "session.paymentIntent",
        "subscription": "session.subscription",
        "payment_link": "session.paymentLink",
        "customer": "session.customer",
        "client_reference_id": "session.clientReferenceId",
        "locale": "session.locale",
        "recovered_from": "session.recoveredFrom",
        "amount_total": "amount.total",
        "currency": "amount.currency",
        "amount_subtotal": "totalDetails.amountSubtotal",
        "total_details": "totalDetails",
        "presentment_details": "presentment",
        "line_items": "lineItems",
        "customer_details": "customer",
        "collected_information": "shipping",
        "shipping_cost": "shippingCost",
        "custom_fields": "customFields",
        "consent": "consent",
        "discounts": "discounts",
        "invoice": "invoice.id",
        "after_expiration": "recovery",
    },
    "payment_flows_payment_intent_presentment_details": {
        "presentment_amount": "presentment.total",
        "presentment_currency": "presentment.currency",
    },
    "payment_pages_checkout_session_after_expiration": {"recovery": "recovery"},
    "payment_pages_checkout_session_after_expiration_recovery": {
        "allow_promotion_codes": "",
        "enabled": "",
        "expires_at": "recovery.expiresAt",
        "url": "recovery.url",
    },
    "payment_pages_checkout_session_collected_information": {
        "business_name": "customer.businessName",
        "individual_name": "customer.individualName",
        "shipping_details": "shipping",
    },
    "payment_pages_checkout_session_checkout_address_details": {"address": "shipping.address", "name": "shipping.name"},
    "address": {
        name: f"customer.address.{name}" for name in ("city", "country", "line1", "line2", "postal_code", "state")
    },
    "payment_pages_checkout_session_consent": {
        "promotions": "consent.promotions",
        "terms_of_service": "consent.termsOfService",
    },
    "payment_pages_checkout_session_custom_fields": {
        "key": "customFields.key",
        "type": "customFields.type",
        "label": "customFields.label",
        "optional": "customFields.optional",
        "text": "customFields.value",
        "numeric": "customFields.value",
        "dropdown": "customFields.value",
    },
    "payment_pages_checkout_session_custom_fields_dropdown": {
        "default_value": "",
        "options": "customFields.valueLabel",
        "value": "customFields.value",
    },
    "payment_pages_checkout_session_customer_details": {
        "address": "customer.address",
        "business_name": "customer.businessName",
        "email": "customer.email",
        "individual_name": "customer.individualName",
        "name": "customer.name",
        "phone": "customer.phone",
        "tax_exempt": "customer.taxExempt",
        "tax_ids": "customer.taxIds",
    },
    "payment_pages_checkout_session_tax_id": {"type": "customer.taxIds.type", "value": "customer.taxIds.value"},
    "payment_pages_checkout_session_discount": {
        "coupon": "discounts.coupon",
        "promotion_code": "discounts.promotionCode",
    },
    "payment_pages_checkout_session_shipping_cost": {
        "amount_subtotal": "shippingCost.amountSubtotal",
        "amount_tax": "shippingCost.amountTax",
        "amount_total": "shippingCost.amountTotal",
        "shipping_rate": "shippingCost.shippingRate",
        "taxes": "",
    },
    "payment_pages_checkout_session_total_details": {
        "amount_discount": "totalDetails.amountDiscount",
        "amount_shipping": "totalDetails.amountShipping",
        "amount_tax": "totalDetails.amountTax",
        "breakdown": "",
    },
}
"""Stripe's objects and their fields: where each stands in the document; empty: it stands nowhere."""


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_each_field_of_stripes_is_in_the_document_or_left_out_on_purpose(name: str) -> None:
    """A new version of Stripe's schema asks for a decision about what is new in it."""
    decided = {*FIELDS[name]}
    if name == "checkout.session":
        decided |= SETTINGS_OF_THE_PAGE | DECIDED_ON | LEFT_OUT
    assert properties_of(name).keys() <= decided


ANSWERS = allowed("checkout.session", without=frozenset({"line_items", *SETTINGS_OF_THE_PAGE}))


@given(answer=ANSWERS)
@settings(deadline=None)
def test_whatever_stripe_may_answer_makes_a_document_of_the_published_schema(answer: dict[str, Any]) -> None:
    """With any field null or absent that Stripe's schema lets be; and what is told stands where the table says."""
    parsed = parse_session(answer, "cs_test_1")
    session = parsed.complete(payment=parsed.payment)
    order = PaidOrder("cs-1", "shop", Session(id="cs_test_1", livemode=answer["livemode"]), session)
    document = msgspec.json.decode(msgspec.json.encode(order_document(order)))
    assert mistakes_in(document) == []
    for stripes, ours in (("custom_fields", "customFields"), ("discounts", "discounts")):
        assert len(document[ours]) == len(answer.get(stripes) or [])
    for field, each in zip(answer["custom_fields"], document["customFields"], strict=True):
        assert each.get("value") == (field.get(field["type"]) or {}).get("value")
    details = answer.get("customer_details") or {}
    written = document["customer"] or {}
    for name in ("email", "name", "phone"):
        assert written.get(name) == details.get(name)
    assert [each["type"] for each in written.get("taxIds", [])] == [
        each["type"] for each in details.get("tax_ids") or []
    ]


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    await control_plane.grant(User.SERVICE, namespace, [SERVICE_RULES])
    async with open_shop(control_plane, namespace) as shop:
        yield shop


@pytest.mark.usefixtures("crd")
async def test_the_same_order_is_posted_after_a_snapshot_and_after_a_thin_event(shop: Shop) -> None:
    """Through the webhook, the cluster and Stripe's API, by the http backend; the cluster shows both amounts."""
    posted: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.StreamResponse:
        posted.append((await request.json())["data"])
        return web.Response()

    order = Order(
        client_reference_id="cart-17",
        metadata={"cart": "17"},
        amount=1099,
        page=CheckoutPage(
            presentment=Presentment(amount=1634, currency="jpy"),
            custom_fields=(CustomField(key="engraving", value="For Ada"),),
            invoice=True,
        ),
    )
    session, event = shop.stripe.world.play(order)
    assert event is not None
    name = request_name(session.id)
    async with (
        order_endpoint(take) as url,
        running_service(service_settings(shop.control_plane, shop.namespace)) as service,
        at_work(shop, backend="http", FULFILLMENT_HTTP_URL=url),
    ):
        webhook = Webhook(
            url=f"http://localhost:{service.webhook_port}/webhook", secrets=(SECRET,), http=shop.http, flaw=None
        )
        snapshot, thin = bodies(event)
        await webhook.post([delivery_of(snapshot)])
        await shop.becomes(name, Phase.FULFILLED)
        await shop.requests.delete(name)
        await webhook.post([delivery_of(thin)])
        request = await shop.becomes(name, Phase.FULFILLED)
    by_snapshot, by_thin = posted
    assert by_snapshot == by_thin
    assert mistakes_in(by_thin) == []
    assert by_thin["session"]["metadata"] == {"cart": "17"}
    assert by_thin["session"]["clientReferenceId"] == "cart-17"
    assert by_thin["customFields"][0]["value"] == "For Ada"
    assert by_thin["invoice"] == {
        "id": session.invoice,
        "hostedUrl": f"https://invoice.stripe.com/i/{session.invoice}",
        "pdf": f"https://pay.stripe.com/invoice/{session.invoice}/pdf",
    }
    assert request.status is not None
    assert request.status.order is not None
    amount, presentment = request.status.order.amount, request.status.order.presentment
    assert amount is not None
    assert presentment is not None
    assert (amount.display, presentment.display) == ("10.99 USD", "1634 JPY")


def bodies(event: Event) -> tuple[bytes, bytes]:
    sent = sent_event(event)
    return bytes(sent.snapshot), bytes(sent.thin)
