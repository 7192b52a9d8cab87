"""The stand-in held against Stripe's published schema, by way of Stripe's own mock."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import stripe

from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.charges import (
    charge_object,
    dispute_object,
    fraud_warning_object,
    invoice_object,
    invoice_payment_object,
    refund_object,
)
from fulfillment_local.fake_stripe.model import AfterPayment, Mode, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.objects import session_object
from fulfillment_local.fake_stripe.page import CheckoutPage, CustomField, FieldType, Presentment
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_local.programs import find_stripe_mock
from fulfillment_operator.checkout.session_list import Span
from fulfillment_operator.checkout.session_page import SESSIONS, page_params
from fulfillment_operator.checkout.stripe_api import LINE_ITEMS_PAGE, StripeApi
from fulfillment_operator.upkeep.webhook_endpoint_check import list_endpoints
from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_runtime.stripe.throttle import Limits, Throttle
from support.stripe_mock import stripe_mock
from support.stripe_openapi import mistakes_in

FILLED_IN = CheckoutPage(
    locale="de",
    presentment=Presentment(amount=1634, currency="jpy"),
    custom_fields=(
        CustomField(key="engraving", value="For Ada"),
        CustomField(key="size", value="7", type=FieldType.NUMERIC),
        CustomField(key="wrap", value="silk", type=FieldType.DROPDOWN),
    ),
    shipping=900,
    discount=100,
    tax=50,
    tax_id="DE123456789",
    promotions=False,
    terms_accepted=True,
    invoice=True,
)


@pytest.fixture(scope="module")
async def mock() -> AsyncIterator[str]:
    async with stripe_mock(find_stripe_mock(os.environ)) as running:
        yield running


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[StripeServer]:
    async with stripe_server(new_world(seed=5)) as running:
        yield running


@pytest.fixture(scope="module")
async def http_client() -> AsyncIterator[stripe.AIOHTTPClient]:
    client = stripe.AIOHTTPClient(timeout=20)
    yield client
    await client.close_async()  # type: ignore[no-untyped-call] # stripe leaves it untyped


@pytest.mark.parametrize(
    ("order", "settlement"),
    [
        (Order(line_items=12), None),
        (Order(outcome=Outcome.OPEN), None),
        (Order(outcome=Outcome.FREE), None),
        (Order(outcome=Outcome.EXPIRED), None),
        (Order(outcome=Outcome.UNPAID), Settlement.FAILED),
        (Order(outcome=Outcome.UNPAID), Settlement.CANCELED),
        (Order(mode=Mode.SUBSCRIPTION), None),
        (Order(mode=Mode.SUBSCRIPTION, outcome=Outcome.TRIAL), None),
        (Order(outcome=Outcome.AUTHORIZED), None),
        (Order(outcome=Outcome.AUTHORIZED), Settlement.PARTLY_CAPTURED),
        (Order(outcome=Outcome.AUTHORIZED), Settlement.LAPSED),
        (Order(outcome=Outcome.BANK_TRANSFER), Settlement.PARTLY_FUNDED),
        (Order(mode=Mode.SETUP), None),
    ],
)
async def test_same_shape(
    mock: str,
    server: StripeServer,
    http_client: stripe.AIOHTTPClient,
    order: Order,
    settlement: Settlement | None,
) -> None:
    """Every key of the stand-in's objects exists in Stripe's, down to the price of a line item."""
    session, _ = server.world.play(order)
    if settlement is not None:
        server.world.settle(session.id, settlement)
    ours, theirs = [
        await _objects(stripe.StripeClient(TEST_KEY, http_client=http_client, base_addresses={"api": url}), session.id)
        for url in (server.url, mock)
    ]
    assert _unknown(ours, theirs) == []


async def test_what_belongs_to_a_payment_has_the_same_shape(mock: str, http_client: stripe.AIOHTTPClient) -> None:
    """Every key of the stand-in's objects exists in Stripe's."""
    world = new_world(seed=5)
    session, _ = world.play(Order())
    world.play_after_payment(session.id, AfterPayment.DISPUTED)
    world.play_after_payment(session.id, AfterPayment.PARTLY_REFUNDED)
    failed = world.play_after_payment(session.id, AfterPayment.REFUND_FAILED).payment
    world.play_after_payment(session.id, AfterPayment.FRAUD_WARNING)
    intent = world.payment_intents[session.payment_intent or ""]
    (its_dispute,) = intent.disputes
    theirs = stripe.StripeClient(TEST_KEY, http_client=http_client, base_addresses={"api": mock})
    charge = (await theirs.v1.charges.retrieve_async(intent.charge)).to_dict()
    dispute = (await theirs.v1.disputes.retrieve_async(its_dispute.id)).to_dict()
    refund = (await theirs.v1.refunds.retrieve_async(intent.refunds[-1].id)).to_dict()
    warning = (await theirs.v1.radar.early_fraud_warnings.retrieve_async(intent.fraud_warning or "")).to_dict()
    on_invoices = (await theirs.v1.invoice_payments.list_async({"invoice": "in_1"})).to_dict()
    assert _unknown(charge_object(intent), charge) == []
    assert _unknown(dispute_object(intent, its_dispute), dispute) == []
    assert failed is not None
    # Its fixture is of a refund that did not fail.
    assert _unknown(refund_object(failed, failed.refunds[-1]), refund | {"failure_reason": ""}) == []
    # Its fixture leaves out what the schema has as optional.
    assert _unknown(fraud_warning_object(intent, created=0), warning | {"payment_intent": ""}) == []
    # The mock's fixture is of a payment that is a charge; the library's types have `payment_intent`, too.
    ours = invoice_payment_object(intent, "in_1") | {"payment": {"type": "payment_intent"}}
    assert _unknown(ours, on_invoices["data"][0]) == []
    invoice = (await theirs.v1.invoices.retrieve_async("in_1")).to_dict()
    assert _unknown(invoice_object(intent, "in_1"), invoice) == []


@pytest.mark.parametrize(
    "order",
    [
        Order(page=FILLED_IN),
        Order(outcome=Outcome.OPEN, page=FILLED_IN),
        Order(outcome=Outcome.EXPIRED, page=CheckoutPage(recoverable=True)),
        Order(mode=Mode.SUBSCRIPTION, page=CheckoutPage(promotions=True)),
        Order(mode=Mode.SETUP),
    ],
)
def test_what_was_filled_in_on_the_page_is_as_stripe_publishes_it(order: Order) -> None:
    """Every field of the Session by Stripe's own schema, and none besides; the mock's own fixture has few of these."""
    session, _ = new_world(seed=5).play(order)
    answer = msgspec.to_builtins(session_object(session))
    assert mistakes_in("checkout.session", answer) == []
    assert mistakes_in("checkout.session", answer | {"consent": {"terms": "accepted"}}) != []


async def test_the_mock_validates(mock: str, http_client: stripe.AIOHTTPClient) -> None:
    """The mock refuses a request that Stripe's schema does not allow."""
    client = stripe.StripeClient(TEST_KEY, http_client=http_client, base_addresses={"api": mock})
    with pytest.raises(stripe.InvalidRequestError, match="additional properties are not allowed"):
        await client.raw_request_async("get", "/v1/checkout/sessions/cs_1?nothing=1")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no schema", "stripe-mock ended at its start: no schema"),
        ("exec sleep 60", "stripe-mock does not listen after 0.2 s"),
        (None, "stripe-mock cannot be started"),
    ],
)
async def test_a_broken_program(tmp_path: Path, script: str | None, message: str) -> None:
    """A program that is not there, ends at once or never listens is one clear line."""
    program = tmp_path / "stripe-mock"
    if script is not None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
    with pytest.raises(UnavailableError, match=message):
        async with stripe_mock(program, ready_within=0.2 if script == "exec sleep 60" else 10):
            pass


