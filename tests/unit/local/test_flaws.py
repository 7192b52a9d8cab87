"""Webhook requests that are signed wrongly, held against the check of Stripe's own library."""

import pytest
import stripe

from fulfillment_local.flaws import Flaw, flawed_headers

BODY = '{"id": "evt_1", "name": "Zoë"}'.encode()
NOW = 1_790_000_000


@pytest.mark.parametrize(
    ("flaw", "timestamp", "verifies"),
    [
        (None, NOW, True),
        (Flaw.BAD_SIGNATURE, NOW, False),
        (Flaw.OLD, NOW - 600, True),
        (Flaw.FUTURE, NOW + 600, True),
    ],
)
def test_flaws(flaw: Flaw | None, timestamp: int, verifies: bool) -> None:
    """A flawed request has a wrong signature, or a right one for a wrong time."""
    header = flawed_headers(BODY, ["whsec_1"], now=NOW, flaw=flaw)["Stripe-Signature"]
    assert header.startswith(f"t={timestamp},v1=")
    try:
        verified = stripe.WebhookSignature.verify_header(BODY, header, "whsec_1")
    except stripe.SignatureVerificationError:
        verified = False
    assert verifies is verified
