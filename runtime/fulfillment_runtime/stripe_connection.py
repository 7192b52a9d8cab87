"""How Stripe's API is met: the client, and what its failures mean to us.

A failure passes (`StripeUnavailableError`), or waits for a person (`StripeMisconfiguredError`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import aiolimiter
import stripe

from fulfillment_runtime.proxies import proxy_of
from fulfillment_runtime.stripe_settings import StripeSettings


class StripeError(Exception):
    """Stripe did not answer the question. The message is for a person: no secret, no personal data."""


class StripeUnavailableError(StripeError):
    """Stripe cannot be reached, is too slow, throttles or fails. Worth another try."""

    def __init__(self, message: str, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after
        """How long Stripe asks to wait."""


class StripeMisconfiguredError(StripeError):
    """Stripe refuses the API key or its permissions: a person must mend the settings."""


@asynccontextmanager
async def stripe_client(settings: StripeSettings) -> AsyncIterator[stripe.StripeClient]:
    """Connect to Stripe, or to what stands in for it. The library tries nothing again: who calls does, in its rate."""
    proxy = proxy_of(settings.stripe_api_base or stripe.DEFAULT_API_BASE)  # the library's client looks for none
    http = stripe.AIOHTTPClient(timeout=settings.stripe_timeout.total_seconds(), proxy=proxy)
    try:
        yield stripe.StripeClient(
            settings.stripe_api_key,
            http_client=http,
            base_addresses={"api": settings.stripe_api_base} if settings.stripe_api_base else {},
            max_network_retries=0,
        )
    finally:
        await http.close_async()  # type: ignore[no-untyped-call] # the library's


def rate_limiter(per_second: float) -> aiolimiter.AsyncLimiter:
    """Make what lets so many requests through in a second; less than one, too."""
    return aiolimiter.AsyncLimiter(max(1.0, per_second), max(1.0, per_second) / per_second)


def translate_error(error: stripe.StripeError, *, right: str) -> StripeError:
    """Turn the library's failure into ours.

    Args:
        error: what the library raised.
        right: what a restricted key must be allowed, in words: "to read Events: give it …".
    """
    seen = f"request {error.request_id}" if error.request_id else "no request id"
    match error:
        case stripe.AuthenticationError():
            return StripeMisconfiguredError(f"Stripe does not know the API key: mend STRIPE_API_KEY ({seen})")
        case stripe.PermissionError():
            return StripeMisconfiguredError(f"Stripe does not allow this API key {right} ({seen})")
        case stripe.APIConnectionError():
            return StripeUnavailableError("Stripe's API cannot be reached")
        case stripe.InvalidRequestError():
            return StripeMisconfiguredError(f"Stripe refused the request with {error.http_status} ({seen})")
        case _:
            return StripeUnavailableError(
                f"Stripe's API answered {error.http_status} ({seen})", _retry_after(error.headers or {})
            )


def _retry_after(headers: dict[str, str]) -> timedelta | None:
    seconds = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return timedelta(seconds=int(seconds)) if seconds.isdecimal() else None
