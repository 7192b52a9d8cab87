"""No secret and no personal data stands in a log line, metric, object, Event or answer, whatever goes wrong."""

import asyncio
import base64
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec
import pytest
import structlog
from aiohttp import web
from kubernetes.aio import client
from standardwebhooks import Webhook as StandardWebhook

from fulfillment_api.names import GROUP, PLURAL, VERSION, request_name
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.control import sent_event
from fulfillment_local.fake_stripe.model import (
    AfterPayment,
    Buyer,
    DeliveryState,
    Event,
    Order,
    Outcome,
    Session,
    Settlement,
)
from fulfillment_local.fake_stripe.page import CheckoutPage, CustomField
from fulfillment_local.fake_stripe.traffic import Fail
from fulfillment_local.flaws import Flaw
from fulfillment_local.mailbox import mailbox
from fulfillment_local.webhook_sender import Webhook, delivery_of
from fulfillment_runtime.commands.json_lines import json_lines
from fulfillment_runtime.logs import configure_logs
from fulfillment_runtime.settings import LogFormat, LogLevel, Secret
from fulfillment_service.events.rules import EventRules
from fulfillment_service.main import RunningService, running_service
from fulfillment_service.recovery.main import recover
from fulfillment_service.recovery.run import RecoveryOptions
from support.kubectl import kubectl
from support.order_endpoint import order_endpoint
from support.order_jobs import JOB, open_shop_with_jobs
from support.running_operator import AtWork, Shop, at_work, open_shop
from support.running_plugin import Plugin
from support.running_recovery import QUICK, recover_settings, tries
from support.running_recovery import RULES as RECOVERY_RULES
from support.running_webhook import OLD_SECRET, SECRET, service_settings
from support.running_webhook import RULES as SERVICE_RULES

pytestmark = pytest.mark.usefixtures("crd")

NOTED = {"customer_email": "ada@shop.example", "customer_name": "Ada Example", "order_id": "ORDER-2542"}
"""What a shop wrote into a Session's metadata: keys that only a setting could tell are personal."""
REFERENCE = "ref-ada@shop.example"
ANSWERED = CustomField(key="engraving", value="For Ada, with love")
PAGE = CheckoutPage(
    shipping=500,
    tax_id="DE123456789",
    business_name="Example Bakery",
    individual_name="Ada B. Example",
    custom_fields=(ANSWERED,),
    locale="en",
)
PASSWORD = "the-mail-servers-password"
HTTP_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SECRETS = (TEST_KEY, SECRET, OLD_SECRET, HTTP_SECRET, HTTP_SECRET.removeprefix("whsec_"), PASSWORD)


def personal(buyer: Buyer) -> list[str]:
    """Tell what is a buyer's; a postal code as JSON has it, since a bare number may stand for anything."""
    address = [buyer.line1, f'"{buyer.postal_code}"']
    return [buyer.name, buyer.email, buyer.phone, *address]


ON_THE_PAGE = [
    *(each for each in (PAGE.tax_id, PAGE.business_name, PAGE.individual_name, ANSWERED.value) if each),
    *(*NOTED, *NOTED.values(), REFERENCE),
]


@dataclass
class Endpoint:
    """The shop's own: answers by what the Session's metadata asks for, and repeats what it was sent, as bad ones do."""

    posted: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.posted.append(body)
        match json.loads(body)["data"].get("session", {}).get("metadata", {}).get("play"):
            case "later":
                return web.json_response({"reference": "order-7"}, status=202)
            case "reject":
                return web.Response(status=422, text=f"no such customer: {body}")
            case "away":
                return web.Response(status=503, text=f"cannot store {body}")
            case _:
                return web.json_response({"reference": "parcel-9"})


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    for rule in (SERVICE_RULES, *RECOVERY_RULES):
        await control_plane.grant(User.SERVICE, namespace, [rule])
    async with open_shop(control_plane, namespace) as shop, mailbox(login=("shop", PASSWORD)) as box:
        yield replace(shop, mailbox=box)


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


