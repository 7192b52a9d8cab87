"""A Job that does not start is told apart from one that takes its time: on a real API server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.aio import client

from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.fake_stripe.model import Order
from fulfillment_operator.backends.interface import Done, InProgress, Outcome, PaidOrder, TryAgain
from fulfillment_operator.backends.job.backend import JobBackend
from fulfillment_operator.backends.job.job_api import Job, JobApi
from fulfillment_operator.backends.job.manifest import DRY_RUN, job_manifest
from fulfillment_operator.backends.job.template import parse_template
from fulfillment_runtime.kubernetes.errors import QuotaExceededError
from support.builders import make_session
from support.order_jobs import JOB, TEMPLATE, end, job_names, open_shop_with_jobs
from support.running_operator import WITHIN, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

SOON, LATE = timedelta(seconds=30), timedelta(minutes=3)
DEADLINE = timedelta(hours=1)


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    async with open_shop_with_jobs(control_plane, namespace) as shop:
        yield shop


@pytest.fixture
async def order(shop: Shop) -> PaidOrder:
    """A Job was made of it."""
    name = await shop.make("cs_test_1")
    request = await shop.requests.get(name)
    order = PaidOrder(name, shop.namespace, request.spec.session, make_session(), uid=request.metadata.uid)
    assert isinstance(await fulfill(shop, order, timedelta()), InProgress)
    return replace(order, in_progress=True)


async def fulfill(shop: Shop, order: PaidOrder, after: timedelta, jobs: JobApi | None = None) -> Outcome:
    """Ask for an order at a time from now."""
    backend = JobBackend(
        jobs or JobApi(shop.api, shop.namespace, timeout=5),
        parse_template(TEMPLATE, "FULFILLMENT_JOB_TEMPLATE"),
        None,
        deadline=DEADLINE,
        clock=lambda: datetime.now(UTC) + after,
    )
    return await backend.fulfill(order)


async def make_pod(shop: Shop, job: str, waiting_for: str) -> None:
    """Make a Job's pod, as its controller does, and let its container wait, as the kubelet does."""
    core = client.CoreV1Api(shop.api)
    await core.create_namespaced_service_account(
        shop.namespace, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="default"))
    )
    meta = client.V1ObjectMeta(name=f"{job}-1", labels={"batch.kubernetes.io/job-name": job})
    container = client.V1Container(name="ship", image="shop/ship:7")
    spec = client.V1PodSpec(containers=[container], automount_service_account_token=False)
    await core.create_namespaced_pod(shop.namespace, client.V1Pod(metadata=meta, spec=spec))
    waiting = client.V1ContainerStateWaiting(reason=waiting_for)
    status = client.V1ContainerStatus(
        name="ship",
        image="shop/ship:7",
        image_id="",
        ready=False,
        restart_count=0,
        state=client.V1ContainerState(waiting=waiting),
    )
    body = {"status": client.V1PodStatus(phase="Pending", container_statuses=[status])}
    await core.patch_namespaced_pod_status(f"{job}-1", shop.namespace, body)


async def set_status(shop: Shop, job: str, **status: Any) -> None:
    """Write a Job's status, as its controller does."""
    await client.BatchV1Api(shop.api).patch_namespaced_job_status(
        job, shop.namespace, {"status": client.V1JobStatus(**status)}
    )


async def test_a_job_without_a_pod_does_not_start(shop: Shop, order: PaidOrder) -> None:
    """As when Pod Security admits none: it may still come; after two minutes a passing fault says what to look at."""
    assert isinstance(await fulfill(shop, order, SOON), InProgress)
    late = await fulfill(shop, order, LATE)
    assert isinstance(late, TryAgain)
    why = "no pod of it could be made: kubectl describe job says why"
    assert late.error == f"the Job {order.key} does not start: {why}"
    assert LATE / 2 <= (late.after or timedelta()) < LATE


@pytest.mark.parametrize(
    ("waiting_for", "expected"), [("ImagePullBackOff", TryAgain), ("ContainerCreating", InProgress)]
)
async def test_a_pod_that_waits(shop: Shop, order: PaidOrder, waiting_for: str, expected: type[Outcome]) -> None:
    """For an image that cannot be pulled is hindered; one that is on its way is not."""
    await make_pod(shop, order.key, waiting_for)
    late = await fulfill(shop, order, LATE)
    assert isinstance(late, expected)
    if isinstance(late, TryAgain):
        assert late.error == f"the Job {order.key} does not start: ImagePullBackOff"


async def test_a_pod_that_is_on_its_way_for_long(shop: Shop, order: PaidOrder) -> None:
    """As when it waits for a volume that the template names, and that is not there: the order tells where to look."""
    await make_pod(shop, order.key, "ContainerCreating")
    late = await fulfill(shop, order, timedelta(minutes=11))
    why = "its pod is still on its way: kubectl describe pod says why"
    assert isinstance(late, TryAgain)
    assert late.error == f"the Job {order.key} does not start: {why}"


async def test_a_quota_that_is_used_up_is_waited_for(shop: Shop) -> None:
    """It says nothing against the template: the operator starts, and the order waits with Kubernetes' words."""
    await allow_no_jobs(shop)
    async with at_work(shop, backend_retry_max=timedelta(seconds=1), **JOB):
        name = await shop.sell(Order())
        waiting = await shop.becomes(name, Phase.FULFILLING, "BackendUnavailable")
        await client.CoreV1Api(shop.api).delete_namespaced_resource_quota("used-up", shop.namespace)
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    assert waiting.status is not None
    assert waiting.status.message == (
        f'jobs.batch "{name}" is forbidden: exceeded quota: used-up, requested: count/jobs.batch=1, '
        "used: count/jobs.batch=0, limited: count/jobs.batch=0; raise the quota, or make room; it is tried again"
    )


