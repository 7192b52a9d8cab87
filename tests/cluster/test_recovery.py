"""An event that the webhook never got is brought in by a Job of the recovery's CronJob."""

import time
from collections.abc import Callable

import yaml

from fulfillment_api.names import request_name
from fulfillment_api.status import Phase
from fulfillment_local.fake_stripe.model import DeliveryState, Order
from support.live_cluster import RELEASE, LiveCluster
from support.stand_ins import StandIns

CRONJOB = f"{RELEASE}-recovery"


async def test_a_lost_order_is_recovered(
    cluster: LiveCluster, shop: StandIns, figure: Callable[[str, str], None]
) -> None:
    """Started as the docs say; it tells what it found, the order is fulfilled once, and a second run makes nothing."""
    lost_before = [each.id for each in await shop.stripe.events() if each.delivery is not DeliveryState.SUCCEEDED]
    await shop.stripe.mark(dict.fromkeys(lost_before, DeliveryState.SUCCEEDED))
    (played,) = await shop.stripe.play(Order())
    assert played.event
    await shop.stripe.mark({played.event.id: DeliveryState.FAILED})

    start = time.monotonic()
    first = await recover(cluster, "recover-now")
    figure("a recovery", f"{time.monotonic() - start:.1f} s until its Job is complete")

    order = await cluster.order_in(played.session, Phase.FULFILLED)
    second = await recover(cluster, "recover-again")
    assert "1 found: 1 created, 0 updated, 0 unchanged, 0 ignored, 0 failed" == first
    assert "1 found: 0 created, 0 updated, 1 unchanged, 0 ignored, 0 failed" == second
    assert request_name(played.session) == order.metadata.name
    assert (await shop.hand_overs())[order.metadata.name] == 1


async def recover(cluster: LiveCluster, name: str) -> str:
    """Run a recovery now, and return what it printed: a pod's log has its log lines, too, and in no fixed order."""
    await cluster.kubectl("create", "job", name, f"--from=cronjob/{CRONJOB}")
    await cluster.kubectl("wait", "--for=condition=Complete", f"job/{name}", "--timeout=90s")
    lines = (await cluster.kubectl("logs", f"job/{name}")).splitlines()
    (printed,) = [line for line in lines if not line.startswith("{")]
    return printed


async def test_two_recoveries_never_run_at_once(cluster: LiveCluster, shop: StandIns) -> None:
    """The CronJob starts none while one runs."""
    del shop
    cronjob = yaml.safe_load(await cluster.kubectl("get", "cronjob", CRONJOB, "--output=yaml"))
    assert cronjob["spec"]["concurrencyPolicy"] == "Forbid"
