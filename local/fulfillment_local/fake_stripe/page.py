"""What Checkout's page shows and asks beside the goods, and what the buyer answers and chooses there.

Source: the Checkout Session object of Stripe's API 2026-10-28.endive.
"""

from enum import StrEnum, unique
from typing import Annotated

from msgspec import Meta, Struct


@unique
class FieldType(StrEnum):
    """How a custom field is answered."""

    TEXT = "text"
    NUMERIC = "numeric"
    DROPDOWN = "dropdown"


class CustomField(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question of the seller's, and the buyer's answer."""

    key: Annotated[str, Meta(min_length=1, max_length=200)]
    value: str | None
    """None: the buyer gave no answer."""
    type: FieldType = FieldType.TEXT
    optional: bool = False

    @property
    def label(self) -> str:
        """What the buyer reads."""
        return self.key.capitalize()


class Presentment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Adaptive Pricing shows the buyer, in the smallest unit of its own currency."""

    amount: Annotated[int, Meta(ge=1)]
    currency: Annotated[str, Meta(pattern="^[a-z]{3}$")]


class CheckoutPage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page, filled in. Amounts are in the smallest unit of the order's currency."""

    locale: str | None = None
    """An IETF language tag, or `auto`; None: the browser's."""
    presentment: Presentment | None = None
    custom_fields: Annotated[tuple[CustomField, ...], Meta(max_length=3)] = ()
    shipping: Annotated[int, Meta(ge=0)] | None = None
    """What the chosen shipping rate costs; None: there is no choice."""
    discount: Annotated[int, Meta(ge=0)] = 0
    """What a promotion code takes off the goods."""
    tax: Annotated[int, Meta(ge=0)] = 0
    tax_id: str | None = None
    """A VAT number."""
    business_name: str | None = None
    individual_name: str | None = None
    promotions: bool | None = None
    """Whether the buyer wants promotional mail; None: was not asked."""
    terms_accepted: bool = False
    invoice: bool = False
    """Whether Checkout makes an invoice of a payment: of a subscription it always does."""
    recovered_from: str | None = None
    """The expired Session that this one takes up again."""
    recoverable: bool = False
    """Whether the Session can be taken up again when it expired."""
