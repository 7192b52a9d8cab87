"""What Stripe's refusals say of how long to wait."""

from datetime import timedelta

import pytest
import stripe

from fulfillment_runtime.stripe.client import StripeUnavailableError, translate_error


@pytest.mark.parametrize(
    ("header", "after"),
    [
        (None, None),
        ("soon", None),
        ("-1", None),
        ("0", timedelta(0)),
        ("7", timedelta(seconds=7)),
        ("86400", timedelta(minutes=1)),
        ("9" * 5000, timedelta(minutes=1)),
    ],
    ids=lambda value: str(value)[:8],
)
def test_how_long_stripe_asks_to_wait(header: str | None, after: timedelta | None) -> None:
    """A minute at most, whatever it says: no order waits for a day."""
    headers = {} if header is None else {"Retry-After": header}
    error = translate_error(stripe.APIError("away", http_status=503, headers=headers), right="to read")
    assert isinstance(error, StripeUnavailableError)
    assert error.after == after
