"""Settle: a backlog through the operator to an http backend, as fast as it can, and what that writes."""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks.api_server import Writes
from benchmarks.bench import NEEDS_BASE, Bench
from benchmarks.builds import Build
from benchmarks.table import Figure, Row, measured, unmeasured
from benchmarks.world import World

_SLOWEST_RATE = 10  # orders a second: a build that is slower is not waited for
_TOO_FEW = "all were settled before the operator was seen to lead: it takes more ORDERS"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """What it took to settle a backlog."""

    orders: int
    settled: float
    """How many of them since the operator led: what it did before it was seen to lead is not counted."""
    seconds: float
    """From then to the last order."""
    operator_cpu: float
    """Seconds, since it led."""
    api_server_cpu: float
    writes: Writes

    @property
    def rate(self) -> float:
        return self.settled / self.seconds


async def measure(bench: Bench) -> list[Figure]:
    """Settle a backlog by each build, one after the other."""
    settled: dict[Build, _Settled] = {}
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(bench.world(build)) for build in bench.builds]
        for world in worlds:
            settled[world.build] = await _settle(world, bench.scale.orders)
    mine = settled[bench.build]
    note = bench.scale_note(f"a backlog of {mine.orders:,}")
    return [
        _cpu(mine, note),
        _rate(bench, settled, note),
        measured(Row.CREATES, mine.writes.creates / mine.orders, note),
        measured(Row.STATUS_PATCHES, mine.writes.status_patches / mine.orders, note),
        measured(Row.EVENTS, mine.writes.events / mine.orders, note),
    ]


def _cpu(mine: _Settled, note: str) -> Figure:
    if not (mine.settled and mine.api_server_cpu):  # which is counted in hundredths of a second
        return unmeasured(Row.SETTLE_CPU, _TOO_FEW)
    parts = {
        "operator CPU an order, ms": mine.operator_cpu / mine.settled * 1000,
        "API server CPU an order, ms": mine.api_server_cpu / mine.settled * 1000,
        "orders/s": mine.rate,
    }
    return measured(Row.SETTLE_CPU, mine.operator_cpu / mine.api_server_cpu, note, parts=parts)


def _rate(bench: Bench, settled: dict[Build, _Settled], note: str) -> Figure:
    if bench.base is None:
        return unmeasured(Row.SETTLE_RATE, NEEDS_BASE)
    mine, base = settled[bench.build], settled[bench.base]
    if not (mine.settled and base.settled):
        return unmeasured(Row.SETTLE_RATE, _TOO_FEW)
    parts = {
        "orders/s": mine.rate,
        "orders/s of BASE": base.rate,
        "operator CPU an order of BASE, ms": base.operator_cpu / base.settled * 1000,
        "status patches an order of BASE": base.writes.status_patches / base.orders,
        "Events an order of BASE": base.writes.events / base.orders,
    }
    return measured(Row.SETTLE_RATE, mine.rate / base.rate, note, parts=parts)


async def _settle(world: World, orders: int) -> _Settled:
    writes_before = await world.api.writes()
    await world.send_events(orders)
    posts_before = await world.posts()
    async with world.operator() as operator:
        led, done = time.perf_counter(), await operator.fulfilled()
        operator_before, api_before = operator.cpu_seconds(), world.api.cpu_seconds()

        async def is_settled() -> bool:
            # The operator is asked only in the end: what it takes to answer would count as its CPU.
            return await world.posts() - posts_before >= orders and await operator.fulfilled() >= orders

        await operator.until(is_settled, within=60 + orders / _SLOWEST_RATE)
        seconds = time.perf_counter() - led
        operator_cpu = operator.cpu_seconds() - operator_before
        api_cpu = world.api.cpu_seconds() - api_before
    writes = (await world.api.writes()).since(writes_before)
    return _Settled(
        orders=orders,
        settled=orders - done,
        seconds=seconds,
        operator_cpu=operator_cpu,
        api_server_cpu=api_cpu,
        writes=writes,
    )
