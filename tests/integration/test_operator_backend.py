"""The http backend under the operator: tried again, refused, given up; and how the operator starts and ends."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.model import Order
from fulfillment_local.programs import find_programs
from support.commands import fulfillment
from support.order_endpoint import order_endpoint
from support.running_operator import BEFORE_THE_YEAR_1, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")


@dataclass
class Endpoint:
    """A shop's own endpoint: gives these answers in turn, then the last for ever."""

    answers: list[int]
    headers: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers["webhook-id"])
        self.arrived.set()
        await self.release.wait()
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response({"reference": "order-7"}, status=status, headers=self.headers)

    def backend(self) -> dict[str, Any]:
        return {"backend": "http", "FULFILLMENT_HTTP_URL": self.url}


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint([200])
    endpoint.release.set()
    async with order_endpoint(endpoint.answer) as endpoint.url:
        yield endpoint
        endpoint.release.set()


async def test_the_backends_reference_is_kept(shop: Shop, endpoint: Endpoint) -> None:
    """What the shop calls the order stands in status, and in the message."""
    async with at_work(shop, **endpoint.backend()):
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.reference == "order-7"
    assert request.status.message == "the backend http fulfilled the order as order-7"
    assert endpoint.keys == [name]


async def test_a_passing_fault_is_tried_again_with_the_same_key(shop: Shop, endpoint: Endpoint) -> None:
    """The order shows as fulfilling meanwhile, with the tries counted; one PATCH each."""
    endpoint.answers = [503, 200]
    before = await shop.api_server_patches()
    async with at_work(shop, **endpoint.backend()) as operator:
        name = await shop.sell(Order())
        trying = await shop.becomes(name, Phase.FULFILLING, "BackendUnavailable")
        request = await shop.becomes(name, Phase.FULFILLED)
        attempts = "fulfillment_backend_attempts_total"
        assert await operator.metric(attempts, backend="http", result="try-again") == 1
        assert await operator.metric(attempts, backend="http", result="done") == 1
    assert trying.status is not None
    assert trying.status.message == "the endpoint answered 503; it is tried again"
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.attempts == 2
    assert endpoint.keys == [name, name]
    assert await shop.api_server_patches() - before == 2


async def test_retry_after_is_honoured_over_a_restart(shop: Shop, endpoint: Endpoint) -> None:
    """The time of the next try stands in status, so another operator keeps to it."""
    endpoint.answers, endpoint.headers = [429, 200], {"Retry-After": "3"}
    async with at_work(shop, **endpoint.backend()):
        name = await shop.sell(Order())
        trying = await shop.becomes(name, Phase.FULFILLING)
    async with at_work(shop, **endpoint.backend()):
        request = await shop.becomes(name, Phase.FULFILLED)
    assert trying.status is not None
    assert trying.status.fulfillment is not None
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.completed_at is not None
    assert trying.status.fulfillment.next_attempt_at is not None
    assert trying.status.fulfillment.next_attempt_at - trying.status.fulfillment.started_at >= timedelta(seconds=3)
    assert request.status.fulfillment.completed_at >= trying.status.fulfillment.next_attempt_at


async def test_an_order_that_decodes_no_more_is_handed_over_once(shop: Shop, endpoint: Endpoint) -> None:
    """What came of it is written, although the answer does not decode, and stands when the order decodes again."""
    level = "fulfillment_undecodable_requests"
    endpoint.release.clear()
    async with at_work(shop, **endpoint.backend()) as operator:
        name = await shop.sell(Order())
        await endpoint.arrived.wait()
        await shop.observed_at(name, BEFORE_THE_YEAR_1)
        await operator.reaches(1, level)
        endpoint.release.set()
        await operator.reaches(1, "fulfillment_transitions_total", phase="fulfilled", reason="Fulfilled")
        await operator.reaches(0, level)  # the watch leaves out what is fulfilled
        await shop.observed_at(name, None)
        await shop.becomes(name, Phase.FULFILLED)
        assert await operator.metric("fulfillment_unfinished_requests_deleted_total") == 0
        assert await operator.metric("fulfillment_reconcile_errors_total", error="unexpected") == 0
    assert endpoint.keys == [name]


