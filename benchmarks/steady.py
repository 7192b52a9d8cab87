"""A steady rate: orders come for a minute, and each is to be fulfilled soon after its event, within Stripe's limits."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import aiohttp

from benchmarks.bench import Bench, percentile
from benchmarks.orders import made_up, play
from benchmarks.sender import Outcome, Shot, shoot
from benchmarks.table import Figure, Row, measured
from benchmarks.world import NAMESPACE, Service, World, check
from fulfillment_local.fake_stripe.model import Order

_WANTED_RATE = 100.0  # orders a second
_SHARE_OF_RAW = 0.6  # of this machine's raw status patches a second
_PLACED_BEFORE = 0.25  # seconds from when an order is placed to its event, and as many before it at most
_RAW_PATCHES = 1_000
_RAW_NAMESPACE = "kube-public"
_GRACE = 10.0  # seconds after the last event in which an order is settled as it came
_LONGEST = 30.0  # seconds after the last event that are waited


async def measure(bench: Bench) -> list[Figure]:
    """Measure what the machine can, let the orders come, and watch for each to be fulfilled."""
    async with bench.world(limited=True) as world:
        raw = await _raw_status_patches(world, min(_RAW_PATCHES, bench.scale.orders))
        rate = min(_WANTED_RATE, _SHARE_OF_RAW * raw)
        count = max(1, round(rate * bench.scale.steady_seconds))
        await world.stripe.clear_traffic()
        async with (
            world.service() as service,
            world.operator(within_limits=True) as operator,
            world.api.fulfilled_sessions(NAMESPACE) as sessions,
        ):
            seen: dict[str, float] = {}
            watching = asyncio.create_task(_note(sessions, seen, count))
            try:
                began = await _sell(world, service, count, rate)
                await asyncio.wait([watching], timeout=_LONGEST)
                if watching.done():
                    watching.result()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            cpu = operator.cpu_seconds() / count
        requests = len((await world.stripe.traffic()).requests)
    parts = {
        "orders/s": rate,
        "raw status patches/s": raw,
        "requests": requests,
        "operator's CPU an order, ms": cpu * 1000,
    }
    return _figures(bench, began, seen, max(began.values()), parts)


async def _sell(world: World, service: Service, count: int, rate: float) -> dict[str, float]:
    """Let orders come evenly, each placed a moment before its event; return when that was sent, by the Session's id."""
    sent: dict[str, asyncio.Task[Outcome]] = {}
    start, part = time.perf_counter(), max(1, round(rate * _PLACED_BEFORE))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=world.senders)) as http,
        asyncio.TaskGroup() as group,
    ):
        for first in range(0, count, part):
            await asyncio.sleep(max(0.0, start + first / rate - time.perf_counter()))
            orders = await play(world.stripe, Order(), min(part, count - first))
            for place, (order, shot) in enumerate(zip(orders, service.shots(orders), strict=True), start=first):
                at = start + place / rate + _PLACED_BEFORE
                sent[order.ids.session] = group.create_task(_later(shot, http, at))
    outcomes = {session: each.result() for session, each in sent.items()}
    check([*outcomes.values()])
    return {session: each.began for session, each in outcomes.items()}


async def _later(shot: Shot, http: aiohttp.ClientSession, at: float) -> Outcome:
    await asyncio.sleep(max(0.0, at - time.perf_counter()))
    return await shoot(shot, http)


async def _note(sessions: AsyncIterator[str], seen: dict[str, float], count: int) -> None:
    async for session in sessions:
        seen[session] = time.time()
        if len(seen) == count:
            return


async def _raw_status_patches(world: World, count: int) -> float:
    """Return how many status patches a second the API server takes from our sender."""
    template = await world.template(Order(), phase="fulfilled")
    orders = [made_up(number) for number in range(count)]
    await world.send([template.create(world.api, _RAW_NAMESPACE, ids) for ids in orders])
    report = await world.send([template.patch_status(world.api, _RAW_NAMESPACE, ids) for ids in orders])
    return count / report.seconds


def _figures(
    bench: Bench, began: Mapping[str, float], seen: Mapping[str, float], last: float, parts: Mapping[str, float]
) -> list[Figure]:
    """Compare when each event was sent with when its order was seen fulfilled; one that never was took for ever."""
    in_time = sum(session in seen and seen[session] <= last + _GRACE for session in began)
    took = [seen.get(session, last + _LONGEST) - start for session, start in began.items()]
    note = f"{parts['orders/s']:.0f} orders/s for {bench.scale.steady_seconds:.0f} s"
    missing = len(began) - len(seen)
    if missing:
        note += f"; {missing:,} of {len(began):,} were not fulfilled {_LONGEST:.0f} s after the last event"
    parts = {**parts, "p50, s": percentile(took, 0.5), "longest, s": max(took)}
    return [
        measured(Row.STEADY_SETTLED, in_time / len(began), note, parts=parts),
        measured(Row.STEADY_P99, percentile(took, 0.99), note, parts=parts),
    ]
