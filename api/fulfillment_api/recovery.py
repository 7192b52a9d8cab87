"""What a recovery leaves of itself in its ConfigMap, for people and for the operator's metrics. Pure."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

LAST_SUCCESS = "last-success"
"""The key of when a run last ended with nothing left behind, as ISO 8601 writes it."""
LAST_RESULT = "last-result"
"""The key of what the last run that came to its end found, as JSON: a `RunResult`."""


class RunResult(Struct, frozen=True, kw_only=True):
    """How many events a run found, by what became of them."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    ignored: int = 0
    failed: int = 0
    """They wait for a person; the next run tries them again."""


class LastRun(Struct, frozen=True, kw_only=True):
    """What the runs that came to their end leave."""

    last_success: datetime | None = None
    """When the last run that left nothing behind started; None before the first."""
    last_result: RunResult = RunResult()
    """What the last run found."""


def format_result(result: RunResult) -> str:
    """Format what a run found, as `parse_last_run` reads it."""
    return msgspec.json.encode(result).decode()


def parse_last_run(data: Mapping[str, str]) -> LastRun:
    """Read what the runs that came to their end left.

    Args:
        data: what the ConfigMap holds.

    Raises:
        ValueError: somebody else wrote it.
    """
    success, result = data.get(LAST_SUCCESS), data.get(LAST_RESULT)
    try:
        return LastRun(
            last_success=msgspec.convert(success, datetime) if success is not None else None,
            last_result=msgspec.json.decode(result, type=RunResult) if result is not None else RunResult(),
        )
    except msgspec.DecodeError as error:
        raise ValueError(f"{LAST_SUCCESS} or {LAST_RESULT} cannot be read: {error}") from error
