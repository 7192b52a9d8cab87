"""How far a run came, as the ConfigMap has it."""

from datetime import UTC, datetime

import pytest

from fulfillment_service.recovery.checkpoint import format_progress, parse_progress, progress_key
from fulfillment_service.recovery.time_window import Progress

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECOND = int(NOW.timestamp())
HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("account", "live", "undelivered", "key"),
    [
        (None, False, True, "test.undelivered.own"),
        (None, True, False, "live.all.own"),
        ("acct_1", True, True, "live.undelivered.acct_1"),
    ],
)
def test_each_list_has_its_own_progress(account: str | None, live: bool, undelivered: bool, key: str) -> None:
    """What is done of one says nothing of another."""
    assert progress_key(account, live=live, undelivered=undelivered) == key


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, None),
        ({"key": "2026-11-01T12:00:00Z/2026-11-02T11:00:00Z"}, Progress(SECOND - DAY, SECOND - HOUR)),
        ({"key": "2026-11-01T12:00:00Z"}, None),
        ({"key": "by hand"}, None),
        ({"other": "2026-11-01T12:00:00Z/2026-11-02T11:00:00Z"}, None),
    ],
)
def test_progress_is_read(data: dict[str, str], expected: Progress | None) -> None:
    """What makes no sense is passed over."""
    assert parse_progress(data, "key") == expected


def test_progress_is_written_as_it_is_read() -> None:
    """As an interval of ISO 8601."""
    progress = Progress(SECOND - DAY, SECOND)
    assert format_progress(progress) == "2026-11-01T12:00:00Z/2026-11-02T12:00:00Z"
    assert parse_progress({"key": format_progress(progress)}, "key") == progress
