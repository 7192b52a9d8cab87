"""Amounts as people of a locale write them. Pure."""

from decimal import Decimal

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency

from fulfillment_api.money import decimals, display_amount


def localized(total: int, currency: str, locale: str | None) -> str:
    """Write an amount as people of a locale write numbers, with the currency's code: `10,99 EUR`.

    The code is what every reader of every language can tell from others, as a symbol is not. How many digits stand
    after the point is Stripe's to say: Babel goes by CLDR, which rounds some currencies that Stripe has cents of.

    Args:
        total: in the currency's smallest unit.
        currency: its code, as Stripe writes it.
        locale: an IETF language tag; None, or one that is not known: as the cluster shows it, `10.99 EUR`.
    """
    found = _parse(locale)
    if found is None:
        return display_amount(total, currency)
    digits = decimals(currency)
    whole = found.decimal_formats[None].pattern.partition(".")[0]
    pattern = f"{whole}{'.' + '0' * digits if digits else ''} ¤¤"
    number = Decimal(total).scaleb(-digits)
    return format_currency(number, currency.upper(), pattern, found, currency_digits=False)


def _parse(locale: str | None) -> Locale | None:
    if locale is None:
        return None
    try:
        return Locale.parse(locale, sep="-")
    except (UnknownLocaleError, ValueError):
        return None
