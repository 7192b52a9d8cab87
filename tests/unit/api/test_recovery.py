"""What recoveries leave in their ConfigMap is read as it was written."""

from datetime import UTC, datetime

import pytest

from fulfillment_api.recovery import LAST_RESULT, LAST_SUCCESS, LastRun, RunResult, format_result, parse_last_run

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, LastRun()),
        ({"test.undelivered.own": "2026-11-01T12:00:00Z/2026-11-02T11:00:00Z"}, LastRun()),
        (
            {LAST_SUCCESS: "2026-11-02T12:00:00Z", LAST_RESULT: format_result(RunResult(created=3, failed=1))},
            LastRun(last_success=NOW, last_result=RunResult(created=3, failed=1)),
        ),
        ({LAST_RESULT: '{"created":2,"yet unknown":1}'}, LastRun(last_result=RunResult(created=2))),
    ],
)
def test_what_runs_leave_is_read(data: dict[str, str], expected: LastRun) -> None:
    """Nothing before the first; and what a newer version writes besides is passed over."""
    assert parse_last_run(data) == expected


@pytest.mark.parametrize("data", [{LAST_SUCCESS: "yesterday"}, {LAST_RESULT: "all is well"}, {LAST_RESULT: "[]"}])
def test_what_somebody_else_wrote_is_an_error(data: dict[str, str]) -> None:
    """Not taken for no recovery."""
    with pytest.raises(ValueError, match="last-success or last-result cannot be read: "):
        parse_last_run(data)
