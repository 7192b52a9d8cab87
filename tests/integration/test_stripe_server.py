"""The stand-in over a real socket, asked by Stripe's own client; and its control surface."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import stripe
from aiohttp import web

from fulfillment_local.fake_stripe.api import LIVE_KEY, POWERLESS_KEY, TEST_KEY
from fulfillment_local.fake_stripe.client import WorldClient, WorldRejectedError
from fulfillment_local.fake_stripe.model import AfterPayment, DeliveryState, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.traffic import Cut, Drop, Fail, Hang, Slow
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_runtime.fatal_errors import UnavailableError
from support.serving import serving

Ask = Callable[..., stripe.StripeClient]


@pytest.fixture
async def server() -> AsyncIterator[StripeServer]:
    async with stripe_server(new_world(seed=11)) as running:
        yield running


@pytest.fixture
async def ask(server: StripeServer) -> AsyncIterator[Ask]:
    """Make clients of Stripe's library for the stand-in."""
    async with stripe_clients(server.url) as make:
        yield make


@pytest.fixture
async def control(server: StripeServer) -> AsyncIterator[WorldClient]:
    async with WorldClient.connect(server.url) as client:
        yield client


@asynccontextmanager
async def stripe_clients(url: str) -> AsyncIterator[Ask]:
    http_clients: list[stripe.AIOHTTPClient] = []

    def make(key: str = TEST_KEY, *, seconds: float = 10, retries: int = 0) -> stripe.StripeClient:
        http_clients.append(stripe.AIOHTTPClient(timeout=seconds))
        return stripe.StripeClient(
            key, http_client=http_clients[-1], base_addresses={"api": url}, max_network_retries=retries
        )

    yield make
    for http_client in http_clients:
        await http_client.close_async()  # type: ignore[no-untyped-call] # stripe leaves it untyped


async def test_retrieve_with_every_line_item(server: StripeServer, ask: Ask) -> None:
    """An expanded Session brings ten line items; its list pages through all 137, in their order."""
    session, _ = server.world.play(Order(line_items=137))
    shown = await ask().v1.checkout.sessions.retrieve_async(session.id, {"expand": ["line_items", "payment_intent"]})
    assert shown.line_items is not None
    assert (len(shown.line_items.data), shown.line_items.has_more) == (10, True)
    assert [item.id for item in session.line_items] == [item.id async for item in shown.line_items.auto_paging_iter()]
    assert isinstance(shown.payment_intent, stripe.PaymentIntent)
    assert (shown.payment_intent.id, "succeeded") == (session.payment_intent, shown.payment_intent.status)


async def test_list_line_items(server: StripeServer, ask: Ask) -> None:
    """The line items' own endpoint gives 137 in two pages of up to 100."""
    session, _ = server.world.play(Order(line_items=137))
    pages = await ask().v1.checkout.sessions.line_items.list_async(session.id, {"limit": 100})
    ids = [item.id async for item in pages.auto_paging_iter()]
    assert ids == [item.id for item in session.line_items]
    path = f"/v1/checkout/sessions/{session.id}/line_items"
    assert ["limit=100", f"limit=100&starting_after={ids[99]}"] == [each.query for each in server.traffic.at(path)]


async def test_payment_intent_and_events(server: StripeServer, ask: Ask) -> None:
    """PaymentIntents and events can be retrieved, and undelivered events listed through every page."""
    session, event = server.world.play(Order(outcome=Outcome.UNPAID))
    assert event is not None
    failed = server.world.settle(session.id, Settlement.FAILED)
    assert failed is not None
    server.world.mark(event.id, DeliveryState.SUCCEEDED)
    client = ask()
    intent = await client.v1.payment_intents.retrieve_async(session.payment_intent or "")
    assert intent.last_payment_error is not None
    assert (intent.status, intent.last_payment_error.type) == ("requires_payment_method", "card_error")
    shown = await client.v1.events.retrieve_async(event.id)
    assert (shown.type, shown.data.object["id"]) == ("checkout.session.completed", session.id)
    undelivered = await client.v1.events.list_async(
        {
            "types": ["checkout.session.completed", "checkout.session.async_payment_failed"],
            "delivery_success": False,
            "created": {"gte": session.created},
            "limit": 1,
        }
    )
    assert [failed.id] == [each.id async for each in undelivered.auto_paging_iter()]


