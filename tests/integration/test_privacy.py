"""No secret and no personal data stands in a log line, a metric, an object or an Event, whatever goes wrong."""

import io
import logging
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
import structlog
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL, VERSION, request_name
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.control import sent_event
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement
from fulfillment_local.fake_stripe.traffic import Fail
from fulfillment_local.flaws import Flaw
from fulfillment_local.webhook_sender import Webhook, delivery_of
from fulfillment_runtime.commands.json_lines import json_lines
from fulfillment_runtime.logs import configure_logs
from fulfillment_runtime.settings import LogFormat, LogLevel
from fulfillment_service.main import running_service
from support.running_operator import ADDRESS, Shop, at_work, open_shop
from support.running_webhook import RULES as SERVICE_RULES
from support.running_webhook import SECRET, service_settings

pytestmark = pytest.mark.usefixtures("crd")

NOTED = {"customer_email": "ada@shop.example", "customer_name": "Ada Example", "order_id": "2542"}
"""What a shop wrote into a Session's metadata: keys that only a setting could tell are personal."""


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    await control_plane.grant(User.SERVICE, namespace, [SERVICE_RULES])
    async with open_shop(control_plane, namespace) as shop:
        yield shop


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Everything that is logged, at the level that tells most."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logs(LogLevel.DEBUG, LogFormat.JSON, stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_personal_data_stays_where_it_belongs(shop: Shop, logs: io.StringIO, unused_tcp_port: int) -> None:
    """Orders that are fulfilled, that fail, whose mail is refused, whose backend is away; forged and broken events."""
    world = shop.stripe.world
    paid, completed = world.play(Order(metadata=NOTED, client_reference_id="ref-ada@shop.example"))
    failed, started = world.play(Order(outcome=Outcome.UNPAID))
    settled = world.settle(failed.id, Settlement.FAILED)
    shop.mailbox.trouble.refused.add(failed.buyer.email)
    shop.stripe.faults.set([Fail(status=500, times=2)])
    nowhere = f"http://127.0.0.1:{unused_tcp_port}/orders"
    async with (
        running_service(service_settings(shop.control_plane, shop.namespace)) as service,
        at_work(shop, backend="http", FULFILLMENT_HTTP_URL=nowhere) as operator,
    ):
        url = f"http://localhost:{service.webhook_port}/webhook"
        bodies = [bytes(sent_event(event).snapshot) for event in (completed, started, settled) if event is not None]
        bodies.append(b'{"customer_details": {"email": "' + paid.buyer.email.encode() + b'"}')  # no JSON
        for flaw in (Flaw.BAD_SIGNATURE, None):
            webhook = Webhook(url=url, secrets=(SECRET,), http=shop.http, flaw=flaw)
            await webhook.post([delivery_of(body) for body in bodies])
        await shop.becomes(request_name(failed.id), Phase.FAILED, "PaymentFailed")
        await shop.becomes(request_name(paid.id), Phase.FULFILLING, "BackendUnavailable")
        seen = logs.getvalue()
        for port in (service.management_port, int(operator.url.rpartition(":")[2])):
            async with shop.http.get(f"http://localhost:{port}/metrics") as response:
                seen += await response.text()
    objects = await client.CustomObjectsApi(shop.api).list_namespaced_custom_object(**ADDRESS, namespace=shop.namespace)
    events = await client.CoreV1Api(shop.api).list_namespaced_event(shop.namespace)
    seen += msgspec.json.encode(objects).decode() + str(events)
    seen += await exported(shop) + await printed(shop)
    for buyer in (paid.buyer, failed.buyer):
        for datum in (buyer.name, buyer.email, buyer.phone, buyer.line1, buyer.postal_code):
            assert datum not in seen
    for noted in (*NOTED, *NOTED.values(), "ref-ada@shop.example"):
        assert noted not in seen
    assert SECRET not in seen
    assert TEST_KEY not in seen
    for told in (
        request_name(paid.id),
        paid.id,
        "MailRejected",
        "the mail server refused the customer's address with 550",
    ):
        assert told in seen


async def test_what_the_settings_name_is_stored_and_nothing_else(shop: Shop) -> None:
    """A shop that knows what it wrote may see it: that key, the client reference, and no other key."""
    _, completed = shop.stripe.world.play(Order(metadata=NOTED, client_reference_id="cart-17"))
    assert completed is not None
    settings = service_settings(
        shop.control_plane, shop.namespace, metadata_keys=("order_id", "cart"), client_reference_id=True
    )
    async with running_service(settings) as service:
        webhook = Webhook(
            url=f"http://localhost:{service.webhook_port}/webhook", secrets=(SECRET,), http=shop.http, flaw=None
        )
        await webhook.post([delivery_of(bytes(sent_event(completed).snapshot))])
    (line,) = (await exported(shop)).splitlines()
    session = msgspec.json.decode(line)["spec"]["session"]
    assert (session["metadata"], session["clientReferenceId"]) == ({"order_id": "2542"}, "cart-17")


async def exported(shop: Shop) -> str:
    """Return what `fulfillment export` writes."""
    lines = [line async for line in json_lines(shop.requests, phases=(None,), since=None)]
    return b"\n".join(lines).decode()


async def printed(shop: Shop) -> str:
    """Return what `kubectl get -o wide` prints: the API server makes its table."""
    resource = f"/apis/{GROUP}/{VERSION}/namespaces/{shop.namespace}/{PLURAL}"
    headers = {
        "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io",
        "Authorization": str(await shop.api.configuration.get_api_key_with_prefix("BearerToken")),
    }
    answer = await shop.api.call_api("GET", f"{shop.control_plane.server}{resource}?includeObject=None", headers)
    table = msgspec.json.decode(await answer.read())  # type: ignore[no-untyped-call] # the library's
    assert table["rows"]
    return msgspec.json.encode([row["cells"] for row in table["rows"]]).decode()
