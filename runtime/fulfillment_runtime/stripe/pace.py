"""How fast one of Stripe's limits lets us ask. Pure: the time is given.

At most so many requests go in any second, however Stripe counts its seconds. A refusal halves the pace, which then
grows again by the same amount each second: so programs that share a key, and know nothing of each other, come to share
its limit (additive increase, multiplicative decrease: RFC 5681).

Source: https://docs.stripe.com/rate-limits.
"""

from collections import deque
from math import ceil

_GROWS_BACK_IN = 20.0  # seconds from nothing to the full pace: after one refusal, half of that
_LEAST = 1 / 32  # of the full pace: however often Stripe refuses, it is asked again


class Pace:
    """The pace of the requests that one limit counts. Times are seconds of a clock that never goes back."""

    def __init__(self, most: float) -> None:
        """Begin at the full pace.

        Args:
            most: requests in a second; less than one, too.
        """
        self._most = most
        self._slowed_to = most
        self._slowed_at = float("-inf")
        self._paused_until = float("-inf")
        self._taken = deque[float](maxlen=ceil(most))

    def per_second(self, now: float) -> float:
        """Return the pace: so many requests in a second."""
        return min(self._most, self._slowed_to + (now - self._slowed_at) * self._most / _GROWS_BACK_IN)

    def free_at(self, now: float) -> float:
        """Tell when the next request may go: now, or later."""
        pace = self.per_second(now)
        count = ceil(pace)
        earliest = self._taken[-count] + count / pace if len(self._taken) >= count else now
        return max(now, earliest, self._paused_until)

    def take(self, now: float) -> None:
        """Take in that a request goes."""
        self._taken.append(now)

    def refuse(self, asked_at: float, now: float, pause: float = 0) -> None:
        """Take in that Stripe refused a request for this limit.

        Args:
            asked_at: when the request went. Of those that went before the pace was halved, each would halve it again.
            now: the time.
            pause: for how many seconds Stripe asks to be left alone.
        """
        self._paused_until = max(self._paused_until, now + pause)
        if asked_at >= self._slowed_at:
            self._slowed_to = max(self.per_second(now) / 2, self._most * _LEAST)
            self._slowed_at = now
