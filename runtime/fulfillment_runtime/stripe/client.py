"""How Stripe's API is met: the client, and what its failures mean to us.

A failure passes (`StripeUnavailableError`), or waits for a person (`StripeMisconfiguredError`).
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import stripe

from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.proxies import proxy_of
from fulfillment_runtime.stripe.http_client import StripeHttpClient
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_runtime.stripe.refusals import error_code, retry_after, should_retry
from fulfillment_runtime.stripe.settings import StripeSettings
from fulfillment_runtime.stripe.throttle import Limits, Throttle

_REQUEST_ID = re.compile(r" \((request \w+|no request id)\)$")


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
    http = StripeHttpClient(timeout=settings.stripe_timeout.total_seconds(), proxy=proxy)
    try:
        yield stripe.StripeClient(
            settings.stripe_api_key,
            http_client=http,
            base_addresses={"api": settings.stripe_api_base} if settings.stripe_api_base else {},
            max_network_retries=0,
        )
    finally:
        await http.close_async()  # type: ignore[no-untyped-call] # the library's


def stripe_reader(
    client: stripe.StripeClient,
    settings: StripeSettings,
    *,
    concurrency: int = 1,
    waited: Callable[[str, float], None] = lambda _endpoint, _seconds: None,
) -> StripeReader:
    """Make what asks Stripe within the limits of the settings.

    Args:
        client: as whom.
        settings: those limits.
        concurrency: the most requests at once.
        waited: is told of each request: its endpoint, and how many seconds it waited for its turn.
    """
    limits = Limits(
        per_second=settings.account_requests_per_second,
        per_endpoint=settings.stripe_endpoint_requests_per_second,
        concurrency=concurrency,
    )
    return StripeReader(client, Throttle(limits, waited=waited))


def without_request_id(message: str) -> str:
    """Return the message of an error without the id of the request, which is another one each time."""
    return _REQUEST_ID.sub("", message)


def translate_error(error: stripe.StripeError, *, right: str, account: str | None = None) -> StripeError:
    """Turn the library's failure into ours.

    Args:
        error: what the library raised.
        right: what a restricted key must be allowed, in words: "to read Events: give it …".
        account: the connected account that was asked for, acct_…; None: its own, or that of the order it is about.
    """
    seen = f"request {error.request_id}" if error.request_id else "no request id"
    match error:
        case stripe.AuthenticationError():
            message = with_chart_values("Stripe does not know the API key: mend STRIPE_API_KEY")
            return StripeMisconfiguredError(f"{message} ({seen})")
        case stripe.PermissionError() if error_code(error) == "account_invalid":
            whom = account or "the order's account"
            message = with_chart_values(
                f"Stripe does not let this API key act for {whom}: connect it again, or take it out of STRIPE_ACCOUNTS"
            )
            return StripeMisconfiguredError(f"{message} ({seen})")
        case stripe.PermissionError():
            return StripeMisconfiguredError(f"Stripe does not allow this API key {right} ({seen})")
        case stripe.APIConnectionError():
            return StripeUnavailableError("Stripe's API cannot be reached")
        case stripe.InvalidRequestError() if not should_retry(error):
            return StripeMisconfiguredError(f"Stripe refused the request with {error.http_status} ({seen})")
        case _:
            return StripeUnavailableError(f"Stripe's API answered {error.http_status} ({seen})", retry_after(error))