async def test_an_order_that_decodes_no_more_is_let_be_until_it_does(shop: Shop, endpoint: Endpoint) -> None:
    """While the backend is away: it is tried again when the order decodes, and not before."""
    endpoint.answers = [503, 200]
    endpoint.release.clear()
    async with at_work(shop, **endpoint.backend(), backend_retry_max=timedelta(seconds=1)) as operator:
        name = await shop.sell(Order())
        await endpoint.arrived.wait()
        await shop.observed_at(name, BEFORE_THE_YEAR_1)
        await operator.reaches(1, "fulfillment_undecodable_requests")
        endpoint.release.set()
        await operator.reaches(1, "fulfillment_transitions_total", phase="fulfilling", reason="BackendUnavailable")
        other = await shop.sell(Order())
        await shop.becomes(other, Phase.FULFILLED)
        assert endpoint.keys == [name, other]
        await shop.observed_at(name, None)
        await shop.becomes(name, Phase.FULFILLED)
    assert endpoint.keys == [name, other, name]


async def test_a_refusal_is_for_good(shop: Shop, endpoint: Endpoint) -> None:
    """Failed, FulfillmentFailed, after one try; the payment stays paid."""
    endpoint.answers = [422]
    async with at_work(shop, **endpoint.backend()):
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
    assert request.status is not None
    assert request.status.message == "the endpoint refused the order with 422: a person is needed"
    assert endpoint.keys == [name]
    assert await shop.events(name) == [("Warning", "FulfillmentFailed")]


async def test_after_the_deadline_a_person_is_asked(shop: Shop, endpoint: Endpoint) -> None:
    """Tries end at the deadline."""
    endpoint.answers = [500]
    async with at_work(shop, backend_deadline=timedelta(seconds=2), **endpoint.backend()):
        request = await shop.becomes(await shop.sell(Order()), Phase.FAILED, "FulfillmentFailed")
    assert request.status is not None
    assert "attempts failed until the deadline, so a person is needed" in request.status.message
    assert len(endpoint.keys) >= 2


async def test_stopping_finishes_what_was_begun(shop: Shop, endpoint: Endpoint) -> None:
    """An order that the backend is working on is written before the operator ends."""
    endpoint.release.clear()
    async with at_work(shop, **endpoint.backend()):
        name = await shop.sell(Order())
        await endpoint.arrived.wait()
        asyncio.get_running_loop().call_later(0.3, endpoint.release.set)
    request = await shop.requests.get(name)
    assert request.status is not None
    assert request.status.phase is Phase.FULFILLED