async def test_connected_account(server: StripeServer, ask: Ask) -> None:
    """A connected account's Session is found with its account's header only, which comes back."""
    session, _ = server.world.play(Order(account="acct_1"))
    client = ask()
    shown = await client.v1.checkout.sessions.retrieve_async(session.id, options={"stripe_account": "acct_1"})
    assert shown.id == session.id
    headers = shown.last_response.headers if shown.last_response else {}
    assert (headers["Stripe-Account"], headers["Stripe-Version"]) == ("acct_1", "2026-10-28.endive")
    assert headers["Request-Id"].startswith("req_")
    with pytest.raises(stripe.InvalidRequestError, match=r"No such checkout\.session"):
        await client.v1.checkout.sessions.retrieve_async(session.id)


@pytest.mark.parametrize(
    ("key", "error", "status", "code"),
    [
        (TEST_KEY, stripe.InvalidRequestError, 404, "resource_missing"),
        (LIVE_KEY, stripe.InvalidRequestError, 404, "resource_missing"),
        ("sk_test_unknown", stripe.AuthenticationError, 401, None),
        (POWERLESS_KEY, stripe.PermissionError, 403, None),
    ],
)
async def test_refusals(ask: Ask, key: str, error: type[stripe.StripeError], status: int, code: str | None) -> None:
    """Stripe's library makes the right error of each refusal."""
    with pytest.raises(error) as caught:
        await ask(key).v1.checkout.sessions.retrieve_async("cs_test_other")
    assert (status, code) == (caught.value.http_status, caught.value.code)
    assert caught.value.request_id is not None


async def test_live_key_for_a_test_session(server: StripeServer, ask: Ask) -> None:
    """A live key that asks for a test Session is told so."""
    session, _ = server.world.play(Order())
    with pytest.raises(stripe.InvalidRequestError, match="exists in test mode, but a live mode key was used"):
        await ask(LIVE_KEY).v1.checkout.sessions.retrieve_async(session.id)


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/checkout/sessions/cs_1/nothing"])
async def test_unknown_url(server: StripeServer, path: str) -> None:
    """An endpoint that the stand-in does not have is answered as Stripe answers an unknown one."""
    async with aiohttp.ClientSession() as http, http.get(server.url + path) as response:
        body = await response.json()
    assert (response.status, body["error"]["type"]) == (404, "invalid_request_error")
    assert f"Unrecognized request URL (GET: {path})" in body["error"]["message"]


@pytest.mark.parametrize(
    ("fault", "error", "headers"),
    [
        (Fail(status=429, retry_after="7"), stripe.RateLimitError, {"Retry-After": "7"}),
        (Fail(status=429, should_retry=False), stripe.RateLimitError, {"Stripe-Should-Retry": "false"}),
        (Fail(status=409), stripe.APIError, {}),
        (Fail(status=500), stripe.APIError, {}),
        (Fail(status=503, retry_after="1"), stripe.APIError, {"Retry-After": "1"}),
        (Fail(status=402), stripe.CardError, {}),
    ],
)
async def test_refusing(
    server: StripeServer, ask: Ask, fault: Fail, error: type[stripe.StripeError], headers: dict[str, str]
) -> None:
    """Told to refuse, the stand-in does it with Stripe's error and headers, and then is well again."""
    session, _ = server.world.play(Order())
    server.faults.set([Fail(**{f: getattr(fault, f) for f in fault.__struct_fields__} | {"times": 1})])
    sessions = ask().v1.checkout.sessions
    with pytest.raises(error) as caught:
        await sessions.retrieve_async(session.id)
    shown = dict(caught.value.headers or {})
    assert (fault.status, headers) == (caught.value.http_status, {name: shown[name] for name in headers})
    assert (await sessions.retrieve_async(session.id)).id == session.id
    assert [fault.status, 200] == [each.status for each in server.traffic.requests]


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        # aiohttp asks once more when a connection breaks before any answer.
        (Drop(times=2), [None, None, 200]),
        (Hang(seconds=0, times=2), [None, None, 200]),
        (Hang(seconds=60, times=1), [None, 200]),
    ],
)
async def test_losing_the_connection(
    server: StripeServer, ask: Ask, fault: Drop | Hang, requests: list[int | None]
) -> None:
    """A connection that is dropped, or on which nothing comes, is a connection error; the next one works."""
    session, _ = server.world.play(Order())
    server.faults.set([fault])
    with pytest.raises(stripe.APIConnectionError):
        await ask(seconds=1).v1.checkout.sessions.retrieve_async(session.id)
    assert (await ask().v1.checkout.sessions.retrieve_async(session.id)).id == session.id
    assert requests == [each.status for each in server.traffic.requests]


