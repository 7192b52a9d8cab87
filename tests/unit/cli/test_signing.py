"""Signed webhook requests, held against the check of Stripe's own library."""

import pytest
import stripe

from fulfillment_cli.signing import signature_header

BODY = '{"id": "evt_1", "name": "Zoë"}'.encode()
NOW = 1_790_000_000


@pytest.mark.parametrize("secret", ["whsec_new", "whsec_old"])
def test_each_secret_verifies(secret: str) -> None:
    """While a secret is rolled, the header carries a signature of each, and both verify."""
    header = signature_header(BODY, ["whsec_new", "whsec_old"], NOW)
    assert stripe.WebhookSignature.verify_header(BODY, header, secret)
    assert (header.count("t="), header.count("v1=")) == (1, 2)


def test_stripe_signs_text() -> None:
    """Bytes that are not UTF-8 cannot be signed in Stripe's scheme."""
    with pytest.raises(UnicodeDecodeError):
        signature_header(b"\xff", ["whsec_1"], NOW)
