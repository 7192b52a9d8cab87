"""What an order leaves in etcd once it is finished for a week, read from etcd itself."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from benchmarks.bench import Bench
from benchmarks.orders import Ids
from benchmarks.table import Figure, Row, measured
from benchmarks.world import World
from fulfillment_local.fake_stripe.model import Order

_AGE = timedelta(days=8)
_LINE_ITEMS = 137
_SWEPT_WITHIN = timedelta(minutes=10, seconds=20)
"""After the operator leads: what is old is swept five to ten minutes later."""
_NOT_WAITED_FOR = timedelta(seconds=15)
_LOOK_EVERY = 1.0  # seconds
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


async def measure(bench: Bench, prepared: asyncio.Event) -> list[Figure]:
    """Let orders be fulfilled, make them a week old, and see what an operator leaves of them.

    Args:
        bench: what to measure with.
        prepared: is set when there is nothing left to do but to wait, for minutes, in which others are measured.
    """
    within = _NOT_WAITED_FOR if bench.scale.is_reduced else _SWEPT_WITHIN
    async with bench.world() as world:
        orders = [each.ids for each in await world.kept(Order(), Order(line_items=_LINE_ITEMS), phase="fulfilled")]
        finished = [await _bytes_of(world, ids) for ids in orders]
        await _age(world, orders)
        before = await _versions(world, orders)
        async with world.operator() as operator:
            prepared.set()

            async def all_are_swept() -> bool:
                await asyncio.sleep(_LOOK_EVERY)  # others are measured meanwhile
                return not await _any_is(before, world, orders)

            with suppress(TimeoutError):
                async with asyncio.timeout(within.total_seconds()):
                    await operator.until(all_are_swept, within=2 * within.total_seconds())
        after = await _versions(world, orders)
        kept = [await _bytes_of(world, ids) for ids in orders]
    figures = []
    for place, row in enumerate((Row.ETCD_ORDINARY, Row.ETCD_MANY_ITEMS)):
        note = ""
        if after[place] == before[place]:
            note = f"within {within.total_seconds():.0f} s the operator took nothing of it away"
        figures.append(measured(row, kept[place], note, parts={"when it was finished, bytes": finished[place]}))
    return figures


async def _any_is(before: Sequence[str], world: World, orders: Sequence[Ids]) -> bool:
    return any(one == other for one, other in zip(before, await _versions(world, orders), strict=True))


async def _bytes_of(world: World, ids: Ids) -> int:
    """Count the bytes of all that names an order and that no lease ends: Events end by one."""
    name = ids.name.encode()
    return sum(
        len(entry.key) + len(entry.value)
        for entry in await world.api.etcd_entries()
        if not entry.expires and (name in entry.key.encode() or name in entry.value)
    )


async def _age(world: World, orders: Sequence[Ids]) -> None:
    """Make all times of the orders a week earlier, and more: in etcd, since the API server sets some by itself."""
    names = {ids.name for ids in orders}
    for entry in await world.api.etcd_entries():
        if entry.key.rpartition("/")[2] in names:
            await world.api.etcd_put(entry.key, _TIME.sub(_earlier, entry.value))


def _earlier(found: re.Match[bytes]) -> bytes:
    time = found[0].decode()
    unit = "microseconds" if "." in time else "seconds"
    earlier = datetime.fromisoformat(time) - _AGE
    return earlier.replace(tzinfo=None).isoformat(timespec=unit).encode() + b"Z"


async def _versions(world: World, orders: Sequence[Ids]) -> list[str]:
    stored = [(await world.stored(ids)).stored for ids in orders]
    return [str(each["metadata"]["resourceVersion"]) for each in stored]
