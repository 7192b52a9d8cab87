"""`fulfillment trigger` against a real HTTP receiver that verifies with Stripe's own library."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import stripe
from aiohttp import web
from click.testing import CliRunner, Result

from fulfillment_local.fake_stripe.client import WorldClient
from fulfillment_local.fake_stripe.model import DeliveryState, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_local.trigger import command
from fulfillment_local.webhook_sender import Plan, Webhook, carry_out
from support.serving import serving

SECRET = "whsec_of_the_tests"


@dataclass(slots=True)
class Receiver:
    """A webhook that keeps what it accepts."""

    url: str = ""
    status: int = 200
    """How a good event is answered; 0 breaks the connection."""
    text: str = "no room\nfor this"
    together: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(1))
    """So many requests are answered at once, and none before."""
    events: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def types(self) -> list[str]:
        return [event["type"].removeprefix("checkout.session.") for event in self.events]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        body, header = await request.read(), request.headers.get("Stripe-Signature", "")
        await self.together.wait()
        self.at_once -= 1
        try:
            stripe.WebhookSignature.verify_header(body, header, SECRET, tolerance=300)
        except stripe.SignatureVerificationError as error:
            return web.Response(status=400, text=str(error))
        if int(re.findall(r"t=(\d+)", header)[0]) > time.time() + 300:
            return web.Response(status=400, text="signed in the future")
        if self.status == 0 and request.transport is not None:
            request.transport.abort()
        self.events.append(json.loads(body))
        headers = {"Location": "/elsewhere"} if self.status == 302 else {}
        return web.Response(status=self.status or 200, text=self.text, headers=headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    async with serving(web.post("/webhook", made.handle)) as url:
        made.url = f"{url}/webhook"
        yield made


@pytest.fixture
async def server() -> AsyncIterator[StripeServer]:
    async with stripe_server(new_world(seed=1)) as running:
        yield running


async def _trigger(receiver: Receiver, server: StripeServer, *arguments: str, **options: Any) -> Result:
    """Run the command beside the servers, which stay in this thread's loop."""
    environ = {"STRIPE_WEBHOOK_SECRETS": f"{SECRET}, whsec_other", "STRIPE_API_BASE": server.url}
    return await asyncio.to_thread(
        CliRunner(env=environ).invoke, command, [*arguments, "--webhook-url", receiver.url], **options
    )


@pytest.mark.parametrize(
    ("scenario", "types", "payment_status"),
    [
        ("paid", ["completed"], "paid"),
        ("unpaid", ["completed"], "unpaid"),
        ("free", ["completed"], "no_payment_required"),
        ("async-succeeded", ["completed", "async_payment_succeeded"], "paid"),
        ("async-failed", ["completed", "async_payment_failed"], "unpaid"),
        ("expired", ["expired"], "unpaid"),
        ("subscription", ["completed"], "paid"),
        ("setup", ["completed"], "no_payment_required"),
        ("checkout.session.completed", ["completed"], "paid"),
        ("checkout.session.async_payment_succeeded", ["completed", "async_payment_succeeded"], "paid"),
        ("checkout.session.async_payment_failed", ["completed", "async_payment_failed"], "unpaid"),
        ("checkout.session.expired", ["expired"], "unpaid"),
    ],
)
async def test_scenarios(
    receiver: Receiver, server: StripeServer, scenario: str, types: list[str], payment_status: str
) -> None:
    """Each scenario, by our name or Stripe's, sends its events in order, and one line is shown for each."""
    result = await _trigger(receiver, server, scenario)
    assert (result.exit_code, receiver.types) == (0, types)
    last = receiver.events[-1]["data"]["object"]
    assert payment_status == last["payment_status"]
    lines = result.output.splitlines()
    assert [f"checkout.session.{each}" for each in types] == [line.split()[3] for line in lines]
    assert {("200", "ms", last["id"])} == {(line.split()[0], line.split()[2], line.split()[4]) for line in lines}
    assert {DeliveryState.SUCCEEDED} == {event.delivery for event in server.world.events.values()}


@pytest.mark.parametrize(("status", "outcome"), [("unpaid", "unpaid"), ("no_payment_required", "no_payment_required")])
async def test_payment_status(receiver: Receiver, server: StripeServer, status: str, outcome: str) -> None:
    """Stripe's own name of the event goes with the payment's status."""
    await _trigger(receiver, server, "checkout.session.completed", "--payment-status", status)
    assert [outcome] == [event["data"]["object"]["payment_status"] for event in receiver.events]


