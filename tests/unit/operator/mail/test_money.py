"""Amounts as the buyer reads them."""

import pytest

from fulfillment_api.spec import Amount
from fulfillment_operator.checkout.collected import Collected, ShippingCost, TotalDetails
from fulfillment_operator.mail.money import amounts, localized
from support.builders import make_session

PRESENTMENT = Amount(total=1634, currency="jpy", display="1634 JPY")


@pytest.mark.parametrize(
    ("total", "currency", "locale", "expected"),
    [
        (1099, "usd", None, "10.99 USD"),
        (1634, "jpy", None, "1634 JPY"),
        (1099, "eur", "de", "10,99 EUR"),
        (123456, "eur", "de", "1.234,56 EUR"),
        (123456, "usd", "en", "1,234.56 USD"),
        (1634, "jpy", "ja", "1,634 JPY"),
        (1634, "jpy", "de", "1.634 JPY"),
        (1234567890, "inr", "hi-IN", "1,23,45,678.90 INR"),
        (123456, "cad", "fr-CA", "1\N{NO-BREAK SPACE}234,56 CAD"),
        (123456, "hkd", "zh-HK", "1,234.56 HKD"),
        (5120, "kwd", "en-GB", "5.120 KWD"),
        (1050, "rsd", "hr", "10,50 RSD"),  # CLDR has no para, Stripe has
        (1050, "isk", "da", "10,50 ISK"),  # ISO 4217 has no decimals either, Stripe's API has
        (50000, "ugx", "en", "500.00 UGX"),
        (1000, "mga", "fr", "1\N{NARROW NO-BREAK SPACE}000 MGA"),  # ISO 4217 has two decimals, Stripe none
        (-350, "eur", "de", "-3,50 EUR"),
        (0, "eur", "de", "0,00 EUR"),
        (2**63 - 1, "usd", "en", "92,233,720,368,547,758.07 USD"),
        (1099, "usd", "tlh", "10.99 USD"),
        (1099, "usd", "../../etc", "10.99 USD"),
        (1099, "usd", "en_", "10.99 USD"),
        (1099, "usd", "x" * 500, "10.99 USD"),
    ],
)
def test_an_amount_has_the_digits_of_its_currency_and_the_form_of_the_locale(
    total: int, currency: str, locale: str | None, expected: str
) -> None:
    """Digits are Stripe's, marks and groups are the locale's; of a locale that is none, as the cluster shows it."""
    assert localized(total, currency, locale) == expected


def test_the_amount_is_what_the_buyer_saw() -> None:
    """Not what the merchant gets of it, which templates can name, too, with what it consists of."""
    session = make_session(
        presentment=PRESENTMENT,
        locale="de",
        collected=Collected(
            shipping_cost=ShippingCost(amount_total=500),
            total_details=TotalDetails(amount_subtotal=599, amount_discount=100, amount_shipping=400, amount_tax=0),
        ),
    )
    assert amounts(session) == {
        "amount": "1.634 JPY",
        "merchant_amount": "10,99 USD",
        "subtotal": "5,99 USD",
        "discount": "1,00 USD",
        "tax": "0,00 USD",
        "shipping": "5,00 USD",
    }


def test_what_stripe_does_not_tell_is_none() -> None:
    """A template asks before it writes."""
    assert set(amounts(make_session(amount=None)).values()) == {None}
    assert amounts(make_session()) == {
        "amount": "10.99 USD",
        "merchant_amount": "10.99 USD",
        **dict.fromkeys(("subtotal", "discount", "tax", "shipping")),
    }
