"""Finished orders are listed page by page and deleted, on a real API server."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from kubernetes.aio import client
from prometheus_client import CollectorRegistry

from fulfillment_api.names import request_name
from fulfillment_api.spec import Payment, PaymentStatus
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_local.credentials import User
from fulfillment_operator.sweep import RetentionMetrics, Sweep
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_errors import RequestChangedError, RequestGoneError
from fulfillment_runtime.kubernetes_listing import pages
from running_operator import ADDRESS, RULES, Shop

pytestmark = pytest.mark.usefixtures("crd")

RETENTION = timedelta(days=45)


async def finished(shop: Shop, number: int, phase: Phase, reason: Reason) -> str:
    name = await shop.make(f"cs_test_retention{number}")
    now = datetime.now(UTC).replace(microsecond=0)
    ready = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.TRUE if phase is Phase.FULFILLED else ConditionStatus.FALSE,
        reason=reason,
        message="m",
        last_transition_time=now,
    )
    await shop.requests.write_status(
        name, Status(phase=phase, reason=reason, message="m", observed_generation=1, conditions=[ready])
    )
    return name


def sweep(
    shop: Shop,
    api: client.ApiClient,
    *,
    after: timedelta,
    metrics: RetentionMetrics,
    every: timedelta = timedelta(0),
) -> Sweep:
    return Sweep(
        api=api,
        kubernetes=KubernetesApi(api, shop.namespace, timeout=5),
        namespace=shop.namespace,
        retention=RETENTION,
        first_after=timedelta(0),
        every=every,
        deletions_per_second=1000.0,
        clock=lambda: datetime.now(UTC) + after,
        random=lambda: 0.0,
        metrics=metrics,
    )


async def stored(shop: Shop) -> set[str]:
    return {
        listed.request.metadata.name
        async for page in pages(shop.api, shop.namespace, phase=None, patience=10)
        for listed in page
        if listed.request is not None
    }


async def test_finished_orders_go_when_their_time_is_over(shop: Shop) -> None:
    """Under the rights of the chart's Role; what is not finished, or waits for a person, stays."""
    fulfilled = await finished(shop, 1, Phase.FULFILLED, Reason.FULFILLED)
    expired = await finished(shop, 2, Phase.FAILED, Reason.SESSION_EXPIRED)
    refused = await finished(shop, 3, Phase.FAILED, Reason.FULFILLMENT_FAILED)
    waiting = await finished(shop, 4, Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
    new = await shop.make("cs_test_retention5")
    registry = CollectorRegistry()
    metrics = RetentionMetrics(registry)
    async with shop.control_plane.connect(User.OPERATOR) as api:
        await sweep(shop, api, after=RETENTION - timedelta(hours=1), metrics=metrics).once()
        assert await stored(shop) == {fulfilled, expired, refused, waiting, new}
        await sweep(shop, api, after=RETENTION + timedelta(hours=1), metrics=metrics).once()
    assert await stored(shop) == {refused, waiting, new}
    counted = {
        phase: registry.get_sample_value("fulfillment_requests_deleted_total", {"phase": phase}) for phase in Phase
    }
    assert counted == {"fulfilled": 1, "failed": 1, "awaiting-payment": None, "fulfilling": None}


async def test_who_leads_for_a_while_only_looks_all_the_same(shop: Shop) -> None:
    """The first look is soon: between two that are hours apart, operators may come and go."""
    name = await finished(shop, 1, Phase.FULFILLED, Reason.FULFILLED)
    late, metrics = RETENTION + timedelta(hours=1), RetentionMetrics(CollectorRegistry())
    running = asyncio.create_task(sweep(shop, shop.api, after=late, metrics=metrics, every=timedelta(hours=6)).run())
    async with asyncio.timeout(20):
        while name in await stored(shop):  # noqa: ASYNC110 - what is deleted is seen by who asks
            await asyncio.sleep(0.01)
    running.cancel()


async def test_an_order_that_changed_since_it_was_read_is_not_deleted(shop: Shop) -> None:
    """A failed payment is paid after all while the operator looks through the orders."""
    name = await finished(shop, 1, Phase.FAILED, Reason.SESSION_EXPIRED)
    read = await shop.requests.get(name)
    await shop.requests.delete_as_read(read)
    with pytest.raises(RequestGoneError):
        await shop.requests.delete_as_read(read)
    await shop.make("cs_test_retention1", PaymentStatus.UNPAID)  # of the same name, and another
    with pytest.raises(RequestChangedError):
        await shop.requests.delete_as_read(read)
    read = await shop.requests.get(name)
    await shop.requests.update(read, Payment(status=PaymentStatus.PAID))
    with pytest.raises(RequestChangedError):
        await shop.requests.delete_as_read(read)
    assert await stored(shop) == {name}


async def test_it_goes_on_when_the_api_server_does_not_allow_it(shop: Shop) -> None:
    """It is counted, and tried again at the next look."""
    await shop.control_plane.grant(User.NOBODY, shop.namespace, RULES[1:])
    registry = CollectorRegistry()
    async with shop.control_plane.connect(User.NOBODY) as api:
        running = asyncio.create_task(sweep(shop, api, after=RETENTION, metrics=RetentionMetrics(registry)).run())
        async with asyncio.timeout(20):
            while (registry.get_sample_value("fulfillment_retention_failures_total") or 0) < 2:  # noqa: ASYNC110 - a counter tells who asks
                await asyncio.sleep(0.01)
        running.cancel()


async def test_pages_are_whole_and_small(shop: Shop) -> None:
    """All requests come once, in pages; those that a person made and that make no sense are there as they are."""
    names = {await shop.make(f"cs_test_page{number}") for number in range(7)}
    odd = {
        "apiVersion": "checkout-fulfillment.dev/v1alpha1",
        "kind": "FulfillmentRequest",
        "metadata": {"name": request_name("cs_test_odd"), "annotations": {"checkout-fulfillment.dev/paused": "yes"}},
        "spec": {
            "session": {"id": "cs_test_odd", "livemode": False, "createdAt": "2026-11-02T09:00:00.5+14:00"},
            "payment": {"status": "paid"},
        },
    }
    await client.CustomObjectsApi(shop.api).create_namespaced_custom_object(
        **ADDRESS, namespace=shop.namespace, body=odd
    )
    found = [page async for page in pages(shop.api, shop.namespace, phase=None, patience=10, limit=3)]
    assert [len(page) for page in found] == [3, 3, 2]
    listed = [each for page in found for each in page]
    assert sorted(names | {request_name("cs_test_odd")}) == [
        each.request.metadata.name for each in listed if each.request
    ]
    assert all(b'"managedFields"' in bytes(each.content) for each in listed)
