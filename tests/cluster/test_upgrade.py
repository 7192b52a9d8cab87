"""A new version is rolled out while Stripe goes on sending: nothing is lost, refused or done twice."""

import asyncio
import statistics
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

import support.steady_load
from fulfillment_api.names import request_name
from fulfillment_api.status import Phase
from support.live_cluster import CHART, RELEASE, LiveCluster, eventually
from support.stand_ins import StandIns

RATE = 20
"""Events a second: more than a million a day."""
PROGRAM = Path(support.steady_load.__file__).read_text(encoding="utf-8")


@asynccontextmanager
async def load(cluster: LiveCluster) -> AsyncIterator[Callable[[], Awaitable[support.steady_load.Report]]]:
    """Let events flow from inside of the cluster through the Service; give what ends that and tells what came of it."""
    told = ("python", "-c", PROGRAM, f"http://{RELEASE}-webhook/webhook", str(RATE))
    command = (*cluster.kubectl_command, "exec", "--stdin", "deploy/world-stripe", "--", *told)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)

    async def end() -> support.steady_load.Report:
        out, err = await process.communicate(b"")
        assert process.returncode == 0, err.decode()
        return msgspec.json.decode(out, type=support.steady_load.Report)

    try:
        yield end
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_an_upgrade_under_load_loses_no_event(
    cluster: LiveCluster, shop: StandIns, values: dict[str, Any], figure: Callable[[str, str], None]
) -> None:
    """Every event is acknowledged at the first try, every order is fulfilled, and each is handed to the shop once."""
    old = [pod for component in ("webhook", "operator") for pod in await cluster.pods(component)]
    known = len(await cluster.orders())
    async with load(cluster) as end:
        await eventually(cluster.orders, lambda orders: len(orders) > known + RATE, within=30, what="events flow")
        start = time.monotonic()
        await cluster.helm("upgrade", RELEASE, str(CHART), "--wait", "--timeout=5m", values=with_new_pods(values))
        upgraded = time.monotonic() - start
        await cluster.kubectl("wait", "--for=delete", "--timeout=120s", *(f"pod/{pod.name}" for pod in old))
        replaced = time.monotonic() - start
        report = await end()

    assert [] == report.failures
    names = [request_name(session) for session in report.sessions]
    await cluster.orders_in(report.sessions, Phase.FULFILLED)
    hand_overs = await shop.hand_overs()
    assert dict.fromkeys(names, 1) == {name: hand_overs.get(name, 0) for name in names}

    p99 = statistics.quantiles(report.milliseconds, n=100)[98]
    figure(
        "upgrade under load",
        f"{upgraded:.1f} s until the new pods are ready, {replaced:.1f} s until the old ones are gone; "
        f"{len(names)} events in {report.seconds:.1f} s, each acknowledged at the first try: "
        f"median {statistics.median(report.milliseconds):.0f} ms, p99 {p99:.0f} ms, "
        f"longest {max(report.milliseconds):.0f} ms",
    )


def with_new_pods(values: dict[str, Any]) -> dict[str, Any]:
    """Change what is told to the pods, so that all are replaced."""
    again = {"podAnnotations": {"e2e/rolled-out": str(time.time_ns())}}
    return {**values, "webhook": values["webhook"] | again, "operator": again}
