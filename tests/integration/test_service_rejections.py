"""What the webhook service does not take, and what it does when the cluster does not take it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.aio import client
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from fulfillment_api.names import API_VERSION, GROUP, KIND, PLURAL, VERSION, request_name
from fulfillment_api.spec import Payment, PaymentStatus, Session, Spec
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_service.events.rules import EventRules
from fulfillment_service.http.metrics import WebhookMetrics
from fulfillment_service.http.senders import Sender
from fulfillment_service.http.webhook import Webhook
from fulfillment_service.request_store import RequestStore
from support.running_webhook import RULES, RunningWebhook, running_webhook, service_settings, sign
from support.stripe_events import SESSION, snapshot

NAME = request_name(SESSION["id"])
EVENT = json.dumps(snapshot())
TEN_MINUTES = 600


NO_ID = json.dumps(snapshot(session={"id": None}))
NO_SESSION = json.dumps(snapshot(session="none"))
NO_ACCOUNT = json.dumps(snapshot(account="no account"))


@pytest.fixture
async def impatient(
    control_plane: ControlPlane,
    namespace: str,
    crd: None,  # noqa: ARG001 - it must be there
) -> AsyncIterator[RunningWebhook]:
    """A service that waits for nothing longer than half a second, nor reads more than a kilobyte."""
    await control_plane.grant(User.SERVICE, namespace, [RULES])
    settings = service_settings(
        control_plane, namespace, deadline=timedelta(seconds=0.5), max_body_bytes=len(EVENT) + 100
    )
    async with running_webhook(control_plane, namespace, settings) as webhook:
        yield webhook


@pytest.mark.parametrize(
    ("body", "signed", "reason"),
    [
        ('{ "fake": "unsigned request" }', None, "no-signature"),  # the guide's own curl
        (EVENT, lambda: "", "no-signature"),
        (EVENT, lambda: "t=now,v1=00", "malformed-signature"),
        (EVENT, lambda: sign(EVENT, "whsec_other"), "wrong-signature"),
        (EVENT + " ", lambda: sign(EVENT), "wrong-signature"),
        (EVENT, lambda: sign(EVENT, age=TEN_MINUTES), "stale-signature"),
        (EVENT, lambda: sign(EVENT, age=-TEN_MINUTES), "future-signature"),
        (b"\xff", lambda: sign(EVENT), "not-utf8"),
        ("", lambda: sign(""), "not-json"),
        ("hello", lambda: sign("hello"), "not-json"),
        ("[]", lambda: sign("[]"), "not-an-object"),
        (NO_ID, lambda: sign(NO_ID), "no-session-id"),
        (NO_SESSION, lambda: sign(NO_SESSION), "no-session-id"),
        (NO_ACCOUNT, lambda: sign(NO_ACCOUNT), "invalid-account"),
    ],
)
async def test_what_is_no_event_of_stripes_is_answered_400(
    webhook: RunningWebhook, body: str | bytes, signed: Callable[[], str] | None, reason: str
) -> None:
    """With the reason, which is counted; and nothing is made. It is signed when it is sent, however long that takes."""
    sent = body if isinstance(body, bytes) else body.encode()
    status, answer = await webhook.post(sent, signed() if signed else None)
    assert (status, answer["error"]) == (400, reason)
    assert answer["detail"]
    assert await webhook.metric("fulfillment_webhook_rejections_total", reason=reason) == 1
    assert await webhook.metric("fulfillment_webhook_duration_seconds_count", status="400") == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/webhook", 405, "method-not-allowed"),
        ("PUT", "/webhook", 405, "method-not-allowed"),
        ("OPTIONS", "/webhook", 405, "method-not-allowed"),
        ("GET", "/", 404, "not-found"),
        ("POST", "/webhooks", 404, "not-found"),
        ("GET", "/metrics", 404, "not-found"),
        ("GET", "/schema", 404, "not-found"),
    ],
)
async def test_there_is_nothing_else_on_the_public_port(
    webhook: RunningWebhook, method: str, path: str, status: int, error: str
) -> None:
    """No metrics, no API description, no version."""
    async with webhook.http.request(method, f"http://localhost:{webhook.port}{path}") as response:
        assert (response.status, (await response.json())["error"]) == (status, error)
        assert "Server" not in response.headers


async def exchange(webhook: RunningWebhook, request: str) -> str:
    """Send the start of a request, and return all that comes until the service hangs up."""
    reader, writer = await asyncio.open_connection("localhost", webhook.port)
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


HEAD = "POST /webhook HTTP/1.1\r\nHost: shop.example\r\n"


@pytest.mark.parametrize(
    ("request_", "status_line", "error"),
    [
        (f"{HEAD}Content-Length: 1000000000\r\n\r\n", "HTTP/1.1 413 ", "too-large"),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n2000\r\n{' ' * 0x2000}\r\n", "HTTP/1.1 413 ", "too-large"),
        (f'{HEAD}Content-Length: 30\r\n\r\n{{"id": ', "HTTP/1.1 408 ", "too-slow"),
        (f'{HEAD}Transfer-Encoding: chunked\r\n\r\n7\r\n{{"id": \r\n', "HTTP/1.1 408 ", "too-slow"),
        ("POST /webhook HTTP/1.1\r\nHost: shop.exa", "", ""),
        ("", "", ""),
        ("hello\r\n\r\n", "HTTP/1.1 400 ", "Invalid HTTP request"),
    ],
)
async def test_a_sender_can_bind_neither_memory_nor_a_connection(
    impatient: RunningWebhook, request_: str, status_line: str, error: str
) -> None:
    """Too much is rejected before it is read, too slow after the deadline, and then the connection ends."""
    async with asyncio.timeout(60):
        answer = await exchange(impatient, request_)
    assert answer.startswith(status_line)
    assert error in answer
    if error in {"too-large", "too-slow"}:
        assert await impatient.metric("fulfillment_webhook_rejections_total", reason=error) == 1


@pytest.mark.parametrize("head", [HEAD, "POST /", f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n0\r\n"])
@pytest.mark.parametrize("filling", ["X", "X-Filling: none\r\n"])
async def test_a_head_without_end_is_hung_up_on(webhook: RunningWebhook, head: str, filling: str) -> None:
    """As it comes, or after a body as its trailer: else one connection could fill gigabytes before the deadline."""

    async def fill() -> None:
        for _ in range(1000):
            writer.write(filling.encode() * 10_000)
            await writer.drain()

    _, writer = await asyncio.open_connection("localhost", webhook.port)
    writer.write(head.encode())
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(fill(), timeout=8)  # the deadline is later
    writer.close()
    assert (await webhook.send(snapshot()))[0] == 200


async def test_large_bodies_are_held_a_few_at_a_time(webhook: RunningWebhook) -> None:
    """Anybody can send them: they fill no memory, and no ordinary event waits for them, but only another large one."""
    unfinished = f"{HEAD}Content-Length: 1000000\r\n\r\n{' ' * 100_000}".encode()
    senders = [(await asyncio.open_connection("localhost", webhook.port))[1] for _ in range(20)]
    for sender in senders:
        sender.write(unfinished)
    while await webhook.metric("fulfillment_webhook_in_flight") != len(senders):
        pass
    body = EVENT + " " * 100_000
    large = asyncio.create_task(webhook.post(body.encode(), sign(body)))
    for number in range(10):
        assert (await webhook.send(snapshot(session={"id": f"cs_test_{number}"})))[0] == 200
    assert not large.done()
    for sender in senders:
        sender.close()
    assert (await large)[0] == 200


async def test_a_sender_who_hangs_up_is_no_fault_of_ours(webhook: RunningWebhook) -> None:
    """It is counted as a rejection, and not as a failure."""
    _, writer = await asyncio.open_connection("localhost", webhook.port)
    writer.write(f"{HEAD}Content-Length: 1000\r\n\r\n{{".encode())
    writer.close()
    async with asyncio.timeout(60):
        while await webhook.metric("fulfillment_webhook_rejections_total", reason="cut-off") != 1:
            pass
    assert await webhook.metric("fulfillment_webhook_duration_seconds_count", status="500") == 0


async def sent_again(webhook: RunningWebhook) -> int:
    """Send an event until it is not put off, as Stripe does: half a second may be too short for an API server."""
    async with asyncio.timeout(60):
        while (status := (await webhook.send(snapshot()))[0]) == 503:
            pass
    return status


async def test_a_hanging_api_server_is_answered_503_in_time(
    impatient: RunningWebhook, control_plane: ControlPlane
) -> None:
    """The buyer is not kept waiting, and Stripe sends the event again: then it is recorded."""
    with control_plane.hanging(), capture_logs() as logs:
        began = time.monotonic()
        status, answer = await impatient.send(snapshot())
        took = time.monotonic() - began
    assert (status, answer["error"]) == (503, "unavailable")
    assert took < 9
    (line,) = logs
    assert (line["event"], line["request"], line["session"]) == ("webhook.not_recorded", NAME, SESSION["id"])
    assert line["message"] == "the Kubernetes API did not answer in time"
    labels = {"type": "checkout.session.completed", "outcome": "unavailable"}
    assert await impatient.metric("fulfillment_webhook_events_total", **labels) == 1
    assert await sent_again(impatient) == 200


async def test_a_short_hiccup_of_the_api_server_is_waited_out(
    webhook: RunningWebhook, control_plane: ControlPlane
) -> None:
    """Events that come meanwhile are recorded once it goes on."""
    events = [snapshot(session={"id": f"cs_test_{number}"}) for number in range(20)]
    with control_plane.hanging():
        sending = [asyncio.create_task(webhook.send(event)) for event in events]
        while await webhook.metric("fulfillment_webhook_in_flight") != len(events):
            pass
    answers = await asyncio.gather(*sending)
    assert [(status, answer["result"]) for status, answer in answers] == [(200, "created")] * len(events)


async def test_an_api_server_that_is_down_is_answered_503(
    impatient: RunningWebhook, control_plane: ControlPlane
) -> None:
    """Nothing is acknowledged that nobody holds."""
    async with control_plane.down():
        status, answer = await impatient.send(snapshot())
        assert (status, answer["error"]) == (503, "unavailable")
        assert "Kubernetes" not in answer["detail"]  # the cluster is nobody's business
    assert await sent_again(impatient) == 200


async def take_rights_away(webhook: RunningWebhook, control_plane: ControlPlane, namespace: str) -> None:
    """Let RBAC allow the service nothing, and wait until the API server goes by that."""
    async with control_plane.connect() as api:
        await client.RbacAuthorizationV1Api(api).delete_collection_namespaced_role_binding(namespace)
    async with asyncio.timeout(60):
        while (await webhook.send(snapshot()))[0] == 200:
            pass


async def test_forbidding_rbac_is_answered_503(
    webhook: RunningWebhook, control_plane: ControlPlane, namespace: str
) -> None:
    """A person can mend it while Stripe keeps sending: the log says how."""
    await take_rights_away(webhook, control_plane, namespace)
    with capture_logs() as logs:
        status, answer = await webhook.send(snapshot())
    assert (status, answer["error"]) == (503, "blocked")
    (line,) = logs
    assert (line["event"], line["log_level"], line["request"]) == ("webhook.not_recorded", "error", NAME)
    assert line["message"].startswith("RBAC forbids it: ")
    assert line["message"].endswith("; the chart has a Role that allows it")


async def test_what_an_api_server_forbids_that_has_just_started_is_waited_out(
    webhook: RunningWebhook, control_plane: ControlPlane, namespace: str
) -> None:
    """It forbids all until it has read its roles: the event is recorded then, and nobody is sent to mend them.

    The Role stays, and its binding alone is made again: the service waits it out for no longer than two seconds.
    """
    async with control_plane.connect() as api:
        rbac = client.RbacAuthorizationV1Api(api)
        (binding,) = (await rbac.list_namespaced_role_binding(namespace)).items
        await take_rights_away(webhook, control_plane, namespace)
        binding.metadata = client.V1ObjectMeta(name="late")
        with capture_logs() as logs:
            sending = asyncio.create_task(webhook.send(snapshot(session={"id": "cs_test_late"})))
            while await webhook.metric("fulfillment_webhook_in_flight") != 1:
                pass
            await rbac.create_namespaced_role_binding(namespace, binding)
            status, answer = await sending
    assert (status, answer["result"]) == (200, "created")
    assert [line["event"] for line in logs] == ["webhook.recorded"]


async def test_what_else_the_api_server_forbids_is_answered_503(
    webhook: RunningWebhook, control_plane: ControlPlane, namespace: str
) -> None:
    """A quota, an admission webhook, or as here a namespace that is being deleted: no Role would help."""
    async with control_plane.connect() as api:
        await client.CoreV1Api(api).delete_namespace(namespace)
    with capture_logs() as logs:
        status, answer = await webhook.send(snapshot())
    assert (status, answer["error"]) == (503, "blocked")
    (line,) = logs
    assert line["message"] == (
        f'the Kubernetes API forbids it: {PLURAL}.{GROUP} "{NAME}" is forbidden: unable to create new content in '
        f"namespace {namespace} because it is being terminated"
    )


async def test_what_nobody_signed_is_told_once_a_minute_and_counted_each_time(webhook: RunningWebhook) -> None:
    """Anybody can send it, at any rate; of what Stripe signed each one is told."""
    with capture_logs() as logs:
        for _ in range(3):
            assert (await webhook.post(EVENT.encode()))[0] == 400
            assert (await webhook.post(NO_ID.encode(), sign(NO_ID)))[0] == 400
    assert [line["reason"] for line in logs] == ["no-signature", *["no-session-id"] * 3]
    assert await webhook.metric("fulfillment_webhook_rejections_total", reason="no-signature") == 3


async def test_an_object_in_the_way_is_answered_503(webhook: RunningWebhook) -> None:
    """Someone made a request by hand, with this order's name but for another Session: the order is not lost."""
    stranger = Session(id="cs_test_stranger", livemode=False)
    await webhook.requests.create(NAME, Spec(session=stranger, payment=Payment(status=PaymentStatus.UNPAID)))
    with capture_logs() as logs:
        status, answer = await webhook.send(snapshot())
    assert (status, answer["error"]) == (503, "blocked")
    (line,) = logs
    assert line["message"] == (
        f"the name {NAME} belongs to {SESSION['id']}, but the object of that name is about cs_test_stranger: "
        "it was not made by this service; delete it"
    )
    assert (await webhook.stored(NAME)).spec.session == stranger


