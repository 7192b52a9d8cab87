"""Every pod is taken away at once while Stripe goes on sending, as a hurried hand or a node that ends does it."""

import time
from collections.abc import Callable

from support.cluster_load import SELECTOR, all_pods, each_is_fulfilled_once, steady_load
from support.live_cluster import LiveCluster, eventually
from support.stand_ins import StandIns


async def test_all_pods_deleted_at_once_lose_no_event(
    cluster: LiveCluster, shop: StandIns, figure: Callable[[str, str], None]
) -> None:
    """The old ones serve until the new ones do: what is acknowledged is fulfilled once, and nobody waits in vain."""
    old = [pod.name for pod in await all_pods(cluster)]
    async with steady_load(cluster) as end:
        start = time.monotonic()
        await cluster.kubectl("delete", "pods", "--selector", SELECTOR, "--wait=false")

        async def new() -> list[bool]:
            return [pod.ready for pod in await all_pods(cluster)]

        await eventually(
            new, lambda ready: len(ready) == len(old) and all(ready), within=180, what="new pods are ready"
        )
        ready = time.monotonic() - start
        await cluster.kubectl("wait", "--for=delete", "--timeout=120s", *(f"pod/{name}" for name in old))
        report = await end()

    await each_is_fulfilled_once(cluster, shop, report)
    figure(
        "all pods are deleted at once",
        f"{ready:.1f} s until new ones are ready; of {len(report.sessions) + len(report.failures)} events in "
        f"{report.seconds:.1f} s {len(report.failures)} are to be sent again, longest answer "
        f"{max(report.milliseconds):.0f} ms: {report.failures[:3]}",
    )
