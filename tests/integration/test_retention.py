"""Finished orders are listed page by page and deleted, on a real API server."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from kubernetes.aio import client
from prometheus_client import CollectorRegistry

from fulfillment_api.names import request_name
from fulfillment_api.spec import Payment, PaymentStatus
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_local.credentials import User
from fulfillment_operator.upkeep.retention_sweep import RetentionMetrics, RetentionSweep
from fulfillment_runtime.kubernetes.errors import ConflictError, NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from support.running_operator import ADDRESS, RULES, Shop

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
    await shop.requests.patch_status(
        name, Status(phase=phase, reason=reason, message="m", observed_generation=1, conditions=[ready])
    )
    return name


def sweep(
    shop: Shop,
    api: client.ApiClient,
    *,
    after: timedelta,
    metrics: RetentionMetrics,
    interval: timedelta = timedelta(0),
) -> RetentionSweep:
    return RetentionSweep(
        requests=FulfillmentRequestClient(LibraryRestClient(api), shop.namespace, timeout=5),
        retention=RETENTION,
        initial_delay=timedelta(0),
        interval=interval,
        writes_per_second=1000.0,
        clock=lambda: datetime.now(UTC) + after,
        random=lambda: 0.0,
        metrics=metrics,
    )


async def stored(shop: Shop) -> set[str]:
    return {
        listed.request.metadata.name
        async for page in shop.requests.list_pages(timeout=10)
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
        await sweep(shop, api, after=RETENTION - timedelta(hours=1), metrics=metrics).sweep()
        assert await stored(shop) == {fulfilled, expired, refused, waiting, new}
        await sweep(shop, api, after=RETENTION + timedelta(hours=1), metrics=metrics).sweep()
    assert await stored(shop) == {refused, waiting, new}
    counted = {
        phase: registry.get_sample_value("fulfillment_requests_deleted_total", {"phase": phase}) for phase in Phase
    }
    assert counted == {"fulfilled": 1, "failed": 1, "awaiting-payment": None, "fulfilling": None}


async def test_an_order_that_changed_since_it_was_read_is_not_trimmed(shop: Shop) -> None:
    """Nor one that was made anew under its name; without retention orders are trimmed all the same, and none goes."""
    name = await finished(shop, 1, Phase.FAILED, Reason.SESSION_EXPIRED)
    read = await shop.requests.get(name)
    assert read.status is not None
    await shop.requests.patch_spec(read, Payment(status=PaymentStatus.PAID, event="evt_1"))
    with pytest.raises(ConflictError):
        await shop.requests.patch_status_if_unchanged(read, read.status)
    await shop.requests.delete(name)
    with pytest.raises(NotFoundError):
        await shop.requests.patch_status_if_unchanged(read, read.status)
    again = await finished(shop, 1, Phase.FAILED, Reason.SESSION_EXPIRED)
    with pytest.raises(ConflictError):
        await shop.requests.patch_status_if_unchanged(read, read.status)
    forever = sweep(shop, shop.api, after=10 * RETENTION, metrics=RetentionMetrics(CollectorRegistry()))
    await replace(forever, retention=timedelta(0)).sweep()
    left = await shop.requests.get(again)
    assert left.status is not None
    assert left.status.condition(ConditionType.READY) is None


async def test_who_leads_for_a_while_only_looks_all_the_same(shop: Shop) -> None:
    """The first sweep is soon: between two that are hours apart, operators may come and go."""
    name = await finished(shop, 1, Phase.FULFILLED, Reason.FULFILLED)
    late, metrics = RETENTION + timedelta(hours=1), RetentionMetrics(CollectorRegistry())
    running = asyncio.create_task(sweep(shop, shop.api, after=late, metrics=metrics, interval=timedelta(hours=6)).run())
    async with asyncio.timeout(60):
        while name in await stored(shop):  # noqa: ASYNC110 - what is deleted is seen by who asks
            await asyncio.sleep(0.01)
    running.cancel()


async def test_an_order_that_changed_since_it_was_read_is_not_deleted(shop: Shop) -> None:
    """A failed payment is paid after all while the operator looks through the orders."""
    name = await finished(shop, 1, Phase.FAILED, Reason.SESSION_EXPIRED)
    read = await shop.requests.get(name)
    await shop.requests.delete_if_unchanged(read)
    with pytest.raises(NotFoundError):
        await shop.requests.delete_if_unchanged(read)
    await shop.make("cs_test_retention1", PaymentStatus.UNPAID)  # of the same name, and another
    with pytest.raises(ConflictError):
        await shop.requests.delete_if_unchanged(read)
    read = await shop.requests.get(name)
    await shop.requests.patch_spec(read, Payment(status=PaymentStatus.PAID, event="evt_1"))
    with pytest.raises(ConflictError):
        await shop.requests.delete_if_unchanged(read)
    assert await stored(shop) == {name}


async def test_it_goes_on_when_the_api_server_does_not_allow_it(shop: Shop) -> None:
    """It is counted, and tried again in the next sweep."""
    await shop.control_plane.grant(User.NOBODY, shop.namespace, RULES[1:])
    registry = CollectorRegistry()
    async with shop.control_plane.connect(User.NOBODY) as api:
        running = asyncio.create_task(sweep(shop, api, after=RETENTION, metrics=RetentionMetrics(registry)).run())
        async with asyncio.timeout(60):
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
    found = [page async for page in shop.requests.list_pages(page_size=3, timeout=10)]
    assert [len(page) for page in found] == [3, 3, 2]
    listed = [each for page in found for each in page]
    assert sorted(names | {request_name("cs_test_odd")}) == [
        each.request.metadata.name for each in listed if each.request
    ]
    assert all(b'"managedFields"' in bytes(each.raw) for each in listed)
