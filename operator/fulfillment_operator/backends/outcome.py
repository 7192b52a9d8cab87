"""What a backend makes of an order: done, in progress, try again, or rejected. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from fulfillment_api.bounds import LONGEST_MESSAGE, LONGEST_REFERENCE


@dataclass(frozen=True, slots=True)
class Done:
    """The order is fulfilled."""

    reference: str | None = None
    """What the backend calls it, at most 255 characters."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """The backend has the order, and is not done: it is asked again, by `fulfill` with the same key."""

    message: str
    """What it waits for, in words that may stand in status: no secret, no personal data."""
    reference: str | None = None
    """What the backend calls the order, at most 255 characters."""
    check_after: timedelta | None = None
    """When to ask again; None when only a change of the request, such as a callback, or the deadline calls for it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """A passing fault: the order is handed over again."""

    error: str
    """What went wrong, in words that may stand in status: no secret, no personal data."""
    after: timedelta | None = None
    """How long the backend asks to wait."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The backend will not fulfill this order: a person is needed."""

    error: str
    """Why, in words that may stand in status: no secret, no personal data."""


Outcome = Done | InProgress | TryAgain | Rejected


def truncated(outcome: Outcome) -> Outcome:
    """Cut off what status would not hold of what a backend said."""
    match outcome:
        case Done(reference):
            return Done(reference and reference[:LONGEST_REFERENCE])
        case InProgress(message, reference, check_after):
            return InProgress(message[:LONGEST_MESSAGE], reference and reference[:LONGEST_REFERENCE], check_after)
        case TryAgain(error, after):
            return TryAgain(error[:LONGEST_MESSAGE], after)
        case Rejected(error):
            return Rejected(error[:LONGEST_MESSAGE])
