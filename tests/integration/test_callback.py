"""An endpoint that takes an order with 202 and calls back: both workloads, on a real API server, over real sockets."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from fulfillment_api.names import request_name
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import ConditionType, Fulfillment, Phase, Reason
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import AfterPayment, Order
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.settings import Secret
from fulfillment_service.http.callback import Callbacks
from fulfillment_service.http.metrics import CallbackMetrics
from fulfillment_service.request_store import RequestStore
from support.builders import make_status
from support.order_endpoint import order_endpoint
from support.repository import ROOT
from support.running_operator import WITHIN, Shop, at_work
from support.running_webhook import RULES, RunningWebhook, running_webhook, service_settings

pytestmark = pytest.mark.usefixtures("crd")

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
UNKNOWN = request_name("cs_test_unknown")


@dataclass
class SlowShop:
    """A shop's own endpoint, which takes each order with 202, and later says what became of it."""

    webhook: RunningWebhook
    operator: dict[str, Any]
    """The operator's settings."""
    keys: list[str] = field(default_factory=list)
    done_at: int | None = None
    """Which of its orders it calls back about as done before it answers: the first is 1."""
    early: list[tuple[int, str]] = field(default_factory=list)
    """How those callbacks were answered."""

    async def take(self, request: web.Request) -> web.StreamResponse:
        Webhook(SECRET).verify(await request.read(), dict(request.headers))
        self.keys.append(request.headers["webhook-id"])
        if len(self.keys) == self.done_at:
            self.early.append(await self.call_back(self.keys[-1], {"result": "done"}))
        return web.json_response({"reference": "order-7"}, status=202)

    async def call_back(
        self, name: str, body: dict[str, str] | bytes, *, secret: str = SECRET, key: str | None = None
    ) -> tuple[int, str]:
        """Call back as the docs say; return the status, and the result or error in the answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        now = datetime.now(UTC)
        headers = {
            "webhook-id": key or name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(key or name, now, data.decode()),
        }
        url = f"http://localhost:{self.webhook.port}/callback/{name}"
        async with self.webhook.http.post(url, data=data, headers=headers) as response:
            answer = await response.json()
            return response.status, answer.get("result") or answer["error"]


@pytest.fixture
async def slow(control_plane: ControlPlane, namespace: str, request: pytest.FixtureRequest) -> AsyncIterator[SlowShop]:
    """Run a service that knows the shop's secret; a parameter is the deadline of its answers."""
    await control_plane.grant(User.SERVICE, namespace, [RULES])
    deadline = getattr(request, "param", timedelta(seconds=9))
    settings = service_settings(
        control_plane, namespace, http_secret=Secret(SECRET), deadline=deadline, max_body_bytes=2048
    )
    async with AsyncExitStack() as stack:
        webhook = await stack.enter_async_context(running_webhook(control_plane, namespace, settings))
        slow = SlowShop(webhook, {})
        url = await stack.enter_async_context(order_endpoint(slow.take))
        slow.operator = {"backend": "http", "FULFILLMENT_HTTP_URL": url, "FULFILLMENT_HTTP_SECRET": SECRET}
        yield slow


async def test_the_callback_fulfills_the_order(shop: Shop, slow: SlowShop) -> None:
    """One POST, over a restart of the operator, too; then the callback's result; a repeated one is answered 200."""
    async with at_work(shop, **slow.operator):
        name = await shop.sell(Order())
        waiting = await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    async with at_work(shop, **slow.operator):
        assert await slow.call_back(name, {"result": "done", "reference": "parcel-9"}) == (200, "recorded")
        request = await shop.becomes(name, Phase.FULFILLED)
    assert await slow.call_back(name, {"result": "done", "reference": "parcel-9"}) == (200, "unchanged")
    assert await slow.call_back(name, {"result": "rejected"}) == (409, "ended")
    assert waiting.status is not None
    assert waiting.status.message == "the endpoint took the order, and is to call back when it is done"
    assert waiting.status.fulfillment is not None
    assert waiting.status.fulfillment.reference == "order-7"
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.reference == "parcel-9"
    assert request.status.fulfillment.attempts == 1
    assert slow.keys == [name]
    assert await slow.webhook.metric("fulfillment_callbacks_total", outcome="recorded") == 1
    assert await slow.webhook.metric("fulfillment_callbacks_total", outcome="unchanged") == 1
    assert await slow.webhook.metric("fulfillment_callback_duration_seconds_count") == 3


async def test_a_callback_may_reject_and_a_person_may_ask_again(shop: Shop, slow: SlowShop) -> None:
    """Failed, with the callback's words; the next try is a POST of its own, with the same key and its own callback."""
    async with at_work(shop, **slow.operator):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        assert await slow.call_back(name, {"result": "rejected", "message": "sold out"}) == (200, "recorded")
        rejected = await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
        await shop.annotate(name, retry="again")
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        assert await slow.call_back(name, {"result": "done"}) == (200, "recorded")
        request = await shop.becomes(name, Phase.FULFILLED)
    assert rejected.status is not None
    assert rejected.status.message == "the endpoint took the order, and then rejected it: sold out: a person is needed"
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.reference == "order-7"
    assert slow.keys == [name, name]


