"""Orders of one route become Jobs, which run as Pod Security demands; all others still go to the shop."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fulfillment_api.names import KIND, PLURAL
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Reason
from support.live_cluster import LiveCluster, eventually, run
from support.shipping_job import CLOSED, KEPT
from support.stand_ins import StandIns

WITHIN = 180.0
"""Seconds for a pod to start, to do its work, and to be looked at."""
BY_PARCEL = ("--metadata", "ship=parcel")
WAREHOUSE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CLOSED["name"]}, "data": {"closed": "Hull"}}


@pytest.fixture(scope="module")
async def shipped(cluster: LiveCluster, shop: StandIns, figure: Callable[[str, str], None]) -> FulfillmentRequest:
    """Let a Job ship an order."""
    del shop
    start = time.monotonic()
    order = await cluster.order_in(await cluster.sell("paid", *BY_PARCEL), Phase.FULFILLED, within=WITHIN)
    figure("a Job", f"{time.monotonic() - start:.1f} s from the event until its order is fulfilled")
    return order


def reference(order: FulfillmentRequest) -> str:
    """Give the backend's name for an order."""
    assert order.status
    assert order.status.fulfillment
    assert order.status.fulfillment.reference
    return order.status.fulfillment.reference


async def test_a_job_ships_the_order(cluster: LiveCluster, shop: StandIns, shipped: FulfillmentRequest) -> None:
    """It reads the order from its file; it belongs to the request, and the Secret to it; the shop is told nothing."""
    name = shipped.metadata.name
    found = yaml.safe_load(await cluster.kubectl("get", f"job/{name}", f"secret/{name}", "--output=yaml"))
    job, secret = (each["metadata"] for each in found["items"])

    assert name == reference(shipped)
    assert [(KIND, shipped.metadata.uid)] == [(owner["kind"], owner["uid"]) for owner in job["ownerReferences"]]
    assert [("Job", job["uid"])] == [(owner["kind"], owner["uid"]) for owner in secret["ownerReferences"]]
    assert name not in await shop.hand_overs()


@pytest.mark.usefixtures("shop")
async def test_a_job_that_failed_is_tried_again(cluster: LiveCluster) -> None:
    """What it said last stands in status and in an Event; once the cause is mended, a person asks for a second Job."""
    await cluster.kubectl("create", "-f", "-", manifests=[WAREHOUSE])
    session = await cluster.sell("paid", *BY_PARCEL, "--metadata", "from=Hull")
    failed = await cluster.order_in(session, Phase.FAILED, within=WITHIN)
    name = failed.metadata.name
    assert failed.status
    assert failed.status.reason == Reason.FULFILLMENT_FAILED
    assert f"the Job {name} failed (BackoffLimitExceeded" in failed.status.message
    assert "the warehouse is closed" in failed.status.message
    assert "the warehouse is closed" in await cluster.kubectl("events", f"--for={PLURAL}/{name}", "--types=Warning")

    await cluster.kubectl("delete", "configmap", CLOSED["name"])
    said = await plugin(cluster, "retry", name)

    assert said.startswith(f"{name} retried: ")
    order = await cluster.order_in(session, Phase.FULFILLED, within=WITHIN)
    assert reference(order).startswith(f"{name}-")


async def plugin(cluster: LiveCluster, *arguments: str) -> str:
    """Run `kubectl fulfillment`."""
    _, *where = cluster.kubectl_command
    return await run(Path(sys.executable).with_name("kubectl-fulfillment"), *arguments, *where)


async def test_a_job_that_is_done_is_cleared_away(cluster: LiveCluster, shipped: FulfillmentRequest) -> None:
    """By Kubernetes, with its pod and its Secret, when its time is up; the order stays, and is fulfilled."""
    name = shipped.metadata.name

    async def left() -> str:
        kinds = await cluster.kubectl("get", f"job/{name}", f"secret/{name}", "--ignore-not-found", "--output=name")
        return kinds + await cluster.kubectl("get", "pods", f"--selector=job-name={name}", "--output=name")

    await eventually(left, lambda found: not found, within=KEPT + WITHIN, what="the Job, its pod and its Secret go")
    assert shipped == (await cluster.orders())[shipped.spec.session.id]
