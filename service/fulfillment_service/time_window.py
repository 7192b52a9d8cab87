"""A stretch of time at Stripe, whose events are listed. Pure.

Stripe lists events newest first, and has no other order. To handle the oldest first without holding thirty days of
them in memory, time is cut into slices so thin that each is one page, and the oldest slice comes first. Stripe's
`created` has whole seconds: no slice is thinner.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

GREATEST_LOOK_BACK = timedelta(days=30)
"""How long Stripe lists an event (Stripe, "List all events")."""


@dataclass(frozen=True, slots=True)
class Window:
    """From one second on, and before another one, in Unix time."""

    start: int
    end: int

    def halves(self) -> tuple["Window", "Window"] | None:
        """Cut it in two, the older half first; None for a second, which cannot be cut."""
        if self.end - self.start <= 1:
            return None
        middle = (self.start + self.end) // 2
        return Window(self.start, middle), Window(middle, self.end)

    def __str__(self) -> str:
        """Say it in words."""
        return f"from {time_line(self.start)} to {time_line(self.end)}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run came: it saw to everything from `start` on and before `reached`."""

    start: int
    reached: int


def beginning(
    look_back: timedelta, stopped: Progress | None, last_success: datetime | None, *, now: datetime
) -> Progress:
    """Tell where a run begins: what it has to do is from `reached` on.

    Nothing is left out that no run has seen to: it goes on where one was stopped, or begins where the last one that
    left nothing behind ended, even when that is longer ago than the look-back. If it has more to do than the one that
    was stopped, it begins anew.

    Args:
        look_back: how far back is asked for.
        stopped: how far a run came that did not finish; None when the last one did.
        last_success: up to when a run last left nothing behind; None before the first.
        now: the time, with its zone.
    """
    end = int(now.timestamp())
    oldest = end - int(GREATEST_LOOK_BACK.total_seconds())
    start = end - int(look_back.total_seconds())
    if last_success is not None:
        start = max(oldest, min(start, int(last_success.timestamp())))
    if stopped is None or stopped.start > start:
        return Progress(start, start)
    return Progress(stopped.start, max(stopped.reached, oldest))


def time_line(second: int) -> str:
    """Write a time as metav1.Time has it."""
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
