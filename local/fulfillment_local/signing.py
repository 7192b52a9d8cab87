"""Signs webhook requests as Stripe does, or wrongly.

Source: https://docs.stripe.com/webhooks#verify-manually.
"""

from collections.abc import Sequence
from enum import StrEnum, unique
from typing import assert_never

import stripe

TOLERANCE = 300
"""Seconds that a signature is good for."""

_FORGERS_SECRET = "whsec_a_secret_that_the_endpoint_does_not_have"  # noqa: S105 - its point is to be wrong


@unique
class Flaw(StrEnum):
    """What is wrong with a request, so that it must be refused."""

    BAD_SIGNATURE = "bad-signature"
    OLD = "old"
    """Signed longer ago than the tolerance."""
    FUTURE = "future"
    """Signed for a time that is not yet."""


def signature_header(payload: bytes, secrets: Sequence[str], timestamp: float) -> str:
    """Make the value of `Stripe-Signature`: one `v1` for each secret, as while a secret is rolled.

    Args:
        payload: the raw body.
        secrets: the endpoint's signing secrets, `whsec_…`; at least one.
        timestamp: when it is signed, in seconds since the epoch.

    Raises:
        UnicodeDecodeError: the payload is not UTF-8; Stripe's scheme signs text.
    """
    text, second = payload.decode(), int(timestamp)
    headers = [stripe.WebhookSignature.generate_signature_header(text, secret, second) for secret in secrets]
    return ",".join([headers[0], *(header.partition(",")[2] for header in headers[1:])])


def webhook_headers(payload: bytes, secrets: Sequence[str], *, now: float, flaw: Flaw | None = None) -> dict[str, str]:
    """Make the headers of a webhook request as Stripe sends it, save for the flaw.

    Raises:
        UnicodeDecodeError: the payload is not UTF-8.
    """
    match flaw:
        case None:
            signer, moment = secrets, now
        case Flaw.BAD_SIGNATURE:
            signer, moment = (_FORGERS_SECRET,), now
        case Flaw.OLD:
            signer, moment = secrets, now - 2 * TOLERANCE
        case Flaw.FUTURE:
            signer, moment = secrets, now + 2 * TOLERANCE
        case never:
            assert_never(never)
    return {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signature_header(payload, signer, moment),
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