async def test_kubectl_can_wait_for_an_order(shop: Shop) -> None:
    """`kubectl wait --for=condition=Fulfilled` understands the conditions."""
    async with at_work(shop):
        name = await shop.sell(Order())
        process = await asyncio.create_subprocess_exec(
            *(shop.control_plane.kubectl, "--kubeconfig", shop.control_plane.kubeconfigs[User.ADMIN]),
            *("--namespace", shop.namespace, "wait", "--for=condition=Fulfilled", f"fr/{name}", "--timeout=60s"),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert output.decode() == f"fulfillmentrequest.{GROUP}/{name} condition met\n"


async def run_operator(environ: dict[str, str]) -> tuple[int | None, str]:
    """Run the real command, and return its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        fulfillment(),
        "operator",
        env={
            "PATH": os.environ["PATH"],
            "FULFILLMENT_MANAGEMENT_PORT": "0",
            "FULFILLMENT_LOG_FORMAT": "console",
            **environ,
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, errors.decode()


async def test_a_new_api_key_is_taken_without_a_restart(shop: Shop, tmp_path: Path) -> None:
    """When the mounted Secret changes, the same process goes on with the new key, and the order with it."""
    key = tmp_path / "api-key"
    key.write_text("sk_test_revoked")
    name = await shop.sell(Order())
    process = await asyncio.create_subprocess_exec(
        fulfillment(),
        "operator",
        env={
            "PATH": os.environ["PATH"],
            "FULFILLMENT_MANAGEMENT_PORT": "0",
            "FULFILLMENT_NAMESPACE": shop.namespace,
            "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.OPERATOR]),
            "STRIPE_API_BASE": shop.stripe.url,
            "STRIPE_API_KEY_FILE": str(key),
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await shop.becomes(name, Phase.FULFILLING, "StripeMisconfigured")
        key.write_text(TEST_KEY)
        await shop.becomes(name, Phase.FULFILLED)
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_without_settings_it_does_not_start() -> None:
    """One line, exit code 78."""
    assert await run_operator({}) == (
        78,
        "Error: STRIPE_API_KEY (stripe.existingSecret) is not set: the secret or restricted API key: sk_… or rk_…\n",
    )


async def test_where_its_log_is_json_its_last_words_are(tmp_path: Path) -> None:
    """Also before there are settings: what collects lines finds when, how grave, what and why in each."""
    code, line = await run_operator({"FULFILLMENT_LOG_FORMAT": "json"})
    said = json.loads(line)
    assert [*said][:3] == ["timestamp", "level", "event"]
    assert (code, said["level"], said["event"], said["exit_code"]) == (78, "error", "process.failed", 78)
    assert said["message"].startswith("STRIPE_API_KEY (stripe.existingSecret) is not set: ")
    code, auto = await run_operator({"FULFILLMENT_LOG_FORMAT": "auto", "KUBECONFIG": str(tmp_path / "none")})
    assert (code, json.loads(auto)["event"]) == (78, "process.failed")


async def test_without_rights_it_does_not_start(control_plane: ControlPlane, namespace: str) -> None:
    """RBAC forbids: one line that names the right, exit code 77."""
    code, line = await run_operator(
        {
            "STRIPE_API_KEY": TEST_KEY,
            "KUBECONFIG": str(control_plane.kubeconfigs[User.NOBODY]),
            "FULFILLMENT_NAMESPACE": namespace,
        }
    )
    assert code == 77
    assert line == (
        f"Error: RBAC does not allow this process to get {PLURAL} in the namespace {namespace}: "
        "give its service account the Role of the chart\n"
    )


async def test_with_another_lease_than_its_own_it_does_not_start(shop: Shop) -> None:
    """The Role of the chart allows one Lease, by its name: the line names it."""
    code, line = await run_operator(
        {
            "STRIPE_API_KEY": TEST_KEY,
            "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.OPERATOR]),
            "FULFILLMENT_NAMESPACE": shop.namespace,
            "FULFILLMENT_LEASE_NAME": "another",
        }
    )
    assert code == 77
    assert line == (
        f"Error: RBAC does not allow this process to get leases named another in the namespace {shop.namespace}: "
        "give its service account the Role of the chart\n"
    )


async def test_without_an_api_server_it_does_not_start(tmp_path: Path, unused_tcp_port: int) -> None:
    """Nobody listens at the kubeconfig's address: one line, exit code 69."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        f"""
        apiVersion: v1
        kind: Config
        clusters: [{{name: here, cluster: {{server: "https://127.0.0.1:{unused_tcp_port}"}}}}]
        users: [{{name: me, user: {{token: "x"}}}}]
        contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
        current-context: here
        """
    )
    code, line = await run_operator({"STRIPE_API_KEY": TEST_KEY, "KUBECONFIG": str(kubeconfig)})
    assert code == 69
    assert line.startswith("Error: the Kubernetes API cannot be reached")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"KUBECONFIG": "/none"},
            "Error: KUBECONFIG names '/none', which is not there: set it to a kubeconfig file\n",
        ),
        (
            {"HOME": "/none"},
            "Error: no Kubernetes API to talk to: outside of a pod, set KUBECONFIG to a kubeconfig file\n",
        ),
    ],
)
async def test_without_a_kubeconfig_it_does_not_start(environ: dict[str, str], expected: str) -> None:
    """The file is not there, or none is named: one line, exit code 78."""
    assert await run_operator({"STRIPE_API_KEY": TEST_KEY, **environ}) == (78, expected)


async def test_with_a_broken_kubeconfig_it_does_not_start(tmp_path: Path) -> None:
    """The file is no kubeconfig: one line, exit code 78."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("clusters: []")
    code, line = await run_operator({"STRIPE_API_KEY": TEST_KEY, "KUBECONFIG": str(kubeconfig)})
    assert code == 78
    assert line.startswith("Error: no Kubernetes API to talk to: the kubeconfig is wrong: ")
    assert line.count("\n") == 1


async def test_without_the_crd_it_does_not_start() -> None:
    """A cluster without the CustomResourceDefinition: one line that says how to install it, exit code 78."""
    async with ControlPlane.running(find_programs(os.environ)) as bare:
        kubeconfig = str(bare.kubeconfigs[User.ADMIN])
        code, line = await run_operator({"STRIPE_API_KEY": TEST_KEY, "KUBECONFIG": kubeconfig})
    how = "install the chart, or run `fulfillment crd | kubectl apply -f -`"
    assert (code, line) == (78, f"Error: the cluster has no {PLURAL}.{GROUP}: {how}\n")