async def allow_no_jobs(shop: Shop) -> None:
    """Make a quota of none, with the status that its controller writes, and wait until the API server goes by it."""
    core, none = client.CoreV1Api(shop.api), {"count/jobs.batch": "0"}
    meta = client.V1ObjectMeta(name="used-up")
    quota = client.V1ResourceQuota(metadata=meta, spec=client.V1ResourceQuotaSpec(hard=none))
    await core.create_namespaced_resource_quota(shop.namespace, quota)
    status = {"status": client.V1ResourceQuotaStatus(hard=none, used=none)}
    await core.patch_namespaced_resource_quota_status("used-up", shop.namespace, status)
    probe = job_manifest(parse_template(TEMPLATE, "template"), DRY_RUN, DEADLINE)
    jobs = JobApi(shop.api, shop.namespace, timeout=10)
    async with asyncio.timeout(WITHIN):
        with suppress(QuotaExceededError):
            while True:
                await jobs.dry_run(probe)


async def test_a_job_at_work_takes_its_time(shop: Shop, order: PaidOrder) -> None:
    """And one that is suspended, such as in a queue, waits as it is told to."""
    now = datetime.now(UTC)
    await set_status(shop, order.key, start_time=now, active=1, ready=1)
    at_work = await fulfill(shop, order, LATE)
    condition = client.V1JobCondition(type="Suspended", status="True")
    await set_status(shop, order.key, active=0, ready=0, conditions=[condition])
    suspended = await fulfill(shop, order, LATE)
    assert [type(each) for each in (at_work, suspended)] == [InProgress, InProgress]


async def test_a_job_is_looked_at_some_20_times_in_half_an_hour(shop: Shop, order: PaidOrder) -> None:
    """A short one's end is seen soon, and a long one asks little of Stripe, which is asked before each look."""
    await set_status(shop, order.key, start_time=datetime.now(UTC), active=1, ready=1)
    age, looks = timedelta(), []
    while age < timedelta(minutes=50):
        found = await fulfill(shop, order, age)
        assert isinstance(found, InProgress)
        looks.append(found.check_after or timedelta())
        age += looks[-1]
    within = [sum(looks[:count], timedelta()) for count in range(len(looks))]
    assert looks[0] <= SOON
    assert looks[-1] == timedelta(minutes=15)
    assert 10 <= sum(each < timedelta(minutes=30) for each in within) <= 20


async def test_a_job_at_work_is_stopped_at_the_deadline(shop: Shop) -> None:
    """The order fails then, so nothing may fulfill it afterwards; status tells that it is stopped."""
    async with at_work(shop, backend_deadline=timedelta(seconds=2), **JOB):
        name = await shop.sell(Order())
        failed = await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
    assert failed.status is not None
    assert failed.status.message == (
        f"the Job {name} is stopped; it did not come to an end until the deadline, so a person is needed"
    )
    assert await job_names(shop) == [f"{name} (going)"]


async def test_a_job_that_is_late_and_does_not_start(shop: Shop, order: PaidOrder) -> None:
    """It is stopped as well, and what hindered it is still told; one that ended by then has its end."""
    begun = replace(order, started_at=datetime.now(UTC))
    late = await fulfill(shop, begun, DEADLINE)
    assert isinstance(late, TryAgain)
    assert late.error.startswith(f"the Job {order.key} does not start: ")
    assert await job_names(shop) == [f"{order.key} (going)"]
    await end(shop, order.key, "Complete")
    assert await fulfill(shop, begun, DEADLINE) == Done(order.key)


async def test_a_job_that_changes_as_it_is_stopped_is_looked_at_again(shop: Shop, order: PaidOrder) -> None:
    """It may have completed just then, and that is what counts."""
    jobs = ChangingJobs(shop.api, shop.namespace, timeout=5)
    jobs.before_stop = lambda: end(shop, order.key, "Complete")
    assert await fulfill(shop, replace(order, started_at=datetime.now(UTC)), DEADLINE, jobs) == Done(order.key)
    assert await job_names(shop) == [order.key]


class ChangingJobs(JobApi):
    """The real ones, but that something happens just before one is stopped."""

    before_stop: Callable[[], Awaitable[None]]

    async def stop(self, job: Job) -> None:
        await self.before_stop()
        await super().stop(job)


async def begun(shop: Shop, session_id: str, ago: timedelta) -> PaidOrder:
    """Make an order that was handed over some time ago, of which no Job could be made yet."""
    name = await shop.make(session_id)
    request = await shop.requests.get(name)
    order = PaidOrder(name, shop.namespace, request.spec.session, make_session(), uid=request.metadata.uid)
    return replace(order, started_at=datetime.now(UTC) - ago)


async def test_a_job_runs_for_what_is_left_of_its_order(shop: Shop) -> None:
    """It is made late, such as when a quota was used up."""
    order = await begun(shop, "cs_test_1", timedelta(minutes=50))
    assert isinstance(await fulfill(shop, order, timedelta()), InProgress)
    job = await client.BatchV1Api(shop.api).read_namespaced_job(order.key, shop.namespace)
    assert job.spec is not None
    assert 0 < (job.spec.active_deadline_seconds or 0) <= 600


async def test_at_the_deadline_no_job_is_made(shop: Shop) -> None:
    """The order fails, with what kept it from having one."""
    order = await begun(shop, "cs_test_1", DEADLINE)
    assert await fulfill(shop, order, timedelta()) == TryAgain("no Job could be made in time")
    await allow_no_jobs(shop)
    refused = await fulfill(shop, order, timedelta())
    assert isinstance(refused, TryAgain)
    assert "exceeded quota: used-up" in refused.error
    assert await job_names(shop) == []