@pytest.mark.parametrize("fault", [Cut(), Cut(seconds=60)])
async def test_losing_the_connection_in_the_midst_of_an_answer(server: StripeServer, fault: Cut) -> None:
    """The head comes, and half of the body; then the connection is dropped, at once or after a silence."""
    server.faults.set([fault])
    url, key, timeout = f"{server.url}/v1/events", f"Bearer {TEST_KEY}", aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url, headers={"Authorization": key}) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        with pytest.raises((aiohttp.ClientPayloadError, TimeoutError)):
            await answer.read()


async def test_a_retry_gets_through(server: StripeServer, ask: Ask) -> None:
    """What Stripe's library retries by itself is seen as requests of its own."""
    session, _ = server.world.play(Order())
    server.faults.set([Fail(status=429, should_retry=True, times=1)])
    shown = await ask(retries=1).v1.checkout.sessions.retrieve_async(session.id)
    assert (shown.id, [429, 200]) == (session.id, [each.status for each in server.traffic.requests])


async def test_slow_requests_are_in_flight_together(server: StripeServer, ask: Ask) -> None:
    """A slow answer is the right one, and the requests that wait at once are counted."""
    session, _ = server.world.play(Order())
    server.faults.set([Slow(seconds=1)])
    sessions = ask().v1.checkout.sessions
    shown = await asyncio.gather(*(sessions.retrieve_async(session.id) for _ in range(5)))
    assert [session.id] * 5 == [each.id for each in shown]
    assert (server.traffic.greatest_in_flight, server.traffic.in_flight) == (5, 0)


async def test_requests_are_recorded(server: StripeServer, ask: Ask, control: WorldClient) -> None:
    """Who asked for what is known, and can be forgotten."""
    session, _ = server.world.play(Order(account="acct_1"))
    await ask().v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["line_items"]}, {"stripe_account": "acct_1", "idempotency_key": "key-1"}
    )
    traffic = await control.traffic()
    request = traffic.requests[0]
    assert (len(traffic.at(f"/v1/checkout/sessions/{session.id}")), traffic.greatest_in_flight) == (1, 1)
    assert (
        request.method,
        request.query,
        request.account,
        request.status,
    ) == ("GET", "expand[0]=line_items", "acct_1", 200)
    await control.clear_traffic()
    assert (await control.traffic()).requests == []


async def test_control_surface(ask: Ask, control: WorldClient) -> None:
    """Another process can play an order, settle its payment, mark its events, and cause trouble."""
    order = Order(outcome=Outcome.UNPAID, metadata={"basket": "7"}, payment_link="plink_1", client_reference_id="r-1")
    first, second = await control.play(order, count=2)
    assert first.session != second.session
    settled = await control.settle(first.session, Settlement.SUCCEEDED)
    assert first.event is not None
    assert settled is not None
    canceled = await control.settle(second.session, Settlement.CANCELED)
    assert canceled is not None
    assert (canceled.type, canceled.session) == ("payment_intent.canceled", second.session)
    await control.mark({first.event.id: DeliveryState.SUCCEEDED, settled.id: DeliveryState.FAILED})
    assert [(each.type, each.delivery) for each in await control.events(session_id=first.session)] == [
        ("checkout.session.completed", "succeeded"),
        ("checkout.session.async_payment_succeeded", "failed"),
    ]
    assert len(await control.events()) == 4

    await control.set_faults(Fail(status=503, times=1))
    sessions = ask().v1.checkout.sessions
    with pytest.raises(stripe.APIError):
        await sessions.retrieve_async(first.session)
    shown = await sessions.retrieve_async(first.session)
    assert (
        shown.payment_status,
        shown.to_dict()["metadata"]["basket"],
        shown.payment_link,
        shown.client_reference_id,
    ) == ("paid", "7", "plink_1", "r-1")