async def test_a_callback_before_the_answer_to_a_retry_is_sent_again(shop: Shop, slow: SlowShop) -> None:
    """The order still shows the try before: what were recorded now would be taken for one about that, and dropped."""
    slow.done_at = 2
    async with at_work(shop, **slow.operator):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await slow.call_back(name, {"result": "rejected"})
        await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
        await shop.annotate(name, retry="again")
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        assert slow.early == [(409, "not-dispatched")]
        assert await slow.call_back(name, {"result": "done"}) == (200, "recorded")
        await shop.becomes(name, Phase.FULFILLED)
    assert slow.keys == [name, name]


async def test_a_callback_after_the_deadline_still_counts(shop: Shop, slow: SlowShop) -> None:
    """The order failed meanwhile, so that a person knows; it is not handed over again."""
    async with at_work(shop, backend_deadline=timedelta(seconds=2), **slow.operator):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
        assert await slow.call_back(name, {"result": "done"}) == (200, "recorded")
        await shop.becomes(name, Phase.FULFILLED)
    assert slow.keys == [name]


async def test_what_is_not_taken(shop: Shop, slow: SlowShop) -> None:
    """Each has its status and its reason, which is counted, and nothing is written."""
    name = await shop.sell(Order())
    done = {"result": "done"}
    answers = [
        await slow.call_back(name, done),
        await slow.call_back(name, done, secret="whsec_AAAA"),
        await slow.call_back(name, done, key=UNKNOWN),
        await slow.call_back(UNKNOWN, done),
        await slow.call_back(name, b"[]"),
        await slow.call_back(name, b" " * 4096),
    ]
    expected = [
        (409, "not-dispatched"),
        (401, "wrong-signature"),
        (401, "another-order"),
        (404, "unknown-order"),
        (400, "malformed"),
        (413, "too-large"),
    ]
    assert expected == answers
    for _, outcome in expected:
        assert await slow.webhook.metric("fulfillment_callbacks_total", outcome=outcome) == 1
    assert (await shop.requests.get(name)).metadata.generation == 1


async def test_a_rejected_callback_is_shown_until_one_is_believed(shop: Shop, slow: SlowShop) -> None:
    """In status, and as an Event, once: whoever sends the wrong ones can do no more. The order waits on."""
    secret = "FULFILLMENT_HTTP_SECRET (backend.http.existingSecret)"
    wrong = f"the signature is not by {secret}: the same secret signs orders and callbacks"
    async with at_work(shop, **slow.operator):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        assert await slow.call_back(name, {"result": "done"}, secret="whsec_AAAA") == (401, "wrong-signature")
        message = f"a callback was rejected: {wrong}"
        assert await shop.says(name, ConditionType.CALLBACK_ACCEPTED, message) == ("False", "CallbackRejected")
        before = await shop.requests.get(name)
        assert await slow.call_back(name, b"[]") == (400, "malformed")
        assert (await shop.requests.get(name)).spec == before.spec
        assert await slow.call_back(name, {"result": "done"}) == (200, "recorded")
        request = await shop.becomes(name, Phase.FULFILLED)
    assert (await shop.events(name)).count(("Warning", "CallbackRejected")) == 1
    assert request.status
    found = request.status.condition(ConditionType.CALLBACK_ACCEPTED)
    assert found
    assert (found.status, found.reason) == ("True", "CallbackAccepted")


@pytest.mark.parametrize("slow", [timedelta(seconds=1)], indirect=True, ids=["within a second"])
async def test_while_the_api_server_hangs_it_is_answered_503_in_time(
    shop: Shop, slow: SlowShop, control_plane: ControlPlane
) -> None:
    """Nothing that was not recorded is acknowledged: the same callback, sent again, is taken."""
    async with at_work(shop, **slow.operator):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    with control_plane.hanging():
        assert await slow.call_back(name, {"result": "done"}) == (503, "unavailable")
        assert await slow.call_back(name, {"result": "done"}, secret="whsec_AAAA") == (401, "wrong-signature")
    async with asyncio.timeout(WITHIN):
        while (answer := await slow.call_back(name, {"result": "done"})) == (503, "unavailable"):
            pass
    assert answer in {(200, "recorded"), (200, "unchanged")}  # the one before may have come too late for its answer


async def test_a_refund_of_which_no_event_came_stops_what_waits_for_a_callback(shop: Shop, slow: SlowShop) -> None:
    """An order that waits is asked of Stripe again, at a slow pace, until its deadline."""
    async with at_work(shop, recheck_interval=timedelta(seconds=1), **slow.operator):
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        shop.stripe.world.play_after_payment(request.spec.session.id, AfterPayment.REFUNDED)
        await shop.becomes(name, Phase.FAILED, "Refunded")
    assert slow.keys == [name, f"{name}.refunded"]


