"""How far recoveries came: an entry for each list of events, in a ConfigMap that people can read, too.

An entry is the stretch of time that is handled, as ISO 8601 writes an interval:
`2026-11-21T09:00:00Z/2026-11-22T17:30:00Z`. It is there while a run is under way, and after one that was stopped. When
all of a list was last handled, an entry beside it tells.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec
import structlog

from fulfillment_api.recovery import LAST_SUCCESS
from fulfillment_service.recovery.time_window import Progress, format_time

_log = structlog.get_logger(__name__)


def progress_key(account: str | None, *, live: bool, undelivered: bool) -> str:
    """Name the entry of a list of events: each list has its own progress."""
    mode, which = "live" if live else "test", "undelivered" if undelivered else "all"
    return f"{mode}.{which}.{account or 'own'}"


def parse_progress(data: Mapping[str, str], key: str) -> Progress | None:
    """Read how far a run came that did not finish; None when the last one did.

    Args:
        data: what the ConfigMap holds.
        key: the entry's.
    """
    entry = data.get(key)
    if entry is None:
        return None
    start, _, reached = entry.partition("/")
    try:
        return Progress(*(int(datetime.fromisoformat(each).timestamp()) for each in (start, reached)))
    except ValueError:
        _log.warning("recovery.progress_unreadable", key=key, message="it is ignored, and the run starts anew")
        return None


def success_key(key: str) -> str:
    """Name the entry that tells when all of a list of events was last handled.

    Args:
        key: that of the list's progress.
    """
    return f"{key}.{LAST_SUCCESS}"


def parse_last_success(data: Mapping[str, str], key: str) -> datetime | None:
    """Read when the last run started that left nothing of a list behind, or of any if none did of this one.

    Args:
        data: what the ConfigMap holds.
        key: that of the list's progress.
    """
    entry = data.get(success_key(key), data.get(LAST_SUCCESS))
    if entry is None:
        return None
    try:
        return msgspec.convert(entry, datetime)
    except msgspec.ValidationError as error:
        _log.warning("recovery.last_success_unreadable", key=success_key(key), message=str(error))
        return None


def format_progress(progress: Progress) -> str:
    """Format how far a run came, as `parse_progress` reads it."""
    return f"{format_time(progress.start)}/{format_time(progress.reached)}"
