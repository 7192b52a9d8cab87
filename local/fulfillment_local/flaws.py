"""Webhook requests that are signed wrongly, so that the webhook must reject them."""

from collections.abc import Sequence
from enum import StrEnum, unique
from typing import assert_never

from fulfillment_cli.signing import webhook_headers

_TOLERANCE = 300  # seconds that a signature is good for
_FORGERS_SECRET = "whsec_a_secret_that_the_endpoint_does_not_have"  # noqa: S105 - its point is to be wrong


@unique
class Flaw(StrEnum):
    """What is wrong with a request."""

    BAD_SIGNATURE = "bad-signature"
    OLD = "old"
    """Signed longer ago than the tolerance."""
    FUTURE = "future"
    """Signed for a time that is not yet."""


def flawed_headers(payload: bytes, secrets: Sequence[str], *, now: float, flaw: Flaw | None) -> dict[str, str]:
    """Make the headers of a webhook request as Stripe sends it, save for the flaw, if there is one.

    Args:
        payload: the raw body.
        secrets: the endpoint's signing secrets, `whsec_…`; at least one.
        now: the time, in seconds since the epoch.
        flaw: what is wrong with it.

    Raises:
        UnicodeDecodeError: the payload is not UTF-8.
    """
    match flaw:
        case None:
            return webhook_headers(payload, secrets, now=now)
        case Flaw.BAD_SIGNATURE:
            return webhook_headers(payload, (_FORGERS_SECRET,), now=now)
        case Flaw.OLD:
            return webhook_headers(payload, secrets, now=now - 2 * _TOLERANCE)
        case Flaw.FUTURE:
            return webhook_headers(payload, secrets, now=now + 2 * _TOLERANCE)
        case never:
            assert_never(never)
