"""What a recovery decides: where it begins, in which slices it goes, and what it says of itself."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_api.names import request_name
from fulfillment_api.recovery import LAST_RESULT, LAST_SUCCESS, Noted, RunResult, noted_in, result_line
from fulfillment_service.event import Event, SessionObject
from fulfillment_service.record import Outcome, Trouble
from fulfillment_service.recovery import Tally, oldest_first
from fulfillment_service.recovery_progress import progress_in, progress_key, progress_line
from fulfillment_service.rehearsal import Rehearsal
from fulfillment_service.stripe_events import Page
from fulfillment_service.time_window import Progress, Window, beginning
from fulfillment_service.translate import Desired, Filters, Ignored, Wanted, translate

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECOND = int(NOW.timestamp())
HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    # all ago; stopped and expected: since when, and up to when it is seen to
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
def test_where_a_run_begins(
    look_back: timedelta, stopped: tuple[int, int] | None, success: int | None, expected: tuple[int, int]
) -> None:
    """At its look-back, or where one was stopped, or succeeded last: nothing between is left out."""
    last_success = None if success is None else NOW - timedelta(seconds=success)
    assert _ago(*expected) == beginning(look_back, stopped and _ago(*stopped), last_success, now=NOW)


def _ago(start: int, reached: int) -> Progress:
    return Progress(SECOND - start, SECOND - reached)


class Listed:
    """Events as Stripe lists them: newest first, a page at a time."""

    def __init__(self, created: Sequence[int], page: int) -> None:
        self.events = [_event(f"evt_{place}", second) for place, second in enumerate(sorted(created))]
        self._page = page
        self.requests = 0

    async def page(self, window: Window, after: str | None = None) -> Page:
        self.requests += 1
        places = {event.id: place for place, event in enumerate(self.events)}
        end = len(self.events) if after is None else places[after]
        inside = [each for each in reversed(self.events[:end]) if window.start <= each.created < window.end]
        return Page(tuple(inside[: self._page]), len(inside) > self._page)


def _event(event_id: str, created: int) -> Event:
    about = SessionObject(id=f"cs_test_{event_id}", payment_status="paid")
    kind = "checkout.session.completed"
    return Event(id=event_id, type=kind, livemode=False, account=None, created=created, is_thin=False, session=about)


@given(created=st.lists(st.integers(0, 2000), max_size=120), page=st.integers(1, 10), start=st.integers(0, 1500))
def test_every_event_of_a_window_comes_once_and_oldest_first(created: list[int], page: int, start: int) -> None:
    """Whatever their times, in slices that follow each other without a gap."""
    listed = Listed(created, page)
    window = Window(start, 1800)

    async def run() -> list[tuple[Window, tuple[Event, ...]]]:
        return [(each.window, each.events) async for each in oldest_first(listed, window)]

    slices = asyncio.run(run())
    assert [event for _, events in slices for event in events] == [
        event for event in listed.events if window.start <= event.created < window.end
    ]
    edges = [edge for part, _ in slices for edge in (part.start, part.end)]
    assert (edges[0], edges[-1]) == (window.start, window.end)
    assert edges[1:-1:2] == edges[2::2]
    assert all(len(events) <= page for part, events in slices if part.end - part.start > 1)


@pytest.mark.parametrize(
    ("created", "requests"),
    [([], 1), ([100] * 10, 1), ([1] * 8 + [100] * 8 + [1900] * 8, 11), ([1000] * 35, 24)],
    ids=["none", "one page", "three crowds", "one crowd of four pages in a second"],
)
def test_few_requests(created: list[int], requests: int) -> None:
    """A quiet window is one; the way down to a crowd halves the time with each."""
    listed = Listed(created, page=10)

    async def run() -> int:
        return sum([len(each.events) async for each in oldest_first(listed, Window(0, 2000))])

    assert asyncio.run(run()) == len(created)
    assert listed.requests == requests


def test_an_empty_window_asks_for_nothing() -> None:
    """As when a run follows another one within its second."""
    listed = Listed([5], page=10)

    async def run() -> int:
        return len([each async for each in oldest_first(listed, Window(10, 10))])

    assert (asyncio.run(run()), listed.requests) == (0, 0)


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
    ("lines", "expected"),
    [
        ({}, None),
        ({"key": "2026-11-01T12:00:00Z/2026-11-02T11:00:00Z"}, Progress(SECOND - DAY, SECOND - HOUR)),
        ({"key": "2026-11-01T12:00:00Z"}, None),
        ({"key": "by hand"}, None),
        ({"other": "2026-11-01T12:00:00Z/2026-11-02T11:00:00Z"}, None),
    ],
)
def test_progress_is_read(lines: dict[str, str], expected: Progress | None) -> None:
    """What makes no sense is passed over."""
    assert progress_in(lines, "key") == expected


def test_progress_is_written_as_it_is_read() -> None:
    """As an interval of ISO 8601."""
    progress = Progress(SECOND - DAY, SECOND)
    assert progress_line(progress) == "2026-11-01T12:00:00Z/2026-11-02T12:00:00Z"
    assert progress_in({"key": progress_line(progress)}, "key") == progress


@pytest.mark.parametrize(
    ("results", "line"),
    [
        ({}, "0 found: 0 created, 0 updated, 0 unchanged, 0 ignored, 0 failed"),
        (
            {
                Outcome.CREATED: 3,
                Outcome.UNCHANGED: 1,
                Ignored.LIVEMODE: 2,
                Ignored.SETUP_MODE: 1,
                Trouble.BLOCKED: 1,
            },
            "8 found: 3 created, 0 updated, 1 unchanged, 3 ignored (1 setup-mode, 2 livemode), 1 failed",
        ),
    ],
)
def test_a_tally_in_a_line(results: dict[Outcome | Ignored | Trouble, int], line: str) -> None:
    """What was found, and what became of it; reasons only where there are any."""
    assert str(Tally(Counter(results))) == line


def test_a_tally_as_it_is_noted() -> None:
    """Without the reasons."""
    tally = Tally(Counter({Outcome.CREATED: 3, Ignored.LIVEMODE: 2, Ignored.SETUP_MODE: 1, Trouble.BLOCKED: 1}))
    assert tally.result == RunResult(created=3, ignored=3, failed=1)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ({}, Noted()),
        ({"test.undelivered.own": "2026-11-01T12:00:00Z/2026-11-02T11:00:00Z"}, Noted()),
        (
            {LAST_SUCCESS: "2026-11-02T12:00:00Z", LAST_RESULT: result_line(RunResult(created=3, failed=1))},
            Noted(last_success=NOW, last_result=RunResult(created=3, failed=1)),
        ),
        ({LAST_RESULT: '{"created":2,"yet unknown":1}'}, Noted(last_result=RunResult(created=2))),
    ],
)
def test_what_runs_note_is_read(lines: dict[str, str], expected: Noted) -> None:
    """Nothing before the first; and what a newer version notes besides is passed over."""
    assert noted_in(lines) == expected


@pytest.mark.parametrize("lines", [{LAST_SUCCESS: "yesterday"}, {LAST_RESULT: "all is well"}, {LAST_RESULT: "[]"}])
def test_notes_of_somebody_else_are_told(lines: dict[str, str]) -> None:
    """Not taken for no recovery."""
    with pytest.raises(ValueError, match="last-success or last-result cannot be read: "):
        noted_in(lines)


async def test_a_rehearsal_knows_what_came_before() -> None:
    """Two events about one Session: the second changes what the first would have made, if it says more."""
    asked: list[str] = []

    async def foresee(wanted: Wanted) -> Outcome | Ignored:
        assert isinstance(wanted, Desired)
        asked.append(wanted.name)
        return Outcome.CREATED

    rehearsal = Rehearsal(foresee)
    outcomes = [
        await rehearsal.put(_wanted(kind, status))
        for kind, status in (
            ("completed", "unpaid"),
            ("completed", "unpaid"),
            ("async_payment_failed", "unpaid"),
            ("async_payment_succeeded", "paid"),
            ("async_payment_failed", "unpaid"),
        )
    ]
    assert outcomes == ["created", "unchanged", "updated", "updated", "unchanged"]
    assert asked == [request_name("cs_test_1")]


def _wanted(kind: str, status: str) -> Desired:
    about = SessionObject(id="cs_test_1", payment_status=status)
    event = Event(
        id="evt_1",
        type=f"checkout.session.{kind}",
        livemode=False,
        account=None,
        created=SECOND,
        is_thin=False,
        session=about,
    )
    wanted = translate(event, Filters(), observed_at=NOW)
    assert isinstance(wanted, Desired)
    return wanted
