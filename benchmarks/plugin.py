"""The plugin at many orders at once, against the other build."""

import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack

import msgspec

from benchmarks.bench import NEEDS_BASE, Bench
from benchmarks.builds import Build
from benchmarks.command_line import plugin_environ, timed
from benchmarks.orders import Ids, made_up
from benchmarks.sender import Shot
from benchmarks.table import Figure, Group, Row, measured, rows_of, unmeasured
from benchmarks.world import NAMESPACE, World
from fulfillment_api.names import API_VERSION, KIND
from fulfillment_local.fake_stripe.model import Order

_ROUNDS = 2  # of `show`; a retry that was asked for is not asked for again
_EVENTS_PATH = f"/api/v1/namespaces/{NAMESPACE}/events"


async def measure(bench: Bench) -> list[Figure]:
    """Let both builds do the same, in turns, each in a world of its own."""
    if bench.base is None:
        return [unmeasured(row, NEEDS_BASE) for row in rows_of(Group.PLUGIN)]
    shows: dict[Build, list[float]] = {build: [] for build in bench.builds}
    retries: dict[Build, list[float]] = {build: [] for build in bench.builds}
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(bench.world(build)) for build in bench.builds]
        for world in worlds:
            await _fill(world, bench)
        shown = [made_up(number).name for number in range(bench.scale.shown)]
        for _ in range(_ROUNDS):
            for world in worlds:
                shows[world.build].append(await _plugin(world, "show", *shown))
        for world in worlds:
            retries[world.build].append(await _plugin(world, "retry", "--all", "--yes", "--wait", "0"))
    note = bench.scale_note(
        f"{bench.scale.shown} shown beside {bench.scale.events:,} Events, {bench.scale.retried:,} retried"
    )
    return [_compared(bench, row, seconds, note) for row, seconds in ((Row.SHOW, shows), (Row.RETRY, retries))]


def _compared(bench: Bench, row: Row, seconds: dict[Build, list[float]], note: str) -> Figure:
    assert bench.base is not None, "it was measured"
    mine, base = (statistics.median(seconds[build]) for build in (bench.build, bench.base))
    return measured(row, base / mine, note, parts={"median, s": mine, "median of BASE, s": base})


async def _plugin(world: World, *arguments: str) -> float:
    return await timed(world.kubectl, "fulfillment", *arguments, environ=plugin_environ(world))


async def _fill(world: World, bench: Bench) -> None:
    """Put failed orders into the cluster, and Events: two about each order that is shown, the others about others."""
    template = await world.template(Order(), phase="failed", path="/reject")
    orders = [made_up(number) for number in range(max(bench.scale.shown, bench.scale.retried))]
    await world.make(template, orders)
    await _make_events(world, orders[: bench.scale.shown], bench.scale.events)


async def _make_events(world: World, shown: Sequence[Ids], count: int) -> None:
    listed = await world.api.get(f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/fulfillmentrequests")
    uids = {each["metadata"]["name"]: each["metadata"]["uid"] for each in listed["items"]}
    about = [ids.name for ids in (*shown, *shown)][:count]
    about += [made_up(10**6 + number).name for number in range(count - len(about))]
    await world.send([_event(world, name, uids.get(name, ""), number) for number, name in enumerate(about)])


def _event(world: World, name: str, uid: str, number: int) -> Shot:
    """Make an Event about a request, as the operator's are."""
    about = {"apiVersion": API_VERSION, "kind": KIND, "namespace": NAMESPACE, "name": name, "uid": uid}
    content = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{number:016x}", "namespace": NAMESPACE},
        "involvedObject": about,
        "type": "Warning",
        "reason": "FulfillmentFailed",
        "message": "the endpoint rejected the order: 400",
        "source": {"component": "checkout-fulfillment-operator"},
        "reportingComponent": "checkout-fulfillment-operator",
        "firstTimestamp": "2026-11-02T09:30:00Z",
        "lastTimestamp": "2026-11-02T09:30:00Z",
        "count": 1,
    }
    return world.api.shot("POST", _EVENTS_PATH, msgspec.json.encode(content).decode())
