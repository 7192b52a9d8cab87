"""Amounts as people of a locale write them."""

import pytest

from fulfillment_runtime.localized_money import localized


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
