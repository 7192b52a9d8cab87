"""How long to wait before a passing fault is tried again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from `first` up to `longest`; half of each wait is jitter, so that many do not come back at once."""

    first: timedelta
    longest: timedelta
    random: Callable[[], float]
    """Gives a number from 0 up to 1."""

    def delay(self, failures: int) -> timedelta:
        """Return the wait after this many failures in a row, at least 1."""
        doublings = min(failures - 1, 32)  # far past any `longest`, and short of overflow
        wait: timedelta = min(self.longest, self.first * int(2**doublings))
        return wait * (0.5 + 0.5 * self.random())
