"""Events that flow into a real cluster at a steady rate, as Stripe sends them."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

import support.steady_load
from support.live_cluster import RELEASE, LiveCluster, eventually
from support.steady_load import Report

RATE = 20
"""Events a second: more than a million a day."""
_PROGRAM = Path(support.steady_load.__file__).read_text(encoding="utf-8")


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
