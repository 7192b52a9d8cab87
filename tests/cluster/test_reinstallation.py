"""The product is uninstalled, and installed again."""

import time
from collections.abc import Callable
from typing import Any

import yaml

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_api.status import Phase
from support.live_cluster import CHART, RELEASE, LiveCluster
from support.stand_ins import StandIns

ITS_OBJECTS = f"--selector=app.kubernetes.io/instance={RELEASE}"
KINDS = "deployments,cronjobs,pods,services,serviceaccounts,roles,rolebindings,configmaps,poddisruptionbudgets"


async def test_orders_outlive_the_product(
    cluster: LiveCluster, shop: StandIns, values: dict[str, Any], figure: Callable[[str, str], None]
) -> None:
    """An uninstall hangs on nothing and leaves every order; the next installation adopts the definition and goes on."""
    waiting, done = await cluster.sell("unpaid"), await cluster.sell("paid")
    await cluster.order_in(waiting, Phase.AWAITING_PAYMENT)
    await cluster.order_in(done, Phase.FULFILLED)
    orders, hand_overs = await cluster.orders(), await shop.hand_overs()

    start = time.monotonic()
    await cluster.helm("uninstall", RELEASE, "--wait", "--timeout=2m")
    await cluster.kubectl("wait", "--for=delete", "pods", ITS_OBJECTS, "--timeout=60s")
    figure("uninstall", f"{time.monotonic() - start:.1f} s until every pod is gone; all orders stay")

    assert await cluster.kubectl("get", KINDS, ITS_OBJECTS, "--output=name") == ""
    assert orders == await cluster.orders()

    start = time.monotonic()
    await cluster.helm("install", RELEASE, str(CHART), "--wait", "--timeout=3m", values=values)
    figure("installation over what was left", f"{time.monotonic() - start:.1f} s until every pod is ready")

    definition = yaml.safe_load(await cluster.kubectl("get", "crd", f"{PLURAL}.{GROUP}", "--output=yaml"))
    assert definition["metadata"]["annotations"]["meta.helm.sh/release-namespace"] == cluster.namespace
    await cluster.until_served()
    await cluster.trigger("async-succeeded", "--session", waiting)
    order = await cluster.order_in(waiting, Phase.FULFILLED)
    figure("an order from before", f"{time.monotonic() - start:.1f} s after the installation began it is fulfilled")
    assert hand_overs | {order.metadata.name: 1} == await shop.hand_overs()