@dataclass
class Run:
    """Both workloads at work, and what they answered."""

    shop: Shop
    service: RunningService
    operator: AtWork
    answers: list[str] = field(default_factory=list)

    def play(self, outcome: Outcome = Outcome.PAID, play: str = "") -> tuple[Session, Event]:
        """Let a buyer leave everything that Checkout can ask for."""
        metadata = NOTED | ({"play": play} if play else {})
        session, event = self.shop.stripe.world.play(
            Order(outcome=outcome, metadata=metadata, client_reference_id=REFERENCE, page=PAGE)
        )
        assert event is not None
        return session, event

    async def send(self, *bodies: bytes, flaw: Flaw | None = None) -> None:
        url = f"http://localhost:{self.service.webhook_port}/webhook"
        webhook = Webhook(url=url, secrets=(SECRET,), http=self.shop.http, flaw=flaw)
        answers = await webhook.post([delivery_of(body) for body in bodies])
        self.answers += [f"{answer.status} {answer.text}" for answer in answers]

    async def call_back(self, name: str, message: str, secret: str) -> None:
        body = json.dumps({"result": "done", "reference": "parcel-8", "message": message})
        now = datetime.now(UTC)
        headers = {
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": StandardWebhook(secret).sign(name, now, body),
        }
        await self.ask("POST", f"http://localhost:{self.service.webhook_port}/callback/{name}", body, **headers)

    async def ask(self, method: str, url: str, body: str | None = None, **headers: str) -> None:
        """Ask for something, and keep all of the answer."""
        async with self.shop.http.request(method, url, data=body, headers=headers) as response:
            self.answers.append(f"{response.status} {response.headers} {await response.text()}")

    async def ask_every_port(self) -> None:
        management = f"http://localhost:{self.service.management_port}", self.operator.url
        public = f"http://localhost:{self.service.webhook_port}"
        for base in (*management, public):
            for path in ("metrics", "healthz", "readyz", "nowhere"):
                await self.ask("GET", f"{base}/{path}")


