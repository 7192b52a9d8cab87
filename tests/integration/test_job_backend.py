"""The job backend under the operator, on a real API server. No controller runs Jobs here: the tests end them."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User, make_credentials
from fulfillment_local.fake_stripe.model import Order
from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError
from support.order_jobs import JOB, RULES, TEMPLATE, end, open_shop_with_jobs
from support.running_operator import ADDRESS, Shop, at_work, open_shop
from support.serving import serving

pytestmark = pytest.mark.usefixtures("crd")


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    async with open_shop_with_jobs(control_plane, namespace) as shop:
        yield shop


async def test_a_job_that_completes_fulfills_the_order(shop: Shop) -> None:
    """It has the order as a file that goes with it, and belongs to the request; its name is the reference."""
    async with at_work(shop, **JOB):
        name = await shop.sell(Order())
        waiting = await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        job = await client.BatchV1Api(shop.api).read_namespaced_job(name, shop.namespace)
        secret: Any = await client.CoreV1Api(shop.api).read_namespaced_secret(name, shop.namespace)
        await end(shop, name, "Complete")
        request = await shop.becomes(name, Phase.FULFILLED)
    assert waiting.status is not None
    assert waiting.status.message == f"the Job {name} is to fulfill it"
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert (request.status.fulfillment.reference, request.status.fulfillment.attempts) == (name, 1)
    assert job.metadata is not None
    (owner,) = job.metadata.owner_references or []
    assert (owner.kind, owner.name, owner.uid) == (names.KIND, name, request.metadata.uid)
    (goes_with,) = secret.metadata.owner_references
    assert (goes_with.kind, goes_with.uid) == ("Job", job.metadata.uid)
    (file,) = secret.data
    assert file == "order.json"
    assert "@" not in json.dumps(shop.api.sanitize_for_serialization(job))  # type: ignore[no-untyped-call] # the library's


async def test_an_operator_that_is_replaced_makes_no_second_job(shop: Shop) -> None:
    """Whether the first one wrote what it did or not: the name is the same."""
    async with at_work(shop, **JOB):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    await client.CustomObjectsApi(shop.api).patch_namespaced_custom_object_status(
        **ADDRESS,
        namespace=shop.namespace,
        name=name,
        body=[{"op": "remove", "path": "/status"}],
        _content_type="application/json-patch+json",
    )
    async with at_work(shop, **JOB):
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await end(shop, name, "Complete")
        await shop.becomes(name, Phase.FULFILLED)
    jobs = await client.BatchV1Api(shop.api).list_namespaced_job(shop.namespace)
    assert [each.metadata and each.metadata.name for each in jobs.items] == [name]


async def test_a_job_that_fails_is_a_rejection_and_another_try_is_another_job(shop: Shop) -> None:
    """With what Kubernetes says of it; another try has a Job of its own, and the first one stays for its log."""
    async with at_work(shop, **JOB):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await end(shop, name, "Failed", reason="BackoffLimitExceeded", message="Job has reached its limit")
        rejected = await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
        await shop.annotate(name, retry="after the fix")
        waiting = await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        assert waiting.status is not None
        assert waiting.status.fulfillment is not None
        second = waiting.status.fulfillment.reference
        assert second is not None
        await end(shop, second, "Complete")
        request = await shop.becomes(name, Phase.FULFILLED)
    assert rejected.status is not None
    assert rejected.status.message == (
        f"the Job {name} failed (BackoffLimitExceeded: Job has reached its limit): a person is needed"
    )
    assert second.startswith(f"{name}-")
    assert request.status is not None
    assert request.status.message == f"the backend job fulfilled the order as {second}"


async def test_the_last_lines_of_a_failed_job_stand_in_the_message(shop: Shop, kubelet: "Kubelet") -> None:
    """What its newest pod wrote last, as it stands, and not more than status can hold."""
    async with at_work(shop, **JOB):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await kubelet.run(shop, name)
        kubelet.log = "x" * 2000 + '\n{"error": "no such street"}\n'
        await end(shop, name, "Failed", reason="BackoffLimitExceeded", message="limit")
        rejected = await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
    assert rejected.status is not None
    assert rejected.status.message.startswith(f"the Job {name} failed (BackoffLimitExceeded: limit): …xxxx")
    assert rejected.status.message.endswith('x | {"error": "no such street"}: a person is needed')
    assert kubelet.asked == [(f"/containerLogs/{shop.namespace}/{name}-1/ship", {"tailLines": "20"})]
    assert rejected.status.fulfillment is not None
    assert len(rejected.status.fulfillment.last_error or "") == 1000


async def test_a_job_that_is_deleted_while_it_runs_is_not_made_again(shop: Shop) -> None:
    """Nobody knows what it did: a person must look."""
    async with at_work(shop, **JOB):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await client.BatchV1Api(shop.api).delete_namespaced_job(name, shop.namespace, propagation_policy="Background")
        rejected = await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
    assert rejected.status is not None
    assert rejected.status.message.startswith(f"the Job {name} was deleted before its end was seen")


async def test_another_ones_job_in_the_way_is_a_rejection(shop: Shop) -> None:
    """Its end says nothing of this order."""
    name = await shop.sell(Order())
    container = client.V1Container(name="x", image="x")
    pod = client.V1PodTemplateSpec(spec=client.V1PodSpec(restart_policy="Never", containers=[container]))
    job = client.V1Job(metadata=client.V1ObjectMeta(name=name), spec=client.V1JobSpec(template=pod))
    await client.BatchV1Api(shop.api).create_namespaced_job(shop.namespace, job)
    async with at_work(shop, **JOB):
        rejected = await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
    assert rejected.status is not None
    assert f"there is a Job named {name} that is not this order's" in rejected.status.message


@pytest.mark.parametrize("setting", ["FULFILLMENT_JOB_TEMPLATE", "FULFILLMENT_JOB_REVERSAL_TEMPLATE"])
@pytest.mark.parametrize(
    ("template", "message"),
    [
        (TEMPLATE.replace("image:", "imgae:"), 'unknown field "spec.template.spec.containers[0].imgae"'),
        (TEMPLATE.replace("name: ship", "name: Ship!"), "spec.template.spec.containers[0].name: Invalid value"),
    ],
)
async def test_a_template_that_the_api_server_refuses_is_found_at_start(
    shop: Shop, setting: str, template: str, message: str
) -> None:
    """By a dry run: nothing is made, and the line names the place."""
    with pytest.raises(SettingsError, match=rf"{setting} \(.+\): the API server refuses the Job: ") as rejected:
        async with at_work(shop, **JOB | {setting: template}):
            pass
    assert message in str(rejected.value)
    assert (await client.BatchV1Api(shop.api).list_namespaced_job(shop.namespace)).items == []


async def test_without_rights_it_does_not_start(control_plane: ControlPlane, namespace: str) -> None:
    """The line names what RBAC must allow."""
    async with open_shop(control_plane, namespace) as shop:
        with pytest.raises(AccessDeniedError, match="RBAC does not allow this process to create jobs"):
            async with at_work(shop, **JOB):
                pass


async def test_rights_that_are_taken_away_are_waited_for(shop: Shop, control_plane: ControlPlane) -> None:
    """The order waits with words that tell what to do, and goes on by itself."""
    async with at_work(shop, backend_retry_max=timedelta(seconds=1), **JOB):
        await take_rights(shop)
        name = await shop.sell(Order())
        waiting = await shop.becomes(name, Phase.FULFILLING, "BackendUnavailable")
        for rule in RULES:
            await control_plane.grant(User.OPERATOR, shop.namespace, [rule])
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    assert waiting.status is not None
    assert waiting.status.message.startswith("RBAC forbids it: jobs.batch is forbidden: ")


async def take_rights(shop: Shop) -> None:
    """Take away what concerns Jobs, and wait until the API server goes by it."""
    rbac = client.RbacAuthorizationV1Api(shop.api)
    roles = await rbac.list_namespaced_role(shop.namespace)
    for role in roles.items:
        if (
            role.metadata
            and role.metadata.name
            and any("batch" in (each.api_groups or []) for each in role.rules or [])
        ):
            await rbac.delete_namespaced_role_binding(role.metadata.name, shop.namespace)
    await shop.forbidden(verb="create", group="batch", resource="jobs")


class Kubelet:
    """What the API server asks for logs: one node, whose pods all wrote the same."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.log = ""
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.query)))
        return web.Response(text=self.log)

    async def run(self, shop: Shop, job: str) -> None:
        """Make a Job's pod, as its controller and the scheduler do."""
        core = client.CoreV1Api(shop.api)
        await core.create_namespaced_service_account(
            shop.namespace, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="default"))
        )
        meta = client.V1ObjectMeta(name=f"{job}-1", labels={"batch.kubernetes.io/job-name": job})
        container = client.V1Container(name="ship", image="shop/ship:7")
        spec = client.V1PodSpec(node_name=self.node, containers=[container], automount_service_account_token=False)
        await core.create_namespaced_pod(shop.namespace, client.V1Pod(metadata=meta, spec=spec))


@pytest.fixture
async def kubelet(shop: Shop, tmp_path: Any) -> AsyncIterator[Kubelet]:
    async with running_kubelet(shop, tmp_path) as kubelet:
        yield kubelet


@asynccontextmanager
async def running_kubelet(shop: Shop, folder: Any) -> AsyncIterator[Kubelet]:
    kubelet = Kubelet(f"node-of-{shop.namespace}")
    credentials = make_credentials(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(credentials.server_certificate, credentials.server_key)
    async with serving(web.get("/containerLogs/{path:.*}", kubelet.answer), tls=context) as url:
        core = client.CoreV1Api(shop.api)
        await core.create_node(client.V1Node(metadata=client.V1ObjectMeta(name=kubelet.node)))
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": urlsplit(url).port}},
        }
        await core.patch_node_status(kubelet.node, {"status": status})
        try:
            yield kubelet
        finally:
            await core.delete_node(kubelet.node)
