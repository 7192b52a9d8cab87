"""Values as Stripe sends them, in events and in answers: read within the contract's bounds. Pure."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer as the API server stores it."""


def unix_time(seconds: int | None) -> datetime | None:
    """Return a time in UTC from seconds since the epoch; None when there are none, or no date can be so far off."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def fits(value: object, bounds: object) -> bool:
    """Tell whether a decoded value is within the bounds of a type."""
    try:
        msgspec.convert(value, bounds)
    except msgspec.ValidationError:
        return False
    return True
