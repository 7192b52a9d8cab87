"""One Job at a time is at work on an order, and none on an order that is stopped: on a real API server.

Nothing runs Jobs here, and nothing collects what is deleted: the tests do both.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL, VERSION, request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import ConditionType, LineItem, Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import Order
from fulfillment_operator.backends.interface import (
    BackendContext,
    Done,
    InProgress,
    PaidOrder,
    Rejected,
    ReversalListener,
    ReversalNotice,
    Stoppable,
    TryAgain,
)
from fulfillment_operator.backends.job.backend import JobBackend, job_backend
from fulfillment_operator.backends.job.job_api import JobApi
from fulfillment_operator.backends.job.template import parse_template
from fulfillment_runtime.kubernetes.errors import ConflictError
from support.builders import make_request, make_session
from support.order_jobs import JOB, RULES, TEMPLATE, collect, end, job_names, open_shop_with_jobs
from support.reversal_events import SOON, has, reconciled, reverse, until
from support.running_operator import WITHIN, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

WITH_REVERSALS: dict[str, Any] = {
    **JOB,
    **SOON,
    "FULFILLMENT_JOB_REVERSAL_TEMPLATE": TEMPLATE.replace("ship", "restock"),
}
REVERSALS = [(ReversalKind.REFUNDED, "Refunded"), (ReversalKind.DISPUTED, "Disputed")]


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    async with open_shop_with_jobs(control_plane, namespace) as shop:
        yield shop


async def handed_over(shop: Shop) -> str:
    name = await shop.sell(Order())
    await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    return name


def reference(request: FulfillmentRequest) -> str:
    assert request.status
    assert request.status.fulfillment
    return request.status.fulfillment.reference or ""


async def message(shop: Shop, name: str, phase: Phase, reason: str) -> str:
    request = await shop.becomes(name, phase, reason)
    return request.status.message if request.status else ""


async def test_another_try_begins_when_the_job_before_it_is_gone(shop: Shop) -> None:
    """It is stopped first, with its pods, and status tells what is waited for; an operator that is replaced goes on."""
    async with at_work(shop, **JOB):
        name = await handed_over(shop)
        await shop.annotate(name, retry="it hangs")
        waiting = await message(shop, name, Phase.FULFILLING, "BackendUnavailable")
        assert waiting == f"the Job {name} of an earlier try is being stopped first; it is tried again"
        assert await job_names(shop) == [f"{name} (going)"]
    await collect(shop, name)
    async with at_work(shop, **JOB):
        second = reference(await shop.becomes(name, Phase.FULFILLING, "Dispatched"))
        assert await job_names(shop) == [second]
        await end(shop, second, "Complete")
        await shop.becomes(name, Phase.FULFILLED)
    assert second.startswith(f"{name}-")


async def test_a_job_that_ended_keeps_no_other_try_waiting(shop: Shop) -> None:
    """Even one that completed before that was seen: who asks for another try gets one, and the first Job stays."""
    async with at_work(shop, **JOB):
        name = await handed_over(shop)
    await end(shop, name, "Complete")
    await shop.annotate(name, retry="the parcel is lost")
    async with at_work(shop, **JOB):
        request = await until(shop, name, lambda each: reference(each) != name, "handed over again")
    assert await job_names(shop) == [name, reference(request)]


@pytest.mark.parametrize(("kind", "reason"), REVERSALS)
async def test_what_comes_before_the_fulfillment_stops_the_job(shop: Shop, kind: ReversalKind, reason: str) -> None:
    """The order ends when the Job is gone, and no other Job is made of it."""
    async with at_work(shop, **JOB):
        name = await handed_over(shop)
        await reverse(shop, name, kind)
        waiting = await message(shop, name, Phase.FULFILLING, "BackendUnavailable")
        assert waiting.endswith(f"the backend does not know: the Job {name} is being stopped; it is tried again")
        assert await job_names(shop) == [f"{name} (going)"]
        await collect(shop, name)
        request = await shop.becomes(name, Phase.FAILED, reason)
        assert await job_names(shop) == []
    assert request.status
    assert "does not know" not in request.status.message


async def not_noted(shop: Shop) -> str:
    """Hand an order over, by an operator that is killed before it notes that."""
    async with at_work(shop, **JOB):
        name = await handed_over(shop)
    await client.CustomObjectsApi(shop.api).patch_namespaced_custom_object_status(
        *(GROUP, VERSION, shop.namespace, PLURAL, name),
        {"status": None},
        _content_type="application/merge-patch+json",
    )
    return name


@pytest.mark.parametrize(("kind", "reason"), REVERSALS)
async def test_a_job_that_nobody_noted_is_stopped_too(shop: Shop, kind: ReversalKind, reason: str) -> None:
    """The payment is reversed before another operator looks."""
    name = await not_noted(shop)
    await reverse(shop, name, kind)
    async with at_work(shop, **JOB):
        await shop.becomes(name, Phase.FAILED, reason)
    assert await job_names(shop) == [f"{name} (going)"]


async def test_until_it_is_stopped_that_is_tried_again(shop: Shop) -> None:
    """The order has failed meanwhile, and is observed when that is done."""
    name = await not_noted(shop)
    await shop.annotate(name, paused="a call")
    async with at_work(shop, **JOB):
        await shop.becomes(name, Phase.FULFILLING, "Paused")
        await forbid_deleting_jobs(shop)
        await reverse(shop, name, ReversalKind.REFUNDED)
        await shop.annotate(name, paused=None)
        failed = await shop.becomes(name, Phase.FAILED, "Refunded")
        assert failed.has_unobserved_spec
        assert await job_names(shop) == [name]
        await shop.control_plane.grant(User.OPERATOR, shop.namespace, RULES[:1])
        await until(shop, name, lambda each: not each.has_unobserved_spec, "observed")
    assert await job_names(shop) == [f"{name} (going)"]


async def forbid_deleting_jobs(shop: Shop) -> None:
    """Take that right away, and wait until the API server goes by it."""
    rbac = client.RbacAuthorizationV1Api(shop.api)
    for role in (await rbac.list_namespaced_role(shop.namespace)).items:
        assert role.metadata
        assert role.metadata.name
        for rule in role.rules or ():
            if "jobs" in (rule.resources or ()):
                rule.verbs = [verb for verb in rule.verbs if verb != "delete"]
        await rbac.replace_namespaced_role(role.metadata.name, shop.namespace, role)
    await shop.forbidden(verb="delete", group="batch", resource="jobs")


async def test_a_job_that_completed_before_the_refund_was_seen_fulfilled_the_order(shop: Shop) -> None:
    """That is what happened: the order is fulfilled, shows and counts the refund, and has the Job that sees to it."""
    async with at_work(shop, **WITH_REVERSALS):
        name = await handed_over(shop)
    await end(shop, name, "Complete")
    await reverse(shop, name, ReversalKind.REFUNDED)
    async with at_work(shop, **WITH_REVERSALS) as operator:
        request = await shop.becomes(name, Phase.FULFILLED)
        async with asyncio.timeout(WITHIN):
            while await operator.metric("fulfillment_reversals_total", kind="refunded") != 1:  # noqa: ASYNC110 - a level
                await asyncio.sleep(0.05)
            told = [("Normal", "Fulfilled"), ("Normal", "Refunded")]
            while (await shop.events(name))[-2:] != told:  # noqa: ASYNC110 - the API server is asked
                await asyncio.sleep(0.05)
    assert has(request, ConditionType.REFUNDED)
    assert reference(request) == name
    assert await job_names(shop) == [name, f"{name}-refunded"]


async def test_a_job_that_failed_stays_when_the_order_is_refunded(shop: Shop) -> None:
    """Nothing of it runs, and somebody may want to read its log."""
    async with at_work(shop, **JOB):
        name = await handed_over(shop)
        await end(shop, name, "Failed", reason="BackoffLimitExceeded", message="limit")
        await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
        await reverse(shop, name, ReversalKind.REFUNDED)
        await shop.becomes(name, Phase.FAILED, "Refunded")
    assert await job_names(shop) == [name]


async def test_a_fulfilled_order_has_no_other_job_without_a_template_for_it(shop: Shop) -> None:
    """The condition shows what came after the sale, and that is all."""
    async with at_work(shop, **JOB, **SOON):
        name = await handed_over(shop)
        await end(shop, name, "Complete")
        await shop.becomes(name, Phase.FULFILLED)
        await reverse(shop, name, ReversalKind.REFUNDED)
        await reconciled(shop, name, ConditionType.REFUNDED)
    assert await job_names(shop) == [name]


@pytest.mark.parametrize(("kind", "reason"), REVERSALS)
async def test_a_job_of_its_own_sees_to_what_came_after_the_sale(shop: Shop, kind: ReversalKind, reason: str) -> None:
    """It has the same order, and says what came after it; that it is made is what is waited for."""
    async with at_work(shop, **WITH_REVERSALS):
        name = await handed_over(shop)
        await end(shop, name, "Complete")
        await shop.becomes(name, Phase.FULFILLED)
        await reverse(shop, name, kind)
        request = await reconciled(shop, name, ConditionType(reason))
    job: Any = await client.BatchV1Api(shop.api).read_namespaced_job(f"{name}-{kind}", shop.namespace)
    first: Any = await client.BatchV1Api(shop.api).read_namespaced_job(name, shop.namespace)
    labels = {"checkout-fulfillment.dev/request": name, "checkout-fulfillment.dev/reversal": kind.value}
    (container,) = job.spec.template.spec.containers
    (before,) = first.spec.template.spec.containers
    assert labels.items() <= job.metadata.labels.items()
    assert labels.items() <= job.spec.template.metadata.labels.items()
    assert job.metadata.owner_references == first.metadata.owner_references
    assert container.image == "shop/restock:7"
    assert [each for each in container.env if each not in before.env] == [
        client.V1EnvVar(name="REVERSAL", value=kind.value),
        *([client.V1EnvVar(name="AMOUNT_REFUNDED", value="5900")] if kind is ReversalKind.REFUNDED else []),
    ]
    core = client.CoreV1Api(shop.api)
    secrets = [await core.read_namespaced_secret(each, shop.namespace) for each in (name, f"{name}-{kind}")]
    orders = [json.loads(base64.b64decode((each.data or {})["order.json"])) for each in secrets]
    given_back = [each.pop("amountRefunded") for each in orders]
    assert orders[0] == orders[1]
    assert given_back[0] is None
    assert (given_back[1] is not None) == (kind is ReversalKind.REFUNDED)
    condition = request.status and request.status.condition(ConditionType(reason))
    assert condition
    assert "does not know" not in condition.message


async def test_a_stopped_order_has_that_job_too(shop: Shop) -> None:
    """Once its own is gone, for that may have done half of it; the Job that sees to it is not at work on the order."""
    async with at_work(shop, **WITH_REVERSALS):
        name = await handed_over(shop)
        await reverse(shop, name, ReversalKind.REFUNDED)
        await shop.becomes(name, Phase.FULFILLING, "BackendUnavailable")
        assert await job_names(shop) == [f"{name} (going)"]
        await collect(shop, name)
        await shop.becomes(name, Phase.FAILED, "Refunded")
        assert await job_names(shop) == [f"{name}-refunded"]
        await reverse(shop, name, ReversalKind.DISPUTED)
        request = await reconciled(shop, name, ConditionType.REFUNDED, ConditionType.DISPUTED)
    assert has(request, ConditionType.PAID)
    assert await job_names(shop) == [f"{name}-disputed", f"{name}-refunded"]


@pytest.mark.parametrize(
    ("asked", "phase", "reason"),
    [("complete", Phase.FULFILLED, "ManuallyCompleted"), ("fail", Phase.FAILED, "ManuallyFailed")],
)
async def test_what_a_person_ends_stops_the_job(shop: Shop, asked: str, phase: Phase, reason: str) -> None:
    """At once: that its pods end is not waited for."""
    async with at_work(shop, **JOB):
        name = await handed_over(shop)
        await shop.annotate(name, **{asked: "parcel 7"})
        await shop.becomes(name, phase, reason)
    assert await job_names(shop) == [f"{name} (going)"]


async def test_a_try_that_goes_elsewhere_stops_the_job(shop: Shop) -> None:
    """The route changed since: another backend gets the order once the Job that had it is gone, with its pods.

    An operator that is replaced meanwhile waits as well.
    """
    elsewhere: dict[str, Any] = {
        **JOB,
        "backend": "log",
        "routes": "- {when: {paymentLink: plink_1}, backend: job}",
        "backend_retry_max": timedelta(milliseconds=100),
    }
    async with at_work(shop, **JOB):
        name = await handed_over(shop)
    async with at_work(shop, **elsewhere):
        await shop.annotate(name, retry="elsewhere")
        waiting = await message(shop, name, Phase.FULFILLING, "BackendUnavailable")
        await asked_again(shop, times=3)
    async with at_work(shop, **elsewhere):
        await asked_again(shop, times=1)
        assert await job_names(shop) == [f"{name} (going)"]
        await collect(shop, name)
        request = await shop.becomes(name, Phase.FULFILLED)
    assert waiting == f"the Job {name} is being stopped first; it is tried again"
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert (request.status.fulfillment.backend, request.status.fulfillment.attempts) == ("log", 1)
    assert await job_names(shop) == []


async def asked_again(shop: Shop, *, times: int) -> None:
    """Wait until Stripe was asked about a Session so often, as at each try."""

    def asked() -> int:
        return sum(each.path.startswith("/v1/checkout/sessions/cs_") for each in shop.stripe.traffic.requests)

    enough = asked() + times
    async with asyncio.timeout(WITHIN):
        while asked() < enough:  # noqa: ASYNC110 - a stand-in is asked
            await asyncio.sleep(0.05)


@asynccontextmanager
async def backend(shop: Shop) -> AsyncIterator[JobBackend]:
    context = BackendContext(
        environ={name: value for name, value in WITH_REVERSALS.items() if name.isupper()},
        namespace=shop.namespace,
        deadline=timedelta(hours=72),
        http=shop.http,
        kubernetes=shop.api,
        clock=lambda: datetime.now(UTC),
    )
    async with job_backend(context) as made:
        assert isinstance(made, JobBackend)
        yield made


async def paid_order(shop: Shop, session_id: str = "cs_test_1", retry: str = "") -> PaidOrder:
    name = request_name(session_id)
    request = make_request(session_id=session_id)
    uid = (await shop.requests.get(name)).metadata.uid
    return PaidOrder(name, shop.namespace, request.spec.session, make_session(), uid=uid, retry=retry)


def refunded(order: PaidOrder) -> ReversalNotice:
    return ReversalNotice(ReversalKind.REFUNDED, f"{order.key}.refunded")


async def test_being_told_twice_makes_one_job(shop: Shop) -> None:
    """As an operator is that is killed before it wrote the status."""
    await shop.make("cs_test_1")
    order = await paid_order(shop)
    async with backend(shop) as job:
        assert isinstance(job, ReversalListener)
        outcomes = [await job.handle_reversal(order, refunded(order)) for _ in range(2)]
    assert outcomes == [Done(f"{order.key}-refunded")] * 2
    assert await job_names(shop) == [f"{order.key}-refunded"]


async def test_a_retry_with_the_value_of_an_earlier_one_is_rejected(shop: Shop) -> None:
    """That one's Job is there, and its end says nothing of this try; the Job that is still at work is stopped."""
    await shop.make("cs_test_1")
    begun = datetime.now(UTC)
    orders = [await paid_order(shop, retry=each) for each in "ab"]
    retries = [replace(each, earlier_try_at=begun - timedelta(minutes=1)) for each in orders]
    async with backend(shop) as job:
        first, again = [await job.fulfill(retries[0]) for _ in range(2)]  # an operator was killed in between
        assert isinstance(first, InProgress)
        assert isinstance(again, InProgress)
        assert again.reference == first.reference
        await end(shop, str(first.reference), "Failed", reason="BackoffLimitExceeded", message="limit")
        second = await job.fulfill(retries[1])
        assert isinstance(second, InProgress)
        reused = await job.fulfill(replace(retries[0], earlier_try_at=begun + timedelta(minutes=1)))
    assert reused == Rejected(
        f"the Job {first.reference} is of an earlier try with this value: ask for a try with another one"
    )
    assert await job_names(shop) == sorted([str(first.reference), f"{second.reference} (going)"])


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_job_whose_secret_is_refused_is_stopped(shop: Shop) -> None:
    """Its pods would wait for the order for as long as they may; the rejection says that it was not the Job."""
    await shop.make("cs_test_1")
    order = await paid_order(shop)
    items = tuple(LineItem(id=f"li_{each}", description="x" * 5000) for each in range(300))
    async with backend(shop) as job:
        rejected = await job.fulfill(replace(order, session=make_session(line_items=items)))
    assert isinstance(rejected, Rejected)
    assert rejected.error.startswith("the API server refuses the Secret that holds the order: ")
    assert "may not be more than 1048576 bytes" in rejected.error
    assert await job_names(shop) == [f"{order.key} (going)"]


