"""Of two operators the one that works is taken away."""

import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import yaml

from fulfillment_api.names import request_name
from fulfillment_api.status import Phase
from support.live_cluster import CHART, RELEASE, LiveCluster, Pod, eventually
from support.stand_ins import StandIns

pytestmark = pytest.mark.usefixtures("two_operators")

# Nothing in a container may send SIGKILL to its first process. The kernel does, once it has used a second of CPU time.
KILL = "import resource; resource.prlimit(1, resource.RLIMIT_CPU, (1, 1))"


@pytest.fixture(scope="module")
async def two_operators(cluster: LiveCluster, shop: StandIns, values: dict[str, Any]) -> AsyncIterator[None]:
    """Let a second operator stand by."""
    del shop
    upgrade = ("upgrade", RELEASE, str(CHART), "--wait", "--timeout=3m")
    await cluster.helm(*upgrade, values=values | {"operator": {"replicas": 2}})
    yield
    await cluster.helm(*upgrade, values=values)


async def holder(cluster: LiveCluster) -> str:
    """Return which process holds the Lease, as `pod_process`; an empty name, if none does."""
    lease = yaml.safe_load(await cluster.kubectl("get", "lease", f"{RELEASE}-operator", "--output=yaml"))
    found: str = lease["spec"].get("holderIdentity", "")
    return found


async def leader(cluster: LiveCluster, but: str = "") -> tuple[str, Pod]:
    """Wait until one of the operators leads, another process than one that led, and return its process and its pod."""
    pods = {pod.name: pod for pod in await cluster.pods("operator")}
    process = await eventually(
        lambda: holder(cluster),
        lambda found: found != but and found.partition("_")[0] in pods,
        within=60,
        what="an operator leads",
    )
    return process, pods[process.partition("_")[0]]


async def test_orders_go_on_when_the_leader_is_deleted(
    cluster: LiveCluster, shop: StandIns, figure: Callable[[str, str], None]
) -> None:
    """It frees the Lease as it ends; the operator that stood by fulfills what comes, once."""
    process, pod = await leader(cluster)

    start = time.monotonic()
    await cluster.kubectl("delete", "pod", pod.name, "--wait=false")
    order = await cluster.order_in(await cluster.sell("paid"), Phase.FULFILLED)

    figure("the leader is deleted", f"{time.monotonic() - start:.1f} s until the order that comes then is fulfilled")
    assert (await shop.hand_overs())[order.metadata.name] == 1
    assert (await leader(cluster))[0] != process


async def test_orders_go_on_when_the_leader_is_killed(
    cluster: LiveCluster, shop: StandIns, figure: Callable[[str, str], None]
) -> None:
    """In the midst of its work: another takes the Lease over when it is not renewed, and leaves no order behind."""
    process, pod = await leader(cluster)
    sessions: set[str] = set()

    async def sell_and_look() -> list[Pod]:
        said = await cluster.trigger("paid", "--count=100", "--concurrency=10")
        sessions.update(re.findall(r"\bcs_\w+", said))
        return await cluster.pods("operator")

    await cluster.kubectl("exec", pod.name, "--", "python", "-c", KILL)
    await eventually(
        sell_and_look,
        lambda pods: any(each.restarts > pod.restarts for each in pods if each.name == pod.name),
        within=60,
        what="the leader is killed",
    )
    start = time.monotonic()
    await leader(cluster, but=process)
    taken_over = time.monotonic() - start
    await cluster.orders_in(sessions, Phase.FULFILLED)
    fulfilled = time.monotonic() - start

    hand_overs = await shop.hand_overs()
    times = [hand_overs[request_name(session)] for session in sessions]
    figure(
        "the leader is killed",
        f"{taken_over:.1f} s until another leads, {fulfilled:.1f} s until all {len(sessions)} orders are fulfilled, "
        f"{sum(each > 1 for each in times)} of them told to the shop again under the same key",
    )
    assert max(times) <= 2