@pytest.mark.parametrize(
    ("scenario", "kinds"),
    [
        ("refunded", ["charge.refunded"]),
        ("charge.refunded", ["charge.refunded"]),
        ("partially-refunded", ["charge.refunded"]),
        ("refund-failed", ["charge.refunded", "refund.failed"]),
        ("refund.failed", ["charge.refunded", "refund.failed"]),
        ("disputed", ["charge.dispute.created"]),
        ("charge.dispute.created", ["charge.dispute.created"]),
        ("dispute-won", ["charge.dispute.created", "charge.dispute.closed"]),
        ("dispute-lost", ["charge.dispute.created", "charge.dispute.closed"]),
        ("inquiry", ["charge.dispute.created"]),
        ("inquiry-closed", ["charge.dispute.created", "charge.dispute.closed"]),
        ("inquiry-disputed", ["charge.dispute.created", "charge.dispute.funds_withdrawn"]),
        ("fraud-warning", ["radar.early_fraud_warning.created"]),
    ],
)
async def test_what_comes_after_a_sale(
    receiver: Receiver, server: StripeServer, scenario: str, kinds: list[str]
) -> None:
    """The order's own event, then those about its charge; or the last one alone."""
    result = await _trigger(receiver, server, scenario)
    assert result.exit_code == 0
    assert [event["type"] for event in receiver.events] == ["checkout.session.completed", *kinds]
    assert len({event["data"]["object"]["payment_intent"] for event in receiver.events}) == 1
    sent = len(receiver.events)
    await _trigger(receiver, server, scenario, "--last-only")
    assert [event["type"] for event in receiver.events[sent:]] == kinds[-1:]


@pytest.mark.parametrize(
    ("scenario", "kinds"),
    [
        ("authorized", ["checkout.session.completed"]),
        ("captured", ["checkout.session.completed", "charge.captured"]),
        ("charge.captured", ["checkout.session.completed", "charge.captured"]),
        ("partly-captured", ["checkout.session.completed", "charge.captured"]),
        ("released", ["checkout.session.completed", "payment_intent.canceled"]),
        ("payment_intent.canceled", ["checkout.session.completed", "payment_intent.canceled"]),
        ("lapsed", ["checkout.session.completed", "charge.expired"]),
        ("charge.expired", ["checkout.session.completed", "charge.expired"]),
        ("bank-transfer", ["checkout.session.completed"]),
        ("partly-funded", ["checkout.session.completed", "payment_intent.partially_funded"]),
        ("async-retried", ["checkout.session.completed", "checkout.session.async_payment_failed"]),
        ("trial", ["checkout.session.completed"]),
    ],
)
async def test_payments_that_wait(receiver: Receiver, server: StripeServer, scenario: str, kinds: list[str]) -> None:
    """By our word or Stripe's; thin events of them can be sent, too."""
    assert (await _trigger(receiver, server, scenario)).exit_code == 0
    assert [event["type"] for event in receiver.events] == kinds
    assert (await _trigger(receiver, server, scenario, "--thin")).exit_code == 0
    assert [event["type"] for event in receiver.events[len(kinds) :]] == [f"v1.{kind}" for kind in kinds]


async def test_an_authorization_is_captured_later(receiver: Receiver, server: StripeServer) -> None:
    """`--session` names the one that waits."""
    await _trigger(receiver, server, "authorized")
    session = receiver.events[0]["data"]["object"]
    await _trigger(receiver, server, "captured", "--session", session["id"])
    assert receiver.events[1]["data"]["object"]["payment_intent"] == session["payment_intent"]


async def test_what_is_ordered(receiver: Receiver, server: StripeServer) -> None:
    """The options tell what the Session is about."""
    await _trigger(
        *(receiver, server, "paid", "--line-items", "137", "--amount", "4200", "--currency", "EUR"),
        *("--email", "ada@example.com", "--payment-link", "plink_1", "--client-reference-id", "r-7"),
        *("--metadata", "basket=7", "--metadata", "note=a=b", "--live", "--account", "acct_1"),
        *("--presentment", "1634", "JPY", "--locale", "ja", "--custom-field", "engraving=For Ada"),
    )
    session = receiver.events[0]["data"]["object"]
    assert (receiver.events[0]["account"], receiver.events[0]["livemode"]) == ("acct_1", True)
    assert (
        session["amount_total"],
        session["currency"],
        session["customer_details"]["email"],
        session["payment_link"],
        session["client_reference_id"],
        session["metadata"],
    ) == (4200, "eur", "ada@example.com", "plink_1", "r-7", {"basket": "7", "note": "a=b"})
    assert session["presentment_details"] == {"presentment_amount": 1634, "presentment_currency": "jpy"}
    assert session["locale"] == "ja"
    assert [(each["key"], each["text"]["value"]) for each in session["custom_fields"]] == [("engraving", "For Ada")]
    assert len(server.world.sessions[session["id"]].line_items) == 137


