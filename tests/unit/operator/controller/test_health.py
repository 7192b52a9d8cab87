"""When an operator that leads is live, and when it is ready."""

import asyncio
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from fulfillment_operator.controller.health import SILENT_AT_MOST, Health
from fulfillment_operator.metrics import OperatorMetrics

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
AT_ONE_ORDER = timedelta(minutes=10)


class Seconds:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time.total_seconds() + 1


def make_health() -> tuple[Health, Seconds, CollectorRegistry]:
    registry, seconds = CollectorRegistry(), Seconds()
    metrics = OperatorMetrics(registry)
    return Health(at_one_order=AT_ONE_ORDER, clock=lambda: NOW, monotonic=seconds, metrics=metrics), seconds, registry


def test_a_standby_has_nothing_to_hear() -> None:
    health, seconds, _ = make_health()
    seconds.pass_by(timedelta(days=1))
    assert (health.live(), health.ready()) == (None, None)


def test_a_watch_that_hears_nothing_is_not_live() -> None:
    """Whatever its connection looks like: the API server sends a bookmark each minute."""
    health, seconds, registry = make_health()
    health.heard()
    assert registry.get_sample_value("fulfillment_watch_last_heard_timestamp_seconds") == NOW.timestamp()
    seconds.pass_by(SILENT_AT_MOST)
    assert health.live() == "the watch has heard nothing from the API server for 181 s"
    health.heard()
    assert health.live() is None


def test_a_watch_that_is_refused_is_live_and_not_ready() -> None:
    """A restart would not help: it is for a person to mend, and for the operator to go on by itself afterwards."""
    health, _, registry = make_health()
    health.refused("RBAC forbids it")
    assert (health.live(), health.ready()) == (None, "the API server refuses the watch: RBAC forbids it")
    assert registry.get_sample_value("fulfillment_watch_refused") == 1
    health.heard()
    assert (health.live(), health.ready()) == (None, None)
    assert registry.get_sample_value("fulfillment_watch_refused") == 0


async def test_a_worker_that_is_at_one_order_for_too_long_is_not_live() -> None:
    """Unless the API server takes no status: then it waits rightly."""
    health, seconds, _ = make_health()
    health.begins()
    seconds.pass_by(AT_ONE_ORDER)
    assert health.live() == "a worker has been at one order for 601 s, longer than every deadline allows"
    health.must_wait()
    assert health.live() is None
    seconds.pass_by(AT_ONE_ORDER)
    health.ends()
    assert health.live() is None


async def test_who_waits_for_the_turn_of_another_worker_waits_as_rightly() -> None:
    """One mail goes at a time: the others wait until the API server has taken the status of the one before."""
    health, seconds, _ = make_health()
    other = asyncio.create_task(waiting(health))
    await asyncio.sleep(0)
    health.begins()
    seconds.pass_by(AT_ONE_ORDER)
    health.must_wait()
    assert health.live() is None
    other.cancel()


async def waiting(health: Health) -> None:
    health.begins()
    await asyncio.Event().wait()
