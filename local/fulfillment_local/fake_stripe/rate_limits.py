"""Stripe's limits on requests: so many a second for an account, and for each endpoint of it. Pure: the time is given.

Source: https://docs.stripe.com/rate-limits.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from enum import StrEnum, unique


@unique
class Reason(StrEnum):
    """`Stripe-Rate-Limited-Reason`, as far as it is about rates."""

    GLOBAL = "global-rate"
    ENDPOINT = "endpoint-rate"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How many requests a second are answered."""

    live: int = 100
    """Of an account, in live mode."""
    sandbox: int = 25
    """Of an account, in a sandbox."""
    endpoint: int = 25
    """Of each endpoint, in either."""


@dataclass(slots=True)
class RateLimiter:
    """Counts what was answered within the last second; what is refused does not count."""

    limits: RateLimits
    _answered: defaultdict[tuple[bool, str], deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def refuse(self, endpoint: str, now: float, *, livemode: bool) -> Reason | None:
        """Take in a request, and tell why it is refused; None: it is not.

        Args:
            endpoint: its path, whatever the id in it, such as /v1/checkout/sessions/{id}.
            now: the time in seconds.
            livemode: whether it is made in live mode.
        """
        of_account, of_endpoint = self._recent(livemode, "", now), self._recent(livemode, endpoint, now)
        if len(of_account) >= (self.limits.live if livemode else self.limits.sandbox):
            return Reason.GLOBAL
        if len(of_endpoint) >= self.limits.endpoint:
            return Reason.ENDPOINT
        of_account.append(now)
        of_endpoint.append(now)
        return None

    def _recent(self, livemode: bool, endpoint: str, now: float) -> deque[float]:  # noqa: FBT001 - a key of two
        found = self._answered[livemode, endpoint]
        while found and found[0] <= now - 1:
            found.popleft()
        return found