async def test_many(receiver: Receiver, server: StripeServer) -> None:
    """Many Sessions are sent some at once, each event so often as asked for, and summed up."""
    receiver.together = asyncio.Barrier(8)
    result = await _trigger(
        receiver, server, "paid", "--count", "20", "--duplicates", "1", "--concurrency", "8", "--quiet"
    )
    ids = [event["id"] for event in receiver.events]
    assert (len(ids), len(set(ids))) == (40, 20)
    assert receiver.most_at_once == 8
    assert re.fullmatch(r"40 of 40 answered as expected; p50 [\d.]+ ms, p99 [\d.]+ ms\n", result.output)


async def test_shuffled(receiver: Receiver, server: StripeServer) -> None:
    """Shuffled events come mixed, all of them, and with the same seed in the same order."""
    orders = []
    for _ in range(2):
        receiver.events.clear()
        result = await _trigger(receiver, server, "async-failed", "--count", "8", "--shuffle", "--seed", "3")
        assert result.exit_code == 0
        orders.append(receiver.types)
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == ["async_payment_failed"] * 8 + ["completed"] * 8
    assert orders[0] != ["completed"] * 8 + ["async_payment_failed"] * 8


@pytest.mark.parametrize("flaw", ["--bad-signature", "--old", "--future"])
async def test_flaws(receiver: Receiver, server: StripeServer, flaw: str) -> None:
    """A request that must be refused and is, is as expected; its event counts as undelivered."""
    result = await _trigger(receiver, server, "paid", flaw)
    assert (result.exit_code, result.output.split()[0]) == (0, "400")
    assert (
        receiver.events,
        [event.delivery for event in server.world.events.values()],
    ) == ([], [DeliveryState.FAILED])


@pytest.mark.parametrize(
    ("status", "shown", "text"),
    [(500, "500", "no room for this"), (302, "302", "no room for this"), (0, "---", "Server disconnected")],
)
async def test_an_unexpected_answer(
    receiver: Receiver, server: StripeServer, status: int, shown: str, text: str
) -> None:
    """An answer that is not 2xx ends with exit code 1, its line says why, and the event stays undelivered."""
    receiver.status = status
    result = await _trigger(receiver, server, "paid")
    assert result.exit_code == 1
    assert result.output.startswith(f"{shown} ")
    assert f"expected 2xx: {text}" in result.output
    assert [event.delivery for event in server.world.events.values()] == [DeliveryState.FAILED]


async def test_a_forgery_that_is_believed(receiver: Receiver, server: StripeServer) -> None:
    """A bad event that is not refused with 400 ends with exit code 1."""
    receiver.url = receiver.url.replace("/webhook", "/other")
    result = await _trigger(receiver, server, "paid", "--bad-signature")
    assert result.exit_code == 1
    assert "expected 400: 404" in result.output


async def test_thin(receiver: Receiver, server: StripeServer) -> None:
    """Thin events name the Session, and count as delivered all the same."""
    result = await _trigger(receiver, server, "paid", "--thin")
    (event,) = receiver.events
    assert (event["object"], event["type"]) == ("v2.core.event", "v1.checkout.session.completed")
    assert result.output.split()[3:] == ["v1.checkout.session.completed", event["related_object"]["id"]]
    assert [each.delivery for each in server.world.events.values()] == [DeliveryState.SUCCEEDED]


async def test_last_only(receiver: Receiver, server: StripeServer) -> None:
    """The first of two events can be lost on its way, and stays pending."""
    await _trigger(receiver, server, "async-succeeded", "--last-only")
    assert receiver.types == ["async_payment_succeeded"]
    assert [each.delivery for each in server.world.events.values()] == [DeliveryState.PENDING, DeliveryState.SUCCEEDED]


async def test_settling_a_session(receiver: Receiver, server: StripeServer) -> None:
    """A payment that waits can be settled later; once it is, no more."""
    await _trigger(receiver, server, "unpaid")
    session = receiver.events[0]["data"]["object"]["id"]
    settled = await _trigger(receiver, server, "async-succeeded", "--session", session)
    assert (settled.exit_code, receiver.types) == (0, ["completed", "async_payment_succeeded"])
    again = await _trigger(receiver, server, "async-failed", "--session", session)
    assert again.exit_code == 1
    assert "the stand-in for Stripe refuses" in again.output
    assert "no payment is waiting" in again.output


async def test_a_file(receiver: Receiver, server: StripeServer, tmp_path: Path) -> None:
    """Any event is sent as it is, signed anew, so often as asked for."""
    event = {"type": "invoice.paid", "data": {"object": {"id": "in_1"}}, "object": "event"}
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))
    result = await _trigger(receiver, server, "--file", str(path), "--count", "2")
    assert (0, [event, event]) == (result.exit_code, receiver.events)
    assert result.output.splitlines()[0].split()[3:] == ["invoice.paid", "in_1"]