async def test_a_person_ends_what_is_at_work(shop: Shop) -> None:
    """Of this order alone, and what ended stays. It says what it still waits for, and doing it again is no harm."""
    await shop.make("cs_test_1")
    await shop.make("cs_test_2")
    order, other = await paid_order(shop), await paid_order(shop, "cs_test_2")
    async with backend(shop) as job:
        assert isinstance(job, Stoppable)
        assert await job.stop(order.key, order.uid) is None
        await job.fulfill(order)
        await end(shop, order.key, "Failed", reason="BackoffLimitExceeded", message="limit")
        second = await job.fulfill(await paid_order(shop, retry="1"))
        assert isinstance(second, InProgress)
        await job.fulfill(other)
        await job.stop(order.key, "another's uid")
        assert await job_names(shop) == sorted([order.key, str(second.reference), other.key])
        going = InProgress(f"the Job {second.reference} is being stopped")
        assert [await job.stop(order.key, order.uid) for _ in range(2)] == [going, going]
    assert await job_names(shop) == sorted([order.key, f"{second.reference} (going)", other.key])


async def test_a_job_that_ends_just_then_is_not_deleted(shop: Shop) -> None:
    """What was seen at work may have completed since: it is looked at again."""
    await shop.make("cs_test_1")
    order = await paid_order(shop)
    async with backend(shop) as job:
        await job.fulfill(order)
        jobs = JobApi(shop.api, shop.namespace, timeout=5)
        seen = await jobs.read(order.key)
        assert seen
        await end(shop, order.key, "Complete")
        with pytest.raises(ConflictError, match=f"^the Job {order.key} changed while it was to be stopped$"):
            await jobs.stop(seen)
        assert await job_names(shop) == [order.key]
        await client.BatchV1Api(shop.api).delete_namespaced_job(
            order.key, shop.namespace, propagation_policy="Background"
        )
        await jobs.stop(seen)  # gone


async def test_what_rbac_forbids_is_tried_again(shop: Shop) -> None:
    """With words that tell what to do; nothing counts as stopped."""
    await shop.make("cs_test_1")
    order = await paid_order(shop)
    async with shop.control_plane.connect(User.SERVICE) as api:
        jobs = JobApi(api, shop.namespace, timeout=5)
        job = JobBackend(
            jobs,
            parse_template(TEMPLATE, "FULFILLMENT_JOB_TEMPLATE"),
            None,
            deadline=timedelta(hours=1),
            clock=lambda: datetime.now(UTC),
        )
        outcomes = [await job.stop(order.key, order.uid), await job.handle_reversal(order, refunded(order))]
    for each in outcomes:
        assert isinstance(each, TryAgain)
        assert each.error.startswith("RBAC forbids it: jobs.batch is forbidden: ")
