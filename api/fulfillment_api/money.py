"""Amounts as people write them. Source: Stripe, "Supported currencies", zero-decimal and three-decimal currencies."""

# ISK and UGX have no decimals either, but Stripe's API keeps writing them with two.
_ZERO_DECIMAL = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
_THREE_DECIMAL = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


def display_amount(total: int, currency: str) -> str:
    """Write an amount in the currency's smallest unit for a person: `(1099, "usd")` is `10.99 USD`."""
    code = currency.lower()
    decimals = 0 if code in _ZERO_DECIMAL else 3 if code in _THREE_DECIMAL else 2
    sign = "-" if total < 0 else ""
    whole, part = divmod(abs(total), 10**decimals)
    number = f"{whole}.{part:0{decimals}}" if decimals else str(whole)
    return f"{sign}{number} {code.upper()}"
