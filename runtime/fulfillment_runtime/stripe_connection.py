"""How Stripe's API is met: its settings, the client, and what its failures mean to us.

A failure passes (`StripeUnavailableError`), or waits for a person (`StripeMisconfiguredError`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated

import aiolimiter
import stripe
from msgspec import Meta, field

from fulfillment_runtime.settings import Secret, WorkloadSettings


class StripeSettings(WorkloadSettings, frozen=True, kw_only=True):
    """What a workload that calls Stripe can be told."""

    stripe_api_key: Annotated[Secret, Meta(description="the secret or restricted API key: sk_… or rk_…")] = field(
        name="STRIPE_API_KEY"
    )
    stripe_api_base: (
        Annotated[str, Meta(pattern="^https?://", description="where Stripe's API is, when not at Stripe")] | None
    ) = field(default=None, name="STRIPE_API_BASE")
    stripe_timeout: Annotated[timedelta, Meta(description="how long one request to Stripe may take, such as 20s")] = (
        field(default=timedelta(seconds=20), name="STRIPE_TIMEOUT")
    )
    stripe_requests_per_second: Annotated[
        float,
        Meta(
            gt=0, le=1000, description="the most requests to Stripe in a second (its limit: 25 in a sandbox, 100 live)"
        ),
    ] = field(default=20.0, name="STRIPE_REQUESTS_PER_SECOND")

    def __post_init__(self) -> None:
        """Check the key, whose prefix tells what it is."""
        if not self.stripe_api_key.startswith(("sk_", "rk_")):
            raise ValueError("STRIPE_API_KEY is no secret key: it starts with sk_ or rk_ (Stripe Dashboard, API keys)")

    @property
    def key_is_live(self) -> bool:
        """Whether the API key moves real money: sk_live_…, rk_live_…."""
        return self.stripe_api_key.split("_")[1:2] == ["live"]


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
    http = stripe.AIOHTTPClient(timeout=settings.stripe_timeout.total_seconds())
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
