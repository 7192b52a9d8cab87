"""What Stripe's refusals say of its limits. Pure.

Source: https://docs.stripe.com/rate-limits and https://docs.stripe.com/error-low-level.
"""

from datetime import timedelta
from enum import Enum, unique

import stripe


@unique
class RateLimit(Enum):
    """Which of Stripe's limits a request met."""

    ACCOUNT = "account"
    ENDPOINT = "endpoint"
    UNNAMED = "unnamed"
    """Stripe does not say which."""


_NAMED = {
    "global-rate": RateLimit.ACCOUNT,
    "global-concurrency": RateLimit.ACCOUNT,
    "endpoint-rate": RateLimit.ENDPOINT,
    "endpoint-concurrency": RateLimit.ENDPOINT,
    "resource-specific": None,
}
"""`Stripe-Rate-Limited-Reason`. That of one resource, such as updates of one PaymentIntent, is not about the pace."""


_LONGEST_WAIT = timedelta(minutes=1)  # should Stripe be wrong, no order waits for a day
_DIGITS = 9  # as many as a wait can be read of


def refused_limit(error: stripe.StripeError) -> RateLimit | None:
    """Tell which limit of the pace a request met; None: none, whatever it met.

    A lock that another request holds on an object is a 429, too, with the code `lock_timeout`: that is not the pace.
    """
    if not isinstance(error, stripe.RateLimitError) or error_code(error) == "lock_timeout":
        return None
    reason = _header(error, "stripe-rate-limited-reason")
    return _NAMED.get(reason, RateLimit.UNNAMED) if reason is not None else RateLimit.UNNAMED


def retry_after(error: stripe.StripeError) -> timedelta | None:
    """Read how long Stripe asks to wait, if it says so in seconds: a minute at most, whatever it says."""
    seconds = _header(error, "retry-after") or ""
    if not seconds.isdecimal():
        return None
    return min(timedelta(seconds=int(seconds[:_DIGITS])), _LONGEST_WAIT)


def should_retry(error: stripe.StripeError) -> bool:
    """Tell whether Stripe says that the same request is worth another try, whatever its status."""
    return _header(error, "stripe-should-retry") == "true"


def _header(error: stripe.StripeError, wanted: str) -> str | None:
    return next((value for name, value in (error.headers or {}).items() if name.lower() == wanted), None)


def error_code(error: stripe.StripeError) -> str | None:
    """Read the code from the answer: the library gives it to some kinds of error alone."""
    match error.json_body:
        case {"error": {"code": str(code)}}:
            return code
        case _:
            return None
