"""Amounts as people write them. Source: Stripe, "Supported currencies", zero-decimal and three-decimal currencies."""

# ISK and UGX have no decimals either, but Stripe's API keeps writing them with two.
_ZERO_DECIMAL = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
_THREE_DECIMAL = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


def decimals(currency: str) -> int:
    """Return how many digits after the point an amount of Stripe's has in a currency, where ISO 4217 may differ."""
    code = currency.lower()
    return 0 if code in _ZERO_DECIMAL else 3 if code in _THREE_DECIMAL else 2


def display_amount(total: int, currency: str) -> str:
    """Write an amount in the currency's smallest unit for a person: `(1099, "usd")` is `10.99 USD`."""
    digits = decimals(currency)
    sign = "-" if total < 0 else ""
    whole, part = divmod(abs(total), 10**digits)
    number = f"{whole}.{part:0{digits}}" if digits else str(whole)
    return f"{sign}{number} {currency.upper()}"