async def test_callbacks_at_once_are_recorded_once(shop: Shop, slow: SlowShop) -> None:
    """Each is answered 200, whoever was first."""
    async with at_work(shop, **slow.operator):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    answers = await asyncio.gather(*(slow.call_back(name, {"result": "done"}) for _ in range(8)))
    assert [(200, "recorded"), *[(200, "unchanged")] * 7] == sorted(answers)


async def test_without_a_secret_there_is_no_such_endpoint(webhook: RunningWebhook) -> None:
    """Nobody could show that they may call back."""
    async with webhook.http.post(f"http://localhost:{webhook.port}/callback/{UNKNOWN}", data=b"{}") as response:
        assert response.status == 404


def make_callbacks(
    requests: FulfillmentRequestClient, clock: Callable[[], datetime], registry: CollectorRegistry
) -> Callbacks:
    return Callbacks(
        store=RequestStore(requests=requests, semaphore=asyncio.Semaphore(1), random=lambda: 0.5),
        metrics=CallbackMetrics(registry),
        secret=Secret(SECRET),
        tolerance=timedelta(minutes=5),
        deadline=timedelta(seconds=9),
        clock=clock,
    )


async def unsigned() -> bytes:
    return b"{}"


async def test_a_clock_that_is_set_back_keeps_no_rejected_callback_from_showing(shop: Shop) -> None:
    """What was rejected before it was set back, of another order, seems to be of the future."""
    now = utc_now()
    fulfillment = Fulfillment(backend="http", attempts=1, started_at=now, accepted_at=now)
    status = replace(make_status(Phase.FULFILLING, Reason.DISPATCHED), fulfillment=fulfillment)
    name = await shop.make("cs_test_1", PaymentStatus.PAID)
    await shop.requests.patch_status(name, status)
    times = [now, now - timedelta(hours=1)]
    callbacks = make_callbacks(shop.requests, lambda: times[0], CollectorRegistry())
    await callbacks.answer(unsigned, UNKNOWN, {}, Secret(SECRET))
    del times[0]
    await callbacks.answer(unsigned, name, {}, Secret(SECRET))
    assert (await shop.requests.get(name)).spec.rejected_callback is not None


async def test_what_nobody_signed_is_told_once_a_minute_and_counted_each_time(slow: SlowShop) -> None:
    """Anybody can send it, at any rate."""
    url = f"http://localhost:{slow.webhook.port}/callback/{UNKNOWN}"
    with capture_logs() as logs:
        for _ in range(3):
            async with slow.webhook.http.post(url, data=b"{}") as response:
                assert response.status == 401
        assert await slow.call_back(UNKNOWN, b"[]") == (400, "malformed")
        assert await slow.call_back(UNKNOWN, b"[]") == (400, "malformed")
    reasons = [line["reason"] for line in logs if line["event"] == "callback.rejected"]
    assert reasons == ["no-signature", "malformed", "malformed"]
    assert await slow.webhook.metric("fulfillment_callbacks_total", outcome="no-signature") == 3


async def test_an_unexpected_fault_is_answered_500(control_plane: ControlPlane) -> None:
    """The backend is told that it was not recorded, and the log has the traceback."""

    async def broken() -> bytes:
        raise ZeroDivisionError

    registry = CollectorRegistry()
    async with control_plane.connect() as api:
        requests = FulfillmentRequestClient(LibraryRestClient(api), "default", timeout=1.0)
        callbacks = make_callbacks(requests, lambda: datetime.now(UTC), registry)
        with capture_logs() as logs:
            answer = await callbacks.answer(broken, UNKNOWN, {}, Secret(SECRET))
    assert (answer.status, answer.body["error"]) == (500, "internal")
    (line,) = logs
    assert (line["event"], line["log_level"], line["exc_info"]) == ("callback.failed", "error", True)
    assert registry.get_sample_value("fulfillment_callbacks_total", {"outcome": "internal"}) == 1


async def test_the_callback_of_the_docs_is_accepted(shop: Shop, slow: SlowShop) -> None:
    """The block of docs/http-backend.md, by a shell, openssl and curl: with the order's own key it ends the wait."""
    page = (ROOT / "docs/http-backend.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(KEY=.*?)^```$", page, re.MULTILINE | re.DOTALL)
    async with at_work(shop, **slow.operator):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-euc", re.sub("cs-[a-z2-7]{26}", name, block).replace("curl ", "curl --silent --fail ")),
            env={"PATH": os.environ["PATH"], "WEBHOOK_URL": f"http://localhost:{slow.webhook.port}"},
        )
        assert await shell.wait() == 0
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.reference == "parcel-9"