async def test_personal_data_stays_where_it_belongs(
    shop: Shop, logs: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    """A whole run: orders of each end, faults of everything outside, forgeries, a refund, a recovery, and a person."""
    endpoint = Endpoint()
    world = shop.stripe.world
    settings = service_settings(shop.control_plane, shop.namespace, http_secret=Secret(HTTP_SECRET))
    async with (
        order_endpoint(endpoint.answer) as url,
        running_service(settings) as service,
        at_work(
            shop,
            backend="http",
            receipts=True,
            smtp_username="shop",
            smtp_password=Secret(PASSWORD),
            FULFILLMENT_HTTP_URL=url,
            FULFILLMENT_HTTP_SECRET=HTTP_SECRET,
        ) as operator,
    ):
        run = Run(shop, service, operator)
        (done, *sent), (later, *more), (rejected, *third), (away, *fourth) = (
            run.play(play=each) for each in ("", "later", "reject", "away")
        )
        unpaid, started = run.play(Outcome.UNPAID)
        settled = world.settle(unpaid.id, Settlement.FAILED)
        assert settled is not None
        shop.mailbox.trouble.refused.add(unpaid.buyer.email)
        lost, unsent = run.play()
        world.mark(unsent.id, DeliveryState.FAILED)
        shop.stripe.faults.set([Fail(status=500, times=2)])

        bodies = [bytes(sent_event(each).snapshot) for each in (*sent, *more, *third, *fourth, started, settled)]
        broken = b'{"customer_details": {"email": "' + done.buyer.email.encode() + b'"}'  # no JSON
        await run.send(*bodies, broken, flaw=Flaw.BAD_SIGNATURE)
        await run.send(*bodies, broken)
        await shop.becomes(request_name(later.id), Phase.FULFILLING, "Dispatched")
        await run.call_back(request_name(later.id), f"sent to {later.buyer.line1}", "whsec_" + "A" * 32)
        await run.call_back(request_name(later.id), "sent", HTTP_SECRET)
        while time.time() < int(unsent.created) + 1:  # noqa: ASYNC110 - a recovery sees to whole seconds that are over
            await asyncio.sleep(0.01)
        await recover(
            recover_settings(shop.control_plane, shop.namespace, shop.stripe),
            EventRules(),
            RecoveryOptions(backoff=tries(1)),
            QUICK,
        )
        for each in (done, later, lost):
            await shop.becomes(request_name(each.id), Phase.FULFILLED)
        await run.send(bytes(sent_event(world.play_after_payment(done.id, AfterPayment.REFUNDED)).snapshot))
        await shop.becomes(request_name(rejected.id), Phase.FAILED, "FulfillmentFailed")
        await shop.becomes(request_name(unpaid.id), Phase.FAILED, "PaymentFailed")
        await shop.becomes(request_name(away.id), Phase.FULFILLING, "BackendUnavailable")
        seen = await told_by_the_plugin(shop, request_name(away.id), request_name(rejected.id))
        await run.ask_every_port()

    seen += "".join([logs.getvalue(), *capfd.readouterr(), *run.answers])
    seen += await stored(shop) + await exported(shop) + await printed(shop)
    orders = (done, later, rejected, away, unpaid, lost)
    for datum in (*SECRETS, *ON_THE_PAGE, *(each for order in orders for each in personal(order.buyer))):
        assert datum not in seen
    for told in (
        *(request_name(each.id) for each in orders),
        *(each.id for each in orders),
        "MailRejected",
        "the mail server refused the customer's address with 550",
        "the endpoint refused the order with 422",
        "the endpoint answered 503",
        "recovery.",
        "RetryRequested",
    ):
        assert told in seen
    # The search would find them: whoever is to have them was given them.
    posted = "".join(endpoint.posted)
    assert all(each in posted for each in (*personal(done.buyer), *ON_THE_PAGE))
    assert {mail.login for mail in shop.mailbox.to(done.buyer.email)} == {"shop"}


async def test_the_job_backend_puts_personal_data_into_its_secret_alone(
    control_plane: ControlPlane, namespace: str, logs: io.StringIO
) -> None:
    """The order's file; the Job, its Events, the request and the log say nothing of it."""
    async with open_shop_with_jobs(control_plane, namespace) as shop:
        session, _ = shop.stripe.world.play(Order(metadata=NOTED, client_reference_id=REFERENCE, page=PAGE))
        async with at_work(shop, **JOB):
            await shop.becomes(await shop.make(session.id), Phase.FULFILLING, "Dispatched")
        secrets = client.CoreV1Api(shop.api)
        (secret,) = (await secrets.list_namespaced_secret(namespace)).items
        assert secret.metadata
        assert secret.metadata.name
        order = "".join(base64.b64decode(each).decode() for each in (secret.data or {}).values())
        await secrets.delete_namespaced_secret(secret.metadata.name, namespace)
        seen = logs.getvalue() + await stored(shop)
    assert '"kind": "Job"' in seen
    for datum in (*ON_THE_PAGE, *personal(session.buyer)):
        assert datum in order
        assert datum not in seen


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
    assert (session["metadata"], session["clientReferenceId"]) == ({"order_id": "ORDER-2542"}, "cart-17")


async def told_by_the_plugin(shop: Shop, waiting: str, failed: str) -> str:
    """Look at orders and act on one as a person does, and return all that was printed."""
    plugin = Plugin(shop, User.ADMIN)
    said = [
        await plugin(*words.split())
        for words in (
            "list -o wide",
            "list -o json",
            f"show {waiting}",
            f"show {failed}",
            f"open {waiting} --print",
            f"retry {waiting}",
            "acknowledge --all --yes",
            f"wait {failed} --timeout=0",
        )
    ]
    assert [each.code for each in said] == [0, 0, 0, 0, 0, 0, 0, 3], said
    return "".join(each.output + each.errors for each in said)


async def stored(shop: Shop) -> str:
    """Return every object in the namespace, of whatever kind, with all that the API server keeps of it."""

    def ask(*arguments: str) -> str:
        return kubectl(shop.control_plane, *arguments, f"--namespace={shop.namespace}")

    kinds = await asyncio.to_thread(ask, "api-resources", "--verbs=list", "--namespaced", "--output=name")
    assert {"secrets", "configmaps", "events", "leases.coordination.k8s.io", f"{PLURAL}.{GROUP}"} <= {*kinds.split()}
    return await asyncio.to_thread(ask, "get", ",".join(kinds.split()), "--output=json", "--show-managed-fields")


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
