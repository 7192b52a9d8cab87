"""What every workload exports of itself."""

import asyncio
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from fulfillment_runtime.management import LoopLag, process_registry


def test_it_is_told_when_the_counters_began() -> None:
    """By this the alerts know what was counted before the first scrape."""
    assert process_registry(1793611800.5).get_sample_value("fulfillment_start_timestamp_seconds") == 1793611800.5


def test_no_series_is_exported_that_nobody_reads() -> None:
    """A counter and a histogram are their values, and not when each was made."""
    registry = process_registry(0)
    Counter("some", "Some.", ["label"], registry=registry).labels("a").inc()
    Histogram("another", "Another.", registry=registry).observe(1)
    text = generate_latest(registry).decode()
    assert 'some_total{label="a"} 1.0' in text
    assert "_created" not in text


async def test_an_event_loop_that_stood_still_is_not_live_until_it_keeps_time_again() -> None:
    """Its lag is measured by what was to happen in a second, and happened later."""
    registry, clock = CollectorRegistry(), clock_that_stands_still_once()
    lag = LoopLag(lambda: next(clock), registry)
    measuring = asyncio.create_task(lag.run())
    async with asyncio.timeout(60):
        while lag.live() is None:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.05)
        assert lag.live() == "the event loop stood still for 12 s"
        assert registry.get_sample_value("fulfillment_event_loop_lag_seconds") == 12
        while lag.live() is not None:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.05)
    measuring.cancel()


def clock_that_stands_still_once() -> Iterator[float]:
    yield from (0.0, 13.0)
    while True:
        yield from (14.0, 15.0)
