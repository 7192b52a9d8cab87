"""In which slices a recovery handles events, and what it says of them."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fulfillment_api.recovery import RunResult
from fulfillment_service.events.envelope import Envelope, decode_envelope
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.translate import SpecChange
from fulfillment_service.recovery.backfill import Backfill, Summary, oldest_first
from fulfillment_service.recovery.event_list import Listed, Page
from fulfillment_service.recovery.time_window import Window
from fulfillment_service.request_store import NotRecordedReason, OperationResult
from support.stripe_events import SESSION, charge_event, snapshot

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECOND = int(NOW.timestamp())


class EventsByPage:
    """Events as Stripe lists them: newest first, a page at a time."""

    def __init__(self, created: Sequence[int], page: int) -> None:
        self.events = [_event(f"evt_{place}", second) for place, second in enumerate(sorted(created))]
        self._page = page
        self.requests = 0

    async def page(self, window: Window, after: str | None = None) -> Page:
        self.requests += 1
        places = {event.id: place for place, event in enumerate(self.events)}
        end = len(self.events) if after is None else places[after]
        inside = [each for each in reversed(self.events[:end]) if window.start <= _second(each) < window.end]
        return Page(tuple(inside[: self._page]), len(inside) > self._page)


def _event(event_id: str, created: int) -> Envelope:
    return decode_envelope(json.dumps(snapshot(id=event_id, created=created)))


def _second(event: Envelope) -> int:
    assert event.created_at
    return int(event.created_at.timestamp())


@given(created=st.lists(st.integers(0, 2000), max_size=120), page=st.integers(1, 10), start=st.integers(0, 1500))
def test_every_event_of_a_window_comes_once_and_oldest_first(created: list[int], page: int, start: int) -> None:
    """Whatever their times, in slices that follow each other without a gap."""
    listed = EventsByPage(created, page)
    window = Window(start, 1800)

    async def run() -> list[tuple[Window, tuple[Listed, ...]]]:
        return [(each.window, each.events) async for each in oldest_first(listed, window)]

    slices = asyncio.run(run())
    assert [event for _, events in slices for event in events] == [
        event for event in listed.events if window.start <= _second(event) < window.end
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
    listed = EventsByPage(created, page=10)

    async def run() -> int:
        return sum([len(each.events) async for each in oldest_first(listed, Window(0, 2000))])

    assert asyncio.run(run()) == len(created)
    assert listed.requests == requests


def test_an_empty_window_asks_for_nothing() -> None:
    """As when a run follows another one within its second."""
    listed = EventsByPage([5], page=10)

    async def run() -> int:
        return len([each async for each in oldest_first(listed, Window(10, 10))])

    assert (asyncio.run(run()), listed.requests) == (0, 0)


@pytest.mark.parametrize(
    ("results", "line"),
    [
        ({}, "0 found: 0 created, 0 updated, 0 unchanged, 0 ignored, 0 failed"),
        (
            {
                OperationResult.CREATED: 3,
                OperationResult.UNCHANGED: 1,
                Ignored.LIVEMODE: 2,
                Ignored.SETUP_MODE: 1,
                NotRecordedReason.BLOCKED: 1,
            },
            "8 found: 3 created, 0 updated, 1 unchanged, 3 ignored (1 setup-mode, 2 livemode), 1 failed",
        ),
    ],
)
def test_a_summary_in_a_line(results: dict[OperationResult | Ignored | NotRecordedReason, int], line: str) -> None:
    """What was found, and what became of it; reasons only where there are any."""
    assert str(Summary(Counter(results))) == line


def test_a_summary_as_it_is_written() -> None:
    """Without the reasons."""
    summary = Summary(
        Counter({OperationResult.CREATED: 3, Ignored.LIVEMODE: 2, Ignored.SETUP_MODE: 1, NotRecordedReason.BLOCKED: 1})
    )
    assert summary.result == RunResult(created=3, ignored=3, failed=1)


def backfill_of(
    events: Sequence[Listed], record: Callable[[SpecChange], Awaitable[OperationResult | Ignored]]
) -> Backfill:
    """Make one of a list of one page."""

    class OnePage:
        async def page(self, window: Window, after: str | None = None) -> Page:
            del window, after
            return Page(tuple(reversed(events)), has_more=False)

    async def save(reached: int) -> None:
        del reached

    return Backfill(
        event_list=OnePage(),
        rules=EventRules(filters=Filters(livemode=False)),
        record=record,
        save_progress=save,
        summary=Summary(),
        clock=lambda: NOW,
    )


async def test_the_log_says_what_an_ignored_event_is_about() -> None:
    """A Session, or the charge and the payment that were refunded or disputed: each by its own name."""
    events = [
        snapshot("checkout.session.expired", livemode=True),
        charge_event("refund.updated", id="re_1", charge="ch_1", status="succeeded"),
        charge_event("charge.dispute.created", id="du_1", charge="ch_1", payment_intent=None),
        snapshot("invoice.paid", id="evt_4", session={"id": "in_1"}),
    ]

    async def refuse(change: SpecChange) -> OperationResult | Ignored:
        raise AssertionError(change)

    backfill = backfill_of([decode_envelope(json.dumps(event)) for event in events], refuse)
    with capture_logs() as logs:
        assert await backfill.run(Window(SECOND - 60, SECOND))
    lines = [line for line in logs if line["event"] != "recovery.progress"]
    assert [(line["event"], _names(line)) for line in lines] == [
        ("recovery.ignored", {"session": SESSION["id"]}),
        ("recovery.ignored", {"charge": "ch_1", "payment_intent": SESSION["payment_intent"]}),
        ("recovery.ignored", {"charge": "ch_1"}),
        ("recovery.ignored", {}),
    ]


async def test_what_is_no_event_waits_for_a_person_and_holds_up_no_other() -> None:
    """Whatever stands in its place in the list."""

    async def record(change: SpecChange) -> OperationResult | Ignored:
        del change
        return OperationResult.CREATED

    no_event = EventRejectedError(EventRejectReason.NOT_AN_OBJECT, "the body is not a JSON object")
    backfill = backfill_of([_event("evt_1", SECOND), no_event, _event("evt_2", SECOND)], record)
    assert not await backfill.run(Window(SECOND - 60, SECOND))
    assert backfill.summary.results == {OperationResult.CREATED: 2, NotRecordedReason.BLOCKED: 1}


def _names(line: Mapping[str, object]) -> dict[str, object]:
    return {key: line[key] for key in ("session", "charge", "payment_intent") if key in line}
