"""What Checkout collected of the buyer and knows of the order, in Stripe's words. No I/O.

These types are part of the order document, which backends get: see `backends/document.py` before you change one.
What Stripe does not tell is None, and left out. Amounts are in the smallest unit of the Session's currency.
"""

from typing import Annotated

from msgspec import Meta, Struct

from fulfillment_api.spec import Timestamp


class Address(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An address, under Stripe's own names."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: Annotated[str, Meta(description="Two letters, ISO 3166-1.")] | None = None


class TaxId(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A tax id of the buyer's."""

    type: Annotated[str, Meta(description="Such as eu_vat; unknown for one that Stripe does not know.")]
    value: str | None = None


class Customer(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Who bought (`customer_details`)."""

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    address: Address | None = None
    business_name: str | None = None
    individual_name: str | None = None
    tax_exempt: Annotated[str, Meta(description="none, exempt or reverse.")] | None = None
    tax_ids: tuple[TaxId, ...] = ()


class Shipping(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Where to send the goods (`collected_information.shipping_details`)."""

    name: str | None = None
    address: Address | None = None


class ShippingCost(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The shipping that the buyer chose (`shipping_cost`)."""

    amount_total: Annotated[int, Meta(description="After discounts and taxes.")]
    amount_subtotal: Annotated[int, Meta(description="Before discounts and taxes.")] | None = None
    amount_tax: int | None = None
    shipping_rate: Annotated[str, Meta(description="The ShippingRate, shr_….")] | None = None


class TotalDetails(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the total consists of (`amount_subtotal`, `total_details`)."""

    amount_subtotal: Annotated[int, Meta(description="Before discounts and taxes.")] | None = None
    amount_discount: int | None = None
    amount_shipping: int | None = None
    amount_tax: int | None = None


class CustomField(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A question of the shop's, and the buyer's answer."""

    key: Annotated[str, Meta(description="What the shop calls it.")]
    type: Annotated[str, Meta(description="text, numeric or dropdown.")]
    label: Annotated[str, Meta(description="What the buyer read.")] | None = None
    value: Annotated[str, Meta(description="The answer; absent: the buyer gave none.")] | None = None
    value_label: Annotated[str, Meta(description="Of a dropdown: the answer as the buyer read it.")] | None = None
    optional: Annotated[bool, Meta(description="Whether the buyer could leave it out.")] = False


class Consent(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the buyer agreed to."""

    promotions: Annotated[str, Meta(description="opt_in or opt_out: promotional mail.")] | None = None
    terms_of_service: Annotated[str, Meta(description="accepted.")] | None = None


class Discount(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A discount of the order's."""

    coupon: Annotated[str, Meta(description="The Coupon's id.")] | None = None
    promotion_code: Annotated[str, Meta(description="The PromotionCode, promo_….")] | None = None


class Invoice(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The invoice that Checkout made."""

    id: Annotated[str, Meta(description="in_….")]
    hosted_url: Annotated[str, Meta(description="Stripe's page of it, for the buyer.")] | None = None
    pdf: Annotated[str, Meta(description="Where its PDF is.")] | None = None


class Recovery(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How an expired Session is taken up again (`after_expiration.recovery`)."""

    url: Annotated[str, Meta(description="Opens a new Session with the same order.")]
    expires_at: Timestamp | None = None


class Collected(Struct, frozen=True, kw_only=True):
    """What Checkout collected, beside the customer and the address to ship to."""

    shipping_cost: ShippingCost | None = None
    total_details: TotalDetails | None = None
    custom_fields: tuple[CustomField, ...] = ()
    consent: Consent | None = None
    discounts: tuple[Discount, ...] = ()
    invoice: Invoice | None = None
    recovery: Recovery | None = None
