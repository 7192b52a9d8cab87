"""Tells of what anybody can cause at any rate, at most once in a while."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

_log = structlog.get_logger(__name__)
_EVERY = timedelta(minutes=1)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class SparseLog:
    """Writes the first line of an event at once, then one a minute, with how often it happened since the last."""

    clock: Callable[[], datetime]
    """Returns the time, with its zone."""
    _written_at: dict[str, datetime] = field(default_factory=dict)
    _since: dict[str, int] = field(default_factory=dict)

    def warning(self, event: str, *, reason: str, message: str) -> None:
        """Write a line of an event, unless one was written of the same event and reason within the last minute."""
        now, key = self.clock(), f"{event} {reason}"
        self._since[key] = self._since.get(key, 0) + 1
        # A clock that was set back keeps nothing back.
        if timedelta() <= now - self._written_at.get(key, _NEVER) < _EVERY:
            return
        self._written_at[key] = now
        _log.warning(event, reason=reason, message=message, count=self._since.pop(key))
