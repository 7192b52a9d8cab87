"""A new version is rolled out while Stripe goes on sending: nothing is lost, refused or done twice."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from support.cluster_load import each_is_fulfilled_once, steady_load
from support.live_cluster import CHART, RELEASE, LiveCluster
from support.stand_ins import StandIns


async def test_an_upgrade_under_load_loses_no_event(
    cluster: LiveCluster, shop: StandIns, values: dict[str, Any], figure: Callable[[str, str], None]
) -> None:
    """Every event is acknowledged at the first try, every order is fulfilled, and each is handed to the shop once."""
    old = [pod for component in ("webhook", "operator") for pod in await cluster.pods(component)]
    async with steady_load(cluster) as end:
        start = time.monotonic()
        await cluster.helm("upgrade", RELEASE, str(CHART), "--wait", "--timeout=5m", values=with_new_pods(values))
        upgraded = time.monotonic() - start
        await cluster.kubectl("wait", "--for=delete", "--timeout=120s", *(f"pod/{pod.name}" for pod in old))
        replaced = time.monotonic() - start
        report = await end()

    assert [] == report.failures
    await each_is_fulfilled_once(cluster, shop, report)

    p99 = statistics.quantiles(report.milliseconds, n=100)[98]
    figure(
        "upgrade under load",
        f"{upgraded:.1f} s until the new pods are ready, {replaced:.1f} s until the old ones are gone; "
        f"{len(report.sessions)} events in {report.seconds:.1f} s, each acknowledged at the first try: "
        f"median {statistics.median(report.milliseconds):.0f} ms, p99 {p99:.0f} ms, "
        f"longest {max(report.milliseconds):.0f} ms",
    )


def with_new_pods(values: dict[str, Any]) -> dict[str, Any]:
    """Change what is told to the pods, so that all are replaced."""
    again = {"podAnnotations": {"e2e/rolled-out": str(time.time_ns())}}
    return {**values, "webhook": values["webhook"] | again, "operator": again}
