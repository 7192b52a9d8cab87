"""Reads the fields of Stripe's answers: one that is null, absent, odd or out of bounds is None, or empty. Pure."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fulfillment_api.money import display_amount
from fulfillment_api.spec import Amount, Currency
from fulfillment_api.stripe_values import Int64, fits, unix_time

Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_LONGEST_DISPLAY = 40


def amount_of(total: object, currency: object) -> Amount | None:
    """Make an amount, which Stripe shows in two fields; None when one is missing, or not within bounds."""
    number, code = within_bounds(total, Int64), within_bounds(currency, Currency)
    if number is None or code is None:
        return None
    return Amount(total=number, currency=code, display=display_amount(number, code)[:_LONGEST_DISPLAY])


def time_of(seconds: object) -> datetime | None:
    """Read a time in seconds since the epoch."""
    return unix_time(within_bounds(seconds, Int64))


def object_of(value: object) -> dict[str, Any]:
    """Read an object."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """Read a list."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str | None:
    """Read a string."""
    return value if isinstance(value, str) else None


def id_of(value: object, bounds: object) -> Any:  # noqa: ANN401 - as below
    """Read an id, or that of an expanded object."""
    return within_bounds(value.get("id") if isinstance(value, dict) else value, bounds)


def within_bounds(value: object, bounds: object) -> Any:  # noqa: ANN401 - what the bounds are of
    """Return a value; None when it is not within bounds."""
    return msgspec.convert(value, bounds) if value is not None and fits(value, bounds) else None