@pytest.mark.parametrize(("arguments", "code"), [([], 3), (["--quiet"], 3), (["--bad-signature"], 0)])
async def test_an_event_that_is_ignored(
    receiver: Receiver, server: StripeServer, tmp_path: Path, arguments: list[str], code: int
) -> None:
    """It says so, and why, with an exit code of its own: it is acknowledged, and nothing happens."""
    receiver.text = '{"result": "ignored", "reason": "older-than-retention"}'
    path = tmp_path / "event.json"
    path.write_text('{"type": "checkout.session.completed", "data": {"object": {"id": "cs_1"}}}')
    result = await _trigger(receiver, server, "--file", str(path), *arguments)
    assert result.exit_code == code
    said = "checkout.session.completed                   cs_1  ignored: older-than-retention"
    assert (said in result.output) is (code != 0)


async def test_a_scenario_that_is_ignored_by_intent(receiver: Receiver, server: StripeServer) -> None:
    """It says so, too; that nothing comes of it is what was asked for."""
    receiver.text = '{"result": "ignored", "reason": "expired"}'
    result = await _trigger(receiver, server, "expired")
    assert (result.exit_code, result.output.split()[-2:]) == (0, ["ignored:", "expired"])


async def test_stdin(receiver: Receiver, server: StripeServer) -> None:
    """An event is read from stdin, too."""
    await _trigger(receiver, server, "--file", "-", input='{"object": "event", "type": "ping"}')
    assert receiver.types == ["ping"]


@pytest.mark.parametrize("body", [b"[]", b"no JSON", b'{"data": null}'])
async def test_a_strange_file(receiver: Receiver, server: StripeServer, tmp_path: Path, body: bytes) -> None:
    """What is no event is sent all the same: the webhook is to judge."""
    path = tmp_path / "strange"
    path.write_bytes(body)
    receiver.url += "-that-is-not-there"
    result = await _trigger(receiver, server, "--file", str(path))
    assert result.exit_code == 1
    assert result.output.startswith("404 ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Give a scenario, such as `fulfillment trigger paid`"),
        (["paid", "--session", "cs_1"], 2, "--session goes with what a waiting payment comes to"),
        (["paid", "--payment-status", "paid"], 2, "--payment-status goes with checkout.session.completed"),
        (["paid", "--metadata", "basket"], 2, "--metadata 'basket' is not KEY=VALUE"),
        (["paid", "--custom-field", "size"], 2, "--custom-field 'size' is not KEY=VALUE"),
        (["paid", "--secret", " "], 2, "There is no signing secret"),
        (["bought"], 2, "'bought' is not one of 'paid', 'unpaid'"),
        (["paid", "--currency", "dollars"], 1, "refuses: Expected `str` matching regex"),
        (["paid", "--stripe", "http://127.0.0.1:9"], 69, "the stand-in for Stripe cannot be reached at"),
        (["paid", "--webhook-url", "http://127.0.0.1:9/webhook"], 69, "the webhook cannot be reached at"),
    ],
)
async def test_one_clear_line(
    receiver: Receiver, server: StripeServer, arguments: list[str], code: int, message: str
) -> None:
    """What cannot be done is said in a line, with the right exit code, and nothing is sent."""
    # The receiver's own --webhook-url comes last on the command line: leave it out where another is given.
    if "--webhook-url" in arguments:
        environ = {"STRIPE_WEBHOOK_SECRETS": SECRET, "STRIPE_API_BASE": server.url}
        result = await asyncio.to_thread(CliRunner(env=environ).invoke, command, arguments)
    else:
        result = await _trigger(receiver, server, *arguments)
    assert code == result.exit_code
    assert message in result.output.splitlines()[-1]
    assert receiver.events == []


async def test_a_file_that_is_not_utf_8(receiver: Receiver, server: StripeServer, tmp_path: Path) -> None:
    """Bytes that cannot be signed are one clear line."""
    path = tmp_path / "event.json"
    path.write_bytes(b"\xff")
    result = await _trigger(receiver, server, "--file", str(path))
    assert result.exit_code == 1
    assert "Error: the event is not UTF-8, and cannot be signed" in result.output


async def test_as_a_library(receiver: Receiver, server: StripeServer) -> None:
    """The demo and other tests use the same, without a command line, and are told each answer."""
    seen: list[str] = []
    async with aiohttp.ClientSession() as http:
        webhook = Webhook(
            url=receiver.url,
            secrets=("whsec_new", SECRET),
            http=http,
            report=lambda answer: seen.append(answer.delivery.type),
        )
        plan = Plan(order=Order(outcome=Outcome.UNPAID), settlement=Settlement.FAILED)
        answers = await carry_out(plan, WorldClient(server.url, http), webhook)
    assert [answer.as_expected for answer in answers] == [True, True]
    assert seen == ["checkout.session.completed", "checkout.session.async_payment_failed"]
