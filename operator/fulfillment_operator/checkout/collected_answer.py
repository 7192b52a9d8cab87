"""Parses what Checkout collected out of what Stripe answers about a Session. Pure."""

from typing import Any

from fulfillment_api.spec import StripeId
from fulfillment_api.stripe_values import Int64
from fulfillment_operator.checkout.answer_fields import (
    id_of,
    list_of,
    object_of,
    text_of,
    time_of,
    within_bounds,
)
from fulfillment_operator.checkout.collected import (
    Address,
    Collected,
    Consent,
    Customer,
    CustomField,
    Discount,
    Invoice,
    Recovery,
    Shipping,
    ShippingCost,
    TaxId,
    TotalDetails,
)


def parse_customer(answer: dict[str, Any]) -> Customer | None:
    """Parse who bought; None: Stripe does not tell."""
    details, collected = answer.get("customer_details"), object_of(answer.get("collected_information"))
    if not isinstance(details, dict):
        return None
    return Customer(
        email=text_of(details.get("email")),
        name=text_of(details.get("name")),
        phone=text_of(details.get("phone")),
        address=_address(details.get("address")),
        business_name=text_of(details.get("business_name")) or text_of(collected.get("business_name")),
        individual_name=text_of(details.get("individual_name")) or text_of(collected.get("individual_name")),
        tax_exempt=text_of(details.get("tax_exempt")),
        tax_ids=tuple(
            TaxId(type=kind, value=text_of(each.get("value")))
            for each in map(object_of, list_of(details.get("tax_ids")))
            if (kind := text_of(each.get("type"))) is not None
        ),
    )


def parse_shipping(answer: dict[str, Any]) -> Shipping | None:
    """Parse where to send the goods; None: Checkout did not ask."""
    details = object_of(answer.get("collected_information")).get("shipping_details")
    if not isinstance(details, dict):
        return None
    return Shipping(name=text_of(details.get("name")), address=_address(details.get("address")))


def parse_collected(answer: dict[str, Any]) -> Collected:
    """Parse the rest of what Checkout collected."""
    invoice = id_of(answer.get("invoice"), StripeId)
    return Collected(
        shipping_cost=_shipping_cost(object_of(answer.get("shipping_cost"))),
        total_details=_total_details(answer),
        custom_fields=tuple(
            field
            for each in list_of(answer.get("custom_fields"))
            if (field := _custom_field(object_of(each))) is not None
        ),
        consent=_consent(answer.get("consent")),
        discounts=tuple(
            Discount(coupon=id_of(each.get("coupon"), str), promotion_code=id_of(each.get("promotion_code"), str))
            for each in map(object_of, list_of(answer.get("discounts")))
        ),
        invoice=parse_invoice(answer.get("invoice")) or (Invoice(id=invoice) if invoice else None),
        recovery=_recovery(object_of(object_of(answer.get("after_expiration")).get("recovery"))),
    )


def parse_invoice(answer: object) -> Invoice | None:
    """Parse an invoice that is expanded; None when it is none."""
    shown = object_of(answer)
    invoice = id_of(shown, StripeId)
    if invoice is None:
        return None
    return Invoice(
        id=invoice, hosted_url=text_of(shown.get("hosted_invoice_url")), pdf=text_of(shown.get("invoice_pdf"))
    )


def _address(value: object) -> Address | None:
    shown = object_of(value)
    address = Address(**{name: text_of(shown.get(name)) for name in Address.__struct_fields__})
    return None if address == Address() else address


def _shipping_cost(shown: dict[str, Any]) -> ShippingCost | None:
    total = within_bounds(shown.get("amount_total"), Int64)
    if total is None:
        return None
    return ShippingCost(
        amount_total=total,
        amount_subtotal=within_bounds(shown.get("amount_subtotal"), Int64),
        amount_tax=within_bounds(shown.get("amount_tax"), Int64),
        shipping_rate=id_of(shown.get("shipping_rate"), StripeId),
    )


def _total_details(answer: dict[str, Any]) -> TotalDetails | None:
    shown = object_of(answer.get("total_details"))
    details = TotalDetails(
        amount_subtotal=within_bounds(answer.get("amount_subtotal"), Int64),
        amount_discount=within_bounds(shown.get("amount_discount"), Int64),
        amount_shipping=within_bounds(shown.get("amount_shipping"), Int64),
        amount_tax=within_bounds(shown.get("amount_tax"), Int64),
    )
    return None if details == TotalDetails() else details


def _custom_field(shown: dict[str, Any]) -> CustomField | None:
    """Parse a field, whose answer stands under the name of its type."""
    key, kind = text_of(shown.get("key")), text_of(shown.get("type"))
    if key is None or kind is None:
        return None
    answer = object_of(shown.get(kind))
    value = text_of(answer.get("value"))
    options = map(object_of, list_of(answer.get("options")))
    return CustomField(
        key=key,
        type=kind,
        label=text_of(object_of(shown.get("label")).get("custom")),
        value=value,
        value_label=next(
            (text_of(each.get("label")) for each in options if value and each.get("value") == value), None
        ),
        optional=shown.get("optional") is True,
    )


def _consent(value: object) -> Consent | None:
    shown = object_of(value)
    consent = Consent(
        promotions=text_of(shown.get("promotions")), terms_of_service=text_of(shown.get("terms_of_service"))
    )
    return None if consent == Consent() else consent


def _recovery(shown: dict[str, Any]) -> Recovery | None:
    url = text_of(shown.get("url"))
    return None if url is None else Recovery(url=url, expires_at=time_of(shown.get("expires_at")))
