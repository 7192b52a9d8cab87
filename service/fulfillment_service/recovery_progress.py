"""How far recoveries came: one line for each list of events, in a ConfigMap that people can read, too.

A line is the stretch of time that is seen to, as ISO 8601 writes it: `2026-11-21T09:00:00Z/2026-11-22T17:30:00Z`. It is
there while a run is under way, and after one that was stopped.
"""

from collections.abc import Mapping
from datetime import datetime

import structlog

from fulfillment_api.recovery import noted_in
from fulfillment_service.time_window import Progress, time_line

_log = structlog.get_logger(__name__)


def progress_key(account: str | None, *, live: bool, undelivered: bool) -> str:
    """Name the line of a list of events: what one run has seen to says nothing of another list."""
    mode, which = "live" if live else "test", "undelivered" if undelivered else "all"
    return f"{mode}.{which}.{account or 'own'}"


def progress_in(lines: Mapping[str, str], key: str) -> Progress | None:
    """Read how far a run came that did not finish; None when the last one did."""
    line = lines.get(key)
    if line is None:
        return None
    start, _, reached = line.partition("/")
    try:
        return Progress(*(int(datetime.fromisoformat(each).timestamp()) for each in (start, reached)))
    except ValueError:
        _log.warning("recovery.progress_unreadable", key=key, message="it is passed over, and the run begins anew")
        return None


def success_in(lines: Mapping[str, str]) -> datetime | None:
    """Read when a run last left nothing behind; None before the first."""
    try:
        return noted_in(lines).last_success
    except ValueError as error:
        _log.warning("recovery.notes_unreadable", message=str(error))
        return None


def progress_line(progress: Progress) -> str:
    """Write how far a run came."""
    return f"{time_line(progress.start)}/{time_line(progress.reached)}"