async def test_an_object_that_makes_no_sense_is_answered_503(
    webhook: RunningWebhook, control_plane: ControlPlane, namespace: str
) -> None:
    """Valid by its schema, and yet no time that there ever was: the event is not acknowledged, and the log says why."""
    payment = {"status": "unpaid", "observedAt": "0000-01-01T00:00:00Z"}
    poison = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": NAME},
        "spec": {"session": {"id": SESSION["id"], "livemode": False}, "payment": payment},
    }
    async with control_plane.connect() as api:
        await client.CustomObjectsApi(api).create_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, poison)
    with capture_logs() as logs:
        status, answer = await webhook.send(snapshot())
    assert (status, answer["error"]) == (503, "blocked")
    (line,) = logs
    assert line["message"].startswith(f"{NAME} cannot be read (Invalid RFC3339 encoded datetime")


async def test_an_unexpected_fault_is_answered_500(control_plane: ControlPlane) -> None:
    """Stripe is told that it was not taken, and the log has the traceback."""

    async def broken() -> bytes:
        raise ZeroDivisionError

    async with control_plane.connect() as api:
        webhook = Webhook(
            store=RequestStore(
                requests=FulfillmentRequestClient(LibraryRestClient(api), "default", timeout=1.0),
                semaphore=asyncio.Semaphore(1),
                random=lambda: 0.5,
            ),
            metrics=WebhookMetrics(CollectorRegistry(), started_at=0),
            secrets=(),
            tolerance=timedelta(minutes=5),
            rules=EventRules(),
            deadline=timedelta(seconds=1),
            clock=lambda: datetime.now(UTC),
        )
        with capture_logs() as logs:
            answer = await webhook.answer(broken, None, Sender("127.0.0.1"))
    assert (answer.status, answer.body["error"]) == (500, "internal")
    (line,) = logs
    assert (line["event"], line["log_level"], line["exc_info"]) == ("webhook.failed", "error", True)


