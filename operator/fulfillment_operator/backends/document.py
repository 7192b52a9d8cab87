"""An order as a document, for who fulfills it. It holds personal data. Pure.

The document is a contract with programs that are not ours: `docs/order-document.schema.json` is made of these types
(`make order-schema`), and so of those of `checkout/collected`. Within a version fields are added, and nothing else
changes.
All of it but the connected account is Stripe's answer, so it is the same whatever the event looked like.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from fulfillment_api.spec import Amount, Timestamp
from fulfillment_api.status import LineItem
from fulfillment_operator.backends.order import PaidOrder
from fulfillment_operator.checkout.collected import (
    Consent,
    Customer,
    CustomField,
    Discount,
    Invoice,
    Recovery,
    Shipping,
    ShippingCost,
    TotalDetails,
)


class DocumentSession(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The Checkout Session."""

    id: Annotated[str, Meta(description="cs_….")]
    livemode: Annotated[bool, Meta(description="Whether real money moved.")]
    mode: Annotated[str, Meta(description="payment or subscription.")]
    metadata: Annotated[dict[str, str], Meta(description="As the shop set it.")]
    account: Annotated[str, Meta(description="The connected account that owns it, acct_….")] | None = None
    created_at: Timestamp | None = None
    payment_intent: (
        Annotated[str, Meta(description="The PaymentIntent, pi_…: of a subscription, its first invoice's.")] | None
    ) = None
    subscription: Annotated[str, Meta(description="sub_….")] | None = None
    payment_link: Annotated[str, Meta(description="plink_….")] | None = None
    customer: Annotated[str, Meta(description="cus_….")] | None = None
    client_reference_id: Annotated[str, Meta(description="The shop's own reference.")] | None = None
    locale: (
        Annotated[str, Meta(description="In which Checkout was shown, an IETF language tag; absent: the browser's.")]
        | None
    ) = None
    recovered_from: Annotated[str, Meta(description="The expired Session that this one recovered, cs_….")] | None = None


class OrderDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """An order that is paid, with what Checkout collected."""

    version: Annotated[Literal[1], Meta(description="Of this schema: fields are added to it, and nothing else.")]
    session: DocumentSession
    amount: Annotated[Amount | None, Meta(description="What was paid, in the merchant's currency.")]
    presentment: Annotated[
        Amount | None, Meta(description="What the buyer saw and paid, where that is another currency.")
    ]
    amount_refunded: Annotated[Amount | None, Meta(description="What was given back of it so far.")]
    total_details: TotalDetails | None
    line_items: tuple[LineItem, ...]
    customer: Customer | None
    shipping: Shipping | None
    shipping_cost: ShippingCost | None
    custom_fields: tuple[CustomField, ...]
    consent: Consent | None
    discounts: tuple[Discount, ...]
    invoice: Invoice | None
    recovery: Recovery | None


def order_document(order: PaidOrder) -> dict[str, Any]:
    """Write an order as plain data."""
    session, collected = order.session, order.session.collected
    document = OrderDocument(
        version=1,
        session=DocumentSession(
            id=session.id,
            livemode=order.reference.livemode,
            mode=session.mode,
            metadata=session.metadata,
            account=order.reference.account,
            created_at=session.created_at,
            payment_intent=session.payment_intent.id if session.payment_intent else None,
            subscription=session.subscription,
            payment_link=session.payment_link,
            customer=session.customer_id,
            client_reference_id=session.client_reference_id,
            locale=session.locale,
            recovered_from=session.recovered_from,
        ),
        amount=session.amount,
        presentment=session.presentment,
        amount_refunded=session.amount_refunded,
        total_details=collected.total_details,
        line_items=session.line_items,
        customer=session.customer,
        shipping=session.shipping,
        shipping_cost=collected.shipping_cost,
        custom_fields=collected.custom_fields,
        consent=collected.consent,
        discounts=collected.discounts,
        invoice=collected.invoice,
        recovery=collected.recovery,
    )
    written: dict[str, Any] = msgspec.to_builtins(document)
    return written
