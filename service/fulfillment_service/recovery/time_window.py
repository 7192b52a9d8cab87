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
        """Format it for a log line."""
        return f"from {format_time(self.start)} to {format_time(self.end)}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run came: it handled everything from `start` on and before `reached`, in Unix time."""

    start: int
    reached: int


def start_point(
    look_back: timedelta, stopped: Progress | None, last_success: datetime | None, *, now: datetime
) -> Progress:
    """Return where a run starts: what it has to handle is from `reached` on.

    Nothing is left out that no run has handled: it resumes where one was stopped, or starts where the last success
    ended, even when that is longer ago than the look-back. If it has more to do than the one that was stopped, it
    starts anew.

    Args:
        look_back: how far back events are listed.
        stopped: how far a run came that did not finish; None when the last one did.
        last_success: when the last run started that left nothing of this list behind; None before the first.
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


def format_time(second: int) -> str:
    """Format a Unix time as metav1.Time has it."""
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
