"""Where a run starts."""

from datetime import UTC, datetime, timedelta

import pytest

from fulfillment_service.recovery.time_window import Progress, start_point

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECOND = int(NOW.timestamp())
HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    # all ago; stopped and expected: since when, and up to when it is handled
    ("look_back", "stopped", "success", "expected"),
    [
        (timedelta(hours=72), None, None, (3 * DAY, 3 * DAY)),
        (timedelta(hours=72), None, HOUR, (3 * DAY, 3 * DAY)),
        (timedelta(hours=72), (4 * DAY, 1 * DAY), None, (4 * DAY, 1 * DAY)),  # it goes on there
        (timedelta(hours=1), (9 * DAY, 5 * DAY), 8 * DAY, (9 * DAY, 5 * DAY)),  # though that is before its look-back
        (timedelta(hours=72), None, 9 * DAY, (9 * DAY, 9 * DAY)),  # since when no run could begin
        (timedelta(days=30), (4 * DAY, 1 * DAY), HOUR, (30 * DAY, 30 * DAY)),  # more than the stopped one had to do
        (timedelta(hours=1), (50 * DAY, 40 * DAY), 49 * DAY, (50 * DAY, 30 * DAY)),  # Stripe lists nothing older
        (timedelta(hours=1), None, 50 * DAY, (30 * DAY, 30 * DAY)),
    ],
)
def test_where_a_run_starts(
    look_back: timedelta, stopped: tuple[int, int] | None, success: int | None, expected: tuple[int, int]
) -> None:
    """At its look-back, or where one was stopped, or succeeded last: nothing between is left out."""
    last_success = None if success is None else NOW - timedelta(seconds=success)
    assert _ago(*expected) == start_point(look_back, stopped and _ago(*stopped), last_success, now=NOW)


def _ago(start: int, reached: int) -> Progress:
    return Progress(SECOND - start, SECOND - reached)
