"""Events that flow into a real cluster at a steady rate, as Stripe sends them."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

import support.steady_load
from fulfillment_api.names import request_name
from fulfillment_api.status import Phase
from support.live_cluster import RELEASE, LiveCluster, Pod, eventually
from support.stand_ins import StandIns
from support.steady_load import Report

RATE = 10
"""Events a second: almost a million a day."""
_PROGRAM = Path(support.steady_load.__file__).read_text(encoding="utf-8")

COMPONENTS = ("webhook", "operator", "page")
SELECTOR = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component in ({','.join(COMPONENTS)})"
"""The pods of the release."""


async def all_pods(cluster: LiveCluster) -> list[Pod]:
    """Get the pods of every workload of the release, but for those that end."""
    return [pod for component in COMPONENTS for pod in await cluster.pods(component)]


async def each_is_fulfilled_once(cluster: LiveCluster, shop: StandIns, report: Report) -> None:
    """Make sure that each acknowledged order is fulfilled, and was handed to the shop once."""
    names = [request_name(session) for session in report.sessions]
    await cluster.orders_in(report.sessions, Phase.FULFILLED, within=300)
    hand_overs = await shop.hand_overs()
    assert dict.fromkeys(names, 1) == {name: hand_overs.get(name, 0) for name in names}


@asynccontextmanager
async def steady_load(cluster: LiveCluster) -> AsyncIterator[Callable[[], Awaitable[Report]]]:
    """Let events flow from inside of the cluster through the Service, each sent once.

    Yields:
        What ends it and tells what came of it, once events flow.
    """
    known = len(await cluster.orders())
    program = ("python", "-c", _PROGRAM, f"http://{RELEASE}-webhook/webhook", str(RATE))
    command = (*cluster.kubectl_command, "exec", "--stdin", "deploy/world-stripe", "--", *program)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)

    async def end() -> Report:
        out, err = await process.communicate(b"")
        assert process.returncode == 0, err.decode()
        return msgspec.json.decode(out, type=Report)

    try:
        await eventually(cluster.orders, lambda orders: len(orders) > known + RATE, within=60, what="events flow")
        yield end
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
