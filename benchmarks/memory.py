"""Finished orders cost the operator no memory: beside many of them it is as large as beside few."""

import asyncio

from benchmarks.bench import Bench
from benchmarks.orders import Ids, made_up, play
from benchmarks.table import Figure, Row, measured
from benchmarks.world import World
from fulfillment_local.fake_stripe.model import Order, Outcome

_LOADED_WITHIN = 180.0  # seconds
_SETTLED_AFTER = 5.0  # seconds, in which it lets go what it loaded them from


async def measure(bench: Bench) -> list[Figure]:
    """Measure it beside few, add the others, and measure it again."""
    scale = bench.scale
    finished = [made_up(number) for number in range(scale.many_finished)]
    async with bench.world() as world:
        waits = await world.template(Order(outcome=Outcome.UNPAID), phase="awaiting-payment")
        fulfilled = await world.template(Order(), phase="fulfilled")
        orders = [each.ids for each in await play(world.stripe, Order(outcome=Outcome.UNPAID), scale.unfinished)]
        await world.make(waits, orders)
        await world.make(fulfilled, finished[: scale.few_finished])
        beside_few = await _resident(world, orders)
        await world.make(fulfilled, finished[scale.few_finished :])
        beside_many = await _resident(world, orders)
    note = f"{scale.many_finished:,} finished ÷ {scale.few_finished:,} finished, beside {scale.unfinished:,} open" + (
        "" if bench.options.full else "; FULL=1 takes 100,000"
    )
    parts = {"beside many, MiB": beside_many, "beside few, MiB": beside_few}
    return [measured(Row.FINISHED_MEMORY, beside_many / beside_few, note, parts=parts)]


async def _resident(world: World, orders: list[Ids]) -> float:
    async with world.operator() as operator:
        await operator.holding(len(orders), within=_LOADED_WITHIN)
        await asyncio.sleep(_SETTLED_AFTER)
        return operator.resident_mib()