@pytest.mark.parametrize("outcome", ["paid", "expired"])
async def test_an_open_page(control: WorldClient, outcome: str) -> None:
    """A buyer can be left on Checkout's page, and go on later."""
    (played,) = await control.play(Order(outcome=Outcome.OPEN))
    assert played.event is None
    event = await control.leave_page(played.session, Outcome(outcome))
    assert event.type == ("checkout.session.completed" if outcome == "paid" else "checkout.session.expired")
    with pytest.raises(WorldRejectedError, match="only an open Session"):
        await control.leave_page(played.session, Outcome(outcome))


async def test_what_comes_after_a_sale(ask: Ask, control: WorldClient) -> None:
    """Another process can let an order be refunded; a PaymentIntent's charge shows it to who asks for it."""
    (played,) = await control.play(Order())
    event = await control.play_after_payment(played.session, AfterPayment.REFUNDED)
    assert event.type == "charge.refunded"
    with pytest.raises(WorldRejectedError, match="cannot be refunded: "):
        await control.play_after_payment(played.session, AfterPayment.REFUNDED)
    sessions = ask().v1.checkout.sessions
    found = await sessions.retrieve_async(played.session, {"expand": ["payment_intent.latest_charge"]})
    assert found.to_dict()["payment_intent"]["latest_charge"]["refunded"] is True
    found = await sessions.retrieve_async(played.session, {"expand": ["payment_intent"]})
    assert found.to_dict()["payment_intent"]["latest_charge"].startswith("ch_")


async def test_control_surface_refuses(server: StripeServer, control: WorldClient) -> None:
    """What cannot happen or is not understood is refused with the reason."""
    with pytest.raises(WorldRejectedError, match="there is no Session cs_test_other"):
        await control.settle("cs_test_other", Settlement.FAILED)
    with pytest.raises(WorldRejectedError, match="cannot be left open"):
        await control.leave_page((await control.play(Order(outcome=Outcome.OPEN)))[0].session, Outcome.OPEN)
    with pytest.raises(WorldRejectedError, match="Expected `int` >= 1"):
        await control.play(Order(line_items=0))
    assert server.traffic.requests == []


async def test_no_stand_in(unused_tcp_port: int) -> None:
    """Without a stand-in at the URL, one line says what to do."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with WorldClient.connect(url) as client:
        with pytest.raises(UnavailableError, match=f"cannot be reached at {url}.*start it with `make demo`"):
            await client.traffic()


async def test_something_else_at_the_url() -> None:
    """A server that is not the stand-in is recognized."""

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with serving(web.get("/{path:.*}", hello)) as url, WorldClient.connect(url) as client:
        with pytest.raises(UnavailableError, match="but not as the stand-in for Stripe does"):
            await client.traffic()


async def test_port_taken(server: StripeServer) -> None:
    """A port that is taken is one clear line."""
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1:{port}"):
        async with stripe_server(new_world(), port=port):
            pass


async def test_a_hanging_request_does_not_hold_the_end() -> None:
    """The server ends at once, though a request still hangs."""
    async with aiohttp.ClientSession() as http:
        async with stripe_server(new_world()) as server, asyncio.timeout(60):
            server.faults.set([Hang(seconds=3600)])
            hanging = asyncio.create_task(_get(http, f"{server.url}/v1/events"))
            while not server.traffic.in_flight:  # noqa: ASYNC110 - the server tells no one of its requests
                await asyncio.sleep(0)
        async with asyncio.timeout(60):
            assert isinstance(await hanging, aiohttp.ClientError)


async def test_as_a_process() -> None:
    """The stand-in runs as a process of its own, and ends with exit code 0 when it is told to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fulfillment_local.fake_stripe", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().split()[-1]
        async with WorldClient.connect(url) as client:
            (played,) = await client.play(Order())
        assert played.session.startswith("cs_test_")
    finally:
        process.terminate()
    assert await process.wait() == 0


async def _get(http: aiohttp.ClientSession, url: str) -> Any:
    try:
        async with http.get(url) as response:
            return response.status
    except aiohttp.ClientError as error:
        return error
