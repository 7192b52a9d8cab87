"""What an order costs the Kubernetes API, by the API server's own counters."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from kubernetes.aio import client
from prometheus_client import CollectorRegistry

from fulfillment_api.names import PLURAL, request_name
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import AfterPayment, Mode, Order, Outcome, Settlement
from fulfillment_operator.controller.event_broadcaster import EventBroadcaster
from fulfillment_operator.controller.event_correlator import RecordedEvent
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_operator.upkeep.retention_sweep import RetentionMetrics, RetentionSweep
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.kubernetes.connection import connect
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.events import Event, EventType
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.leader_election import LeaderElectionConfig
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from support.dropped_events import dropped_events
from support.running_business import open_business
from support.running_operator import WITHIN, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

BACKLOG = 120
WAITING = 150
EVENTS_AT_MOST = BACKLOG // 10
STORED_AT_MOST = 2200
"""Bytes of an order in etcd, a week after its end."""
REVERSED_AT_MOST = 2650
"""Likewise, of one that was refunded or disputed since."""
TRIMMED = "fulfillment_requests_trimmed_total"
DROPPED = "fulfillment_kubernetes_events_dropped_total"


async def test_an_order_of_a_backlog_is_created_and_patched_once(shop: Shop) -> None:
    """And few have an Event, of which there would be one each: no time goes by that makes room for more."""
    before = await shop.api_server_requests()
    names = [await shop.sell(Order()) for _ in range(BACKLOG)]
    async with at_work(shop, LeaderElectionConfig(), lambda: 0.0, workers=8) as operator:
        await all_become(shop, set(names), Phase.FULFILLED)
        await operator.reaches(BACKLOG, "fulfillment_transitions_total", phase="fulfilled", reason="Fulfilled")
        dropped = await operator.metric(DROPPED, type="Normal", cause="rate")
    writes = await shop.api_server_requests() - before
    assert {key: writes[key] for key in writes if key[1] == PLURAL and key[0] in {"POST", "PATCH", "PUT"}} == {
        ("POST", PLURAL): BACKLOG,
        ("PATCH", PLURAL): BACKLOG,
    }
    events = sum(number for (verb, resource), number in writes.items() if resource == "events" and verb != "LIST")
    assert 0 < events <= EVENTS_AT_MOST
    assert dropped == BACKLOG - events


async def all_become(shop: Shop, names: set[str], phase: Phase) -> None:
    """Wait until all requests are in a phase."""
    async with asyncio.timeout(WITHIN), shop.watching(None) as changes:
        async for request in changes:
            if request.status and request.status.phase is phase:
                names.discard(request.metadata.name)
            if not names:
                return


async def test_orders_that_wait_take_few_requests_to_stripe(shop: Shop) -> None:
    """In each interval; and a payment whose event was lost is seen."""
    interval, loop = 2.0, asyncio.get_running_loop()
    sessions = [shop.stripe.world.play(Order(outcome=Outcome.UNPAID))[0] for _ in range(WAITING)]
    for each in sessions:
        created = datetime.fromtimestamp(each.created, UTC)
        await shop.make(each.id, PaymentStatus.UNPAID, created_at=created)
    async with at_work(shop, recheck_interval=timedelta(seconds=interval)) as operator:
        labels = {"phase": Phase.AWAITING_PAYMENT, "reason": "PaymentProcessing", "acknowledged": "false"}
        async with asyncio.timeout(WITHIN):
            while await operator.metric("fulfillment_requests", **labels) != WAITING:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
        shop.stripe.traffic.clear()
        start = loop.time()
        shop.stripe.world.settle(sessions[WAITING // 3].id, Settlement.SUCCEEDED)
        await shop.becomes(request_name(sessions[WAITING // 3].id), Phase.FULFILLED)
        intervals = 1 + (loop.time() - start) / interval
        assert len(shop.stripe.traffic.requests) <= WAITING * 0.1 * intervals


async def test_an_idle_shop_sees_every_event(shop: Shop) -> None:
    """However many orders came before: the room for Events is of the last seconds, not of a day."""
    at = 0.0
    async with at_work(shop, LeaderElectionConfig(), lambda: at):
        names = []
        for _ in range(15):
            names.append(await shop.sell(Order()))
            await shop.becomes(names[-1], Phase.FULFILLED)
            at += 1.0
    for name in names:
        assert await shop.events(name) == [("Normal", "Fulfilled")]


async def test_what_happens_again_is_counted_on_its_event(shop: Shop) -> None:
    """A person pauses, resumes and pauses again for the same reason: one Event, twice."""
    name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
    async with at_work(shop):
        await shop.becomes(name, Phase.AWAITING_PAYMENT, "PaymentProcessing")
        for _ in range(2):
            await shop.annotate(name, paused="the address is odd")
            await shop.becomes(name, Phase.AWAITING_PAYMENT, "Paused")
            await shop.annotate(name, paused=None)
            await shop.becomes(name, Phase.AWAITING_PAYMENT, "PaymentProcessing")
    found = await client.CoreV1Api(shop.api).list_namespaced_event(shop.namespace)
    assert {each.reason: each.count for each in found.items} == {"PaymentProcessing": 3, "Paused": 2}


async def test_an_event_that_is_gone_is_made_anew(shop: Shop) -> None:
    """An API server keeps Events for an hour; how often it happened is told all the same. A lost answer makes none."""
    sink = EventSink(LibraryRestClient(shop.api), shop.namespace, reporter="here", timeout=10)
    request = await shop.requests.get(await shop.sell(Order()))
    meta, now = request.metadata, datetime.now(UTC).replace(microsecond=0)
    event = Event(
        name=f"{meta.name}.1",
        request=meta.name,
        uid=meta.uid,
        resource_version=meta.resource_version,
        type=EventType.WARNING,
        reason="BackendUnavailable",
        action="Reconcile",
        message="m" * 2000,
        first_timestamp=now,
        last_timestamp=now,
    )
    await sink.write(event)
    await sink.write(event)
    core = client.CoreV1Api(shop.api)
    await core.delete_namespaced_event(event.name, shop.namespace)
    await sink.write(replace(event, count=2))
    await sink.write(replace(event, count=3, last_timestamp=now + timedelta(minutes=1)))
    (found,) = (await core.list_namespaced_event(shop.namespace)).items
    assert (found.count, found.first_timestamp, found.last_timestamp) == (3, now, now + timedelta(minutes=1))
    assert found.message == "m" * 1024


ORDERS = {
    "one item": (Order(), ()),
    "many items": (Order(line_items=137), ()),
    "a subscription": (Order(mode=Mode.SUBSCRIPTION, line_items=4, payment_link="plink_1Np0hZd0eDZijPGbMz6DEfMO"), ()),
    "refunded": (Order(line_items=2), (AfterPayment.PARTLY_REFUNDED, AfterPayment.REFUNDED)),
    "disputed and refunded": (Order(line_items=2), (AfterPayment.DISPUTED, AfterPayment.REFUNDED)),
    "never paid": (Order(outcome=Outcome.UNPAID, line_items=30), ()),
}


@pytest.mark.parametrize("thin", [False, True], ids=["snapshot", "thin"])
async def test_an_order_that_ended_a_week_ago_takes_little_of_etcd(
    control_plane: ControlPlane, namespace: str, *, thin: bool
) -> None:
    """However many items it has: the record that it was handled stays, with what people see of it."""
    names = dict[str, str]()
    async with open_business(control_plane, namespace, recheck=timedelta(seconds=1)) as business:
        shop, world = business.shop, business.shop.stripe.world
        for kind, (order, after) in ORDERS.items():
            session, event = world.play(order)
            assert event is not None
            await business.deliver(event, thin=thin)
            names[kind] = request_name(session.id)
            if order.outcome is Outcome.UNPAID:
                await shop.becomes(names[kind], Phase.AWAITING_PAYMENT)
                failed = world.settle(session.id, Settlement.FAILED)
                assert failed is not None
                await business.deliver(failed, thin=thin)
                await shop.becomes(names[kind], Phase.FAILED)
            else:
                await shop.becomes(names[kind], Phase.FULFILLED)
            for each in after:
                await business.deliver(world.play_after_payment(session.id, each), thin=False)
                await until_observed(shop, names[kind])
    registry = CollectorRegistry()
    async with connect(str(control_plane.kubeconfigs[User.OPERATOR]), connections=1) as api:
        sweep = RetentionSweep(
            requests=FulfillmentRequestClient(LibraryRestClient(api), namespace, timeout=10),
            retention=timedelta(days=45),
            initial_delay=timedelta(0),
            interval=timedelta(0),
            writes_per_second=1000.0,
            clock=lambda: datetime.now(UTC) + timedelta(days=7, minutes=1),
            random=random.random,
            metrics=RetentionMetrics(registry),
        )
        await sweep.sweep()
        stored = {kind: await control_plane.stored(PLURAL, namespace, name) for kind, name in names.items()}
        await sweep.sweep()
    sizes = {kind: len(each) for kind, each in stored.items()}
    assert all(size <= (REVERSED_AT_MOST if ORDERS[kind][1] else STORED_AT_MOST) for kind, size in sizes.items()), sizes
    assert stored == {kind: await control_plane.stored(PLURAL, namespace, name) for kind, name in names.items()}
    counted = (registry.get_sample_value(TRIMMED, {"phase": phase}) for phase in (Phase.FULFILLED, Phase.FAILED))
    assert list(counted) == [5, 1]


async def until_observed(shop: Shop, name: str) -> None:
    """Wait until the sweep has seen to the spec as it is."""
    async with asyncio.timeout(WITHIN), shop.watching(name) as changes:
        async for request in changes:
            if request.spec.reversal is not None and not request.has_unobserved_spec:
                return


def events(count: int) -> list[RecordedEvent]:
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        RecordedEvent(
            request=f"cs-{number}",
            uid=f"u-{number}",
            resource_version="1",
            type=EventType.WARNING,
            reason="Restored",
            message="m",
            at=now,
        )
        for number in range(count)
    ]


def broadcaster(api: client.ApiClient, namespace: str, registry: CollectorRegistry) -> EventBroadcaster:
    return EventBroadcaster(
        EventSink(LibraryRestClient(api), namespace, reporter="here", timeout=10),
        backoff=Backoff(timedelta(hours=1), timedelta(hours=1), lambda: 0.0),
        clock=lambda: 0.0,
        random=random.random,
        metrics=OperatorMetrics(registry),
    )


async def test_what_waits_at_the_end_is_written(shop: Shop) -> None:
    """Within the grace, once no order is worked on any more."""
    registry = CollectorRegistry()
    written = broadcaster(shop.api, shop.namespace, registry)
    async with written.writing(timedelta(minutes=1)):
        for event in events(20):
            written.enqueue(event)
    found = await client.CoreV1Api(shop.api).list_namespaced_event(shop.namespace)
    assert {each.involved_object.name for each in found.items} == {f"cs-{number}" for number in range(20)}
    assert dropped_events(registry) == {}


@pytest.mark.parametrize(("user", "cause"), [(User.NOBODY, "error"), (None, "shutdown")], ids=["forbidden", "away"])
async def test_what_the_api_server_does_not_take_is_counted(shop: Shop, user: User | None, cause: str) -> None:
    """A right that was taken away while the operator runs, and an API server that is away: neither keeps it up."""
    registry = CollectorRegistry()
    configuration = client.Configuration(host="http://127.0.0.1:1")
    connection = shop.control_plane.connect(user) if user else client.ApiClient(configuration)
    async with connection as api:
        written = broadcaster(api, shop.namespace, registry)
        async with written.writing(timedelta(minutes=1) if user else timedelta(seconds=2)):
            for event in events(3):
                written.enqueue(event)
    assert dropped_events(registry) == {("Warning", cause): 3}
