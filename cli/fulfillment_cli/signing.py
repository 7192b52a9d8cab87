"""Signs webhook requests as Stripe does.

Source: https://docs.stripe.com/webhooks#verify-manually.
"""

from collections.abc import Sequence

import stripe


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


def webhook_headers(payload: bytes, secrets: Sequence[str], *, now: float) -> dict[str, str]:
    """Make the headers of a webhook request as Stripe sends it.

    Args:
        payload: as `signature_header` takes it.
        secrets: likewise.
        now: the time, in seconds since the epoch.

    Raises:
        UnicodeDecodeError: the payload is not UTF-8.
    """
    return {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signature_header(payload, secrets, now),
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
