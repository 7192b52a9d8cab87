"""How long to wait before a passing fault is tried again, and the loop that does so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Exception)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from `first` up to `longest`; half of each wait is jitter, so that many do not come back at once."""

    first: timedelta
    longest: timedelta
    random: Callable[[], float]
    """Draws from [0, 1)."""
    attempts: int | None = None
    """How often something is tried at most, the first time included; None: until something else ends it."""

    def delay(self, failures: int) -> timedelta:
        """Return the wait after this many failures in a row, at least 1."""
        doublings = min(failures - 1, 32)  # far past any `longest`, and short of overflow
        return jittered(min(self.longest, self.first * int(2**doublings)), self.random)


def jittered(wait: timedelta, random: Callable[[], float]) -> timedelta:
    """Return between half of a wait and all of it.

    Args:
        wait: the longest it may be.
        random: draws from [0, 1).
    """
    return wait * (0.5 + 0.5 * random())


async def retry(  # noqa: PLR0913 - what, on which faults, how often, and what is injected
    attempt: Callable[[], Awaitable[T]],
    *,
    on: type[E] | tuple[type[E], ...],
    backoff: Backoff,
    retry_after: Callable[[E], timedelta | None] = lambda _error: None,
    scheduled: Callable[[E, timedelta], object] = lambda _error, _delay: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Try until it succeeds, fails in another way, or was tried often enough; a deadline is the caller's timeout.

    Args:
        attempt: one try.
        on: the passing faults.
        backoff: how long between two tries, and how many there are.
        retry_after: how long the other side asks to wait; no try comes sooner.
        scheduled: is called with the fault, and the wait until the next try.
        sleep: waits for so many seconds.

    Raises:
        Exception: of the last try.
    """
    failures = 0
    while True:
        try:
            return await attempt()
        except on as error:
            failures += 1
            if failures == backoff.attempts:
                raise
            delay = max(backoff.delay(failures), retry_after(error) or timedelta(0))
            scheduled(error, delay)
        await sleep(delay.total_seconds())
