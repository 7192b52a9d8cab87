"""Nodes are drained while Stripe goes on sending, as before each update of a cluster."""

import asyncio
import time
from collections.abc import Callable

from support.cluster_load import SELECTOR, all_pods, each_is_fulfilled_once, steady_load
from support.live_cluster import LiveCluster, eventually
from support.stand_ins import StandIns


async def test_a_node_drain_loses_no_event(
    cluster: LiveCluster, shop: StandIns, figure: Callable[[str, str], None]
) -> None:
    """By its PodDisruptionBudget one webhook pod goes at a time: each event is acknowledged at the first try."""
    old = [pod.name for pod in await all_pods(cluster)]
    nodes = (await cluster.kubectl("get", "nodes", "--output=jsonpath={.items[*].metadata.name}")).split()

    async def moved() -> list[str]:
        return [pod.name for pod in await cluster.pods("webhook") if pod.name not in old]

    async with steady_load(cluster) as end:
        start = time.monotonic()
        drain = asyncio.create_task(
            cluster.kubectl("drain", *nodes, "--pod-selector", SELECTOR, "--delete-emptydir-data", "--timeout=300s")
        )
        try:  # while no node takes pods, new ones wait
            await eventually(moved, lambda names: len(names) == 1, within=60, what="one webhook pod is evicted")
        finally:
            await cluster.kubectl("uncordon", *nodes)
        await drain
        drained = time.monotonic() - start
        report = await end()

    assert [] == report.failures
    await each_is_fulfilled_once(cluster, shop, report)
    assert not {pod.name for pod in await all_pods(cluster)} & set(old)
    figure(
        "the nodes are drained",
        f"{drained:.1f} s until every pod has moved; {len(report.sessions)} events in {report.seconds:.1f} s, each "
        f"acknowledged at the first try, longest answer {max(report.milliseconds):.0f} ms",
    )
