"""Which Events are written, and in which order: the bucket, the correlator, the queue, and the room for them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio import client
from prometheus_client import CollectorRegistry

from fulfillment_operator.controller.event_broadcaster import EventBroadcaster
from fulfillment_operator.controller.event_correlator import EventCorrelator, RecordedEvent
from fulfillment_operator.controller.event_queue import EventQueue
from fulfillment_operator.metrics import EventDropCause, OperatorMetrics
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.events import EventType
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.token_bucket import TokenBucket
from support.builders import CREATED
from support.dropped_events import dropped_events

NORMAL, WARNING = EventType.NORMAL, EventType.WARNING
EVENT = RecordedEvent(
    request="cs-1", uid="u-1", resource_version="7", type=NORMAL, reason="Fulfilled", message="done", at=CREATED
)


@dataclass(slots=True)
class Clock:
    """Tells the seconds that a test says."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def correlator(clock: Clock) -> EventCorrelator:
    drawn = (number / 2**53 for number in count(1))
    return EventCorrelator(clock=clock, random=lambda: next(drawn))


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    """It holds no more than its burst, however long nobody takes one."""
    clock = Clock()
    bucket = TokenBucket(burst=3, per_second=0.5, clock=clock)
    assert [bucket.try_accept() for _ in range(5)] == [True, True, True, False, False]
    clock.seconds = 2.0
    assert [bucket.try_accept() for _ in range(2)] == [True, False]
    clock.seconds = 1000.0
    assert [bucket.try_accept() for _ in range(4)] == [True, True, True, False]


def test_what_happens_again_is_counted_on_one_event() -> None:
    """First and last time are kept, as `kubectl describe` shows them: x3 over 2m."""
    correlates = correlator(Clock())
    written = [correlates.correlate(replace(EVENT, at=CREATED + timedelta(minutes=each))) for each in range(3)]
    assert [each and (each.name, each.count) for each in written] == [("cs-1.1", 1), ("cs-1.1", 2), ("cs-1.1", 3)]
    last = written[-1]
    assert last is not None
    assert (last.first_timestamp, last.last_timestamp) == (CREATED, CREATED + timedelta(minutes=2))


@pytest.mark.parametrize(
    "other",
    [{"uid": "u-2"}, {"reason": "Paused"}, {"message": "otherwise"}, {"type": WARNING}],
    ids=lambda each: next(iter(each)),
)
def test_what_is_something_else_is_an_event_of_its_own(other: dict[str, Any]) -> None:
    """Another object of the same name, too."""
    correlates = correlator(Clock())
    written = [correlates.correlate(each) for each in (EVENT, replace(EVENT, **other))]
    assert [each and each.count for each in written] == [1, 1]
    assert len({each.name for each in written if each}) == 2


def test_events_that_differ_by_their_message_alone_are_combined() -> None:
    """From the tenth message on within ten minutes, as client-go's EventAggregator."""
    clock = Clock()
    correlates = correlator(clock)
    written = [correlates.correlate(replace(EVENT, message=f"error {each}")) for each in range(12)]
    assert [each and each.message for each in written[8:]] == [
        "error 8",
        *(f"(combined from similar events): error {each}" for each in (9, 10, 11)),
    ]
    assert [each and each.count for each in written[8:]] == [1, 1, 2, 3]
    clock.seconds = 601.0
    later = correlates.correlate(replace(EVENT, message="error 12"))
    assert later is not None
    assert (later.message, later.count) == ("error 12", 1)


def test_one_request_has_25_events_and_then_one_in_five_minutes() -> None:
    """As client-go's EventSourceObjectSpamFilter; what is not told is counted all the same."""
    clock = Clock()
    correlates = correlator(clock)
    written = [correlates.correlate(EVENT) for _ in range(30)]
    assert [each is not None for each in written] == [True] * 25 + [False] * 5
    assert correlates.correlate(replace(EVENT, uid="u-2")) is not None
    clock.seconds = 301.0
    later = correlates.correlate(EVENT)
    assert later is not None
    assert later.count == 31
    assert correlates.correlate(EVENT) is None


