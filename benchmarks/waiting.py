"""Orders that wait for their payment: what the slow recheck of all of them costs, and what it finds."""

import asyncio
import time

from benchmarks.bench import Bench
from benchmarks.orders import play
from benchmarks.table import Figure, Row, at_most, measured
from benchmarks.world import NAMESPACE
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement

_LOST_EVENTS = 5
_FULL = 20_000
_REQUESTS_EACH = 400 / _FULL
_LOADED_WITHIN = 180.0  # seconds


async def measure(bench: Bench) -> list[Figure]:
    """Let many wait, lose the events of some that are paid, and look for one interval."""
    count, interval = bench.scale.waiting, bench.scale.interval_seconds
    async with bench.world(limited=True) as world:
        template = await world.template(Order(outcome=Outcome.UNPAID), phase="awaiting-payment")
        orders = [each.ids for each in await play(world.stripe, Order(outcome=Outcome.UNPAID), count)]
        await world.make(template, orders)
        settings = {"FULFILLMENT_RECHECK_INTERVAL": f"{interval:.0f}s"}
        async with (
            world.operator(within_limits=True, **settings) as operator,
            world.api.fulfilled_sessions(NAMESPACE) as sessions,
        ):
            await operator.holding(count, within=_LOADED_WITHIN)
            await world.stripe.clear_traffic()
            start = time.perf_counter()
            lost = {ids.session for ids in orders[:: max(1, count // _LOST_EVENTS)][:_LOST_EVENTS]}
            for session in lost:
                await world.stripe.settle(session, Settlement.SUCCEEDED)  # and its event goes nowhere
            found: dict[str, float] = {}
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + interval):
                    async for session in sessions:
                        found[session] = time.perf_counter() - start
            except TimeoutError:
                pass  # the interval is over
            requests = len((await world.stripe.traffic()).requests)
            memory = operator.resident_mib()
    note = "" if count == _FULL else f"{count:,} orders, and the goal in proportion"
    seen = len(lost & found.keys())
    return [
        measured(
            Row.WAITING_REQUESTS,
            requests,
            note,
            goal=at_most(_REQUESTS_EACH * count),
            parts={"orders": count, "interval, s": interval},
        ),
        measured(
            Row.WAITING_SEEN,
            seen / len(lost),
            bench.scale_note(f"{count:,} orders"),
            parts={"longest, s": max(found.values(), default=0.0), "interval, s": interval},
        ),
        measured(Row.WAITING_MEMORY, memory, "" if count == _FULL else f"reduced: {count:,} orders that wait"),
    ]
