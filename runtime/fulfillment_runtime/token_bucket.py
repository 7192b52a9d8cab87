"""A token bucket, as client-go's flowcontrol: so many at once, and so many a second in the long run."""

from collections.abc import Callable


class TokenBucket:
    """Has tokens, or has none: nobody waits for one."""

    def __init__(self, *, burst: int, per_second: float, clock: Callable[[], float]) -> None:
        """Make a full one.

        Args:
            burst: how many it holds.
            per_second: how many come back in a second.
            clock: tells seconds from any moment on; it never goes back.
        """
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def try_accept(self) -> bool:
        """Take a token, if there is one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