async def _objects(client: stripe.StripeClient, session_id: str) -> dict[str, Any]:
    session = await client.v1.checkout.sessions.retrieve_async(session_id, {"expand": ["line_items", "payment_intent"]})
    items = await client.v1.checkout.sessions.line_items.list_async(session_id)
    events = await client.v1.events.list_async({"limit": 1})
    endpoints = await client.v1.webhook_endpoints.list_async({"limit": 1})
    return {
        "endpoints": endpoints.to_dict(),
        "session": session.to_dict(),
        "items": items.to_dict(),
        "events": [{key: value for key, value in event.to_dict().items() if key != "data"} for event in events.data],
    }


# The mock's fixture of this error holds its type alone, and its next action is of another kind; Stripe's schema calls
# them `api_errors` and `payment_intent_next_action`.
_OPTIONAL = {
    "last_payment_error": {"code", "decline_code", "doc_url", "message", "payment_method"},
    "next_action": {"display_bank_transfer_instructions"},
}


def _unknown(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Name the keys that only we have; a null on either side tells nothing of what is below it."""
    match ours, theirs:
        case dict(), dict() if path.endswith("metadata"):
            return []
        case dict(), dict():
            optional = _OPTIONAL.get(path.rpartition(".")[2], set())
            extra = [f"{path}.{key}" for key in ours.keys() - theirs.keys() - optional]
            return extra + [
                name
                for key in ours.keys() & theirs.keys()
                for name in _unknown(ours[key], theirs[key], f"{path}.{key}")
            ]
        case [first, *_], [other, *_]:
            return _unknown(first, other, f"{path}[]")
        case _:
            return []


async def test_our_requests_are_as_stripe_publishes_them(mock: str, http_client: stripe.AIOHTTPClient) -> None:
    """Stripe's mock refuses a path or a parameter that its schema does not have; ours it answers."""
    client = stripe.StripeClient(TEST_KEY, http_client=http_client, base_addresses={"api": mock}, max_network_retries=0)
    reader = StripeReader(client, Throttle(Limits(per_second=100, per_endpoint=100, concurrency=1)))
    session = await StripeApi(reader).retrieve("cs_test_a1", "acct_1")
    assert session is not None
    await StripeApi(reader).check_disputes()
    assert await list_endpoints(client)
    payments = await client.v1.invoice_payments.list_async(
        {"invoice": "in_1", "limit": 1, "expand": ["data.payment.payment_intent.latest_charge", "data.invoice"]}
    )
    assert payments.data
    with pytest.raises(stripe.InvalidRequestError):  # so that it is known to refuse
        await client.v1.checkout.sessions.retrieve_async("cs_test_a1", {"no_such_parameter": "x"})  # type: ignore[arg-type] # the point


async def test_a_list_of_sessions_is_asked_for_as_stripe_publishes_it(
    mock: str, http_client: stripe.AIOHTTPClient
) -> None:
    """The filters, the cursor and what is expanded, at most four levels deep: of many orders at once."""
    client = stripe.StripeClient(TEST_KEY, http_client=http_client, base_addresses={"api": mock}, max_network_retries=0)
    reader = StripeReader(client, Throttle(Limits(per_second=100, per_endpoint=100, concurrency=1)))
    span = Span(first=1_790_000_000, last=1_790_000_060, due=(), after="cs_test_a1")
    params = page_params(span, ["line_items", "payment_intent.latest_charge"])
    found: Any = (await reader.get(SESSIONS, params, account="acct_1")).data
    assert found["object"] == "list"
    (session,) = found["data"]
    assert session["line_items"]["object"] == "list"
    assert session["payment_intent"] is None or session["payment_intent"]["latest_charge"]
    with pytest.raises(stripe.InvalidRequestError):  # so that it is known to refuse
        await reader.get(SESSIONS, {**params, "payment_status": "paid"}, account=None)


async def test_a_listed_session_has_the_same_shape(
    mock: str, server: StripeServer, http_client: stripe.AIOHTTPClient
) -> None:
    """The list of the stand-in as Stripe's: the same keys, of the list and of what is in it."""
    server.world.play(Order())
    ours, theirs = [
        (
            await stripe.StripeClient(TEST_KEY, http_client=http_client, base_addresses={"api": url}).raw_request_async(
                "get", SESSIONS, limit=1, expand=["data.line_items"]
            )
        ).data
        for url in (server.url, mock)
    ]
    assert _unknown(ours, theirs) == []


async def test_a_page_of_line_items_is_asked_for_as_stripe_publishes_it(
    mock: str, http_client: stripe.AIOHTTPClient
) -> None:
    """The request for the line items beyond the first ten: its cursor and its limit."""
    client = stripe.StripeClient(TEST_KEY, http_client=http_client, base_addresses={"api": mock}, max_network_retries=0)
    list_items = client.v1.checkout.sessions.line_items.list_async
    assert (await list_items("cs_test_a1", {"limit": LINE_ITEMS_PAGE, "starting_after": "li_1"})).data
    assert (await list_items("cs_test_a1", {"limit": LINE_ITEMS_PAGE})).data  # where the Session shows none