async def test_every_alertable_series_exists_at_zero_from_the_start(webhook: RunningWebhook) -> None:
    """A series that is born at 1 has no increase, so its alert would miss the first event."""
    names = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
    for kind in (*names, "checkout.session.async_payment_failed"):
        for outcome in ("created", "updated", "unchanged", "unavailable", "blocked", "livemode", "account"):
            assert await webhook.metric("fulfillment_webhook_events_total", type=kind, outcome=outcome) == 0
    assert await webhook.metric("fulfillment_webhook_rejections_total", reason="wrong-signature") == 0
    for status in ("200", "400", "403", "408", "413", "500", "503"):
        assert await webhook.metric("fulfillment_webhook_duration_seconds_count", status=status) == 0
    assert await webhook.metric("fulfillment_build_info", version="0.1.0") == 1


async def test_an_event_moves_the_metrics(webhook: RunningWebhook) -> None:
    """Its count, its duration, and when the last one came."""
    began = time.time()
    assert await webhook.metric("fulfillment_webhook_last_event_timestamp_seconds") == pytest.approx(began, abs=60)
    await webhook.send(snapshot())
    labels = {"type": "checkout.session.completed", "outcome": "created"}
    assert await webhook.metric("fulfillment_webhook_events_total", **labels) == 1
    assert await webhook.metric("fulfillment_webhook_duration_seconds_count", status="200") == 1
    last: Any = await webhook.metric("fulfillment_webhook_last_event_timestamp_seconds")
    assert last >= began
    assert await webhook.metric("fulfillment_webhook_in_flight") == 0