def test_a_correlator_forgets_the_request_that_it_was_told_of_longest_ago() -> None:
    """What it holds is bounded, however many orders there are."""
    correlates = correlator(Clock())
    for number in range(1025):
        correlates.correlate(replace(EVENT, uid=f"u-{number}"))
    again = [correlates.correlate(replace(EVENT, uid=uid)) for uid in ("u-1024", "u-1", "u-0")]
    assert [each and each.count for each in again] == [2, 2, 1]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(EventType)), max_size=12),
    st.integers(1, 6),
)
def test_warnings_go_first_and_the_events_of_one_request_in_their_order(
    recorded: list[tuple[str, EventType]], capacity: int
) -> None:
    """And no Warning is dropped while there is another Event to drop."""
    queue, dropped = EventQueue(capacity), []
    events = [replace(EVENT, uid=uid, type=kind, message=str(at)) for at, (uid, kind) in enumerate(recorded)]
    for event in events:
        lost = queue.put(event)
        if lost is not None:
            dropped.append(lost)
            assert lost.type is NORMAL or all(each.type is WARNING for each in held(events, dropped, event))
    taken = [queue.pop() for _ in range(len(queue))]
    assert len(taken) == min(capacity, len(events))
    assert sorted([*taken, *dropped], key=at_place) == events
    for uid in "abc":
        own = [at_place(each) for each in taken if each.uid == uid]
        assert own == sorted(own)
    last_warning = max((place for place, each in enumerate(taken) if each.type is WARNING), default=0)
    warned = {each.uid for each in taken if each.type is WARNING}
    assert all(each.uid in warned for each in taken[:last_warning])


def at_place(event: RecordedEvent) -> int:
    return int(event.message)


def held(events: list[RecordedEvent], dropped: list[RecordedEvent], last: RecordedEvent) -> Iterator[RecordedEvent]:
    gone = {at_place(each) for each in dropped}
    return (each for each in events[: at_place(last) + 1] if at_place(each) not in gone)


@pytest.mark.parametrize(
    ("orders", "per_second", "events_each", "written"),
    [
        (3600, 1.0, 2, 7200),
        (3600, 2.0, 2, 7200),
        (3000, 100.0, 1, 160),
        (20000, 400.0, 1, 260),
        (300, float("inf"), 1, 10),
    ],
    ids=["an order a second", "two a second", "a backlog", "a large one, quickly", "all at once"],
)
async def test_a_shop_sees_every_event_and_a_backlog_a_tenth_at_most(
    orders: int, per_second: float, events_each: int, written: int
) -> None:
    """Those of type Normal have a rate; what has no room is counted."""
    clock, registry = Clock(), CollectorRegistry()
    broadcaster = make_broadcaster(clock, registry)
    for number in range(orders):
        clock.seconds = number / per_second
        for _ in range(events_each):
            broadcaster.enqueue(replace(EVENT, uid=f"u-{number}"))
    lost = dropped_events(registry)[NORMAL, EventDropCause.RATE]
    assert orders * events_each - lost == pytest.approx(written, abs=1)


async def test_no_warning_is_dropped_for_the_rate() -> None:
    """But for the bound of the queue."""
    registry = CollectorRegistry()
    broadcaster = make_broadcaster(Clock(), registry)
    for number in range(1100):
        broadcaster.enqueue(replace(EVENT, uid=f"u-{number}", type=NORMAL))
        broadcaster.enqueue(replace(EVENT, uid=f"u-{number}", type=WARNING))
    assert dropped_events(registry) == {
        (NORMAL, EventDropCause.RATE): 1090,
        (NORMAL, EventDropCause.QUEUE_FULL): 10,
        (WARNING, EventDropCause.QUEUE_FULL): 100,
    }


def make_broadcaster(clock: Clock, registry: CollectorRegistry) -> EventBroadcaster:
    """Make one that is never told to write."""
    return EventBroadcaster(
        EventSink(LibraryRestClient(client.ApiClient()), "shop", reporter="here", timeout=1),
        backoff=Backoff(timedelta(0), timedelta(0), lambda: 0.0, attempts=1),
        clock=clock,
        random=lambda: 0.0,
        metrics=OperatorMetrics(registry),
    )
