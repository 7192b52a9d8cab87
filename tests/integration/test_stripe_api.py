"""The operator's Stripe client against the stand-in for Stripe, over a real socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
import stripe

from fulfillment_local.stripe_world.api import LIVE_KEY, POWERLESS_KEY, TEST_KEY
from fulfillment_local.stripe_world.model import AfterSale, Mode, Order, Outcome, Settlement
from fulfillment_local.stripe_world.server import StripeServer, stripe_server
from fulfillment_local.stripe_world.traffic import Drop, Fault, Hang, Refuse, Slow
from fulfillment_local.stripe_world.world import new_world
from fulfillment_operator.checkout import CheckoutSession, SessionPayment, SessionStatus
from fulfillment_operator.stripe_api import StripeApi
from fulfillment_runtime.stripe_connection import StripeMisconfiguredError, StripeUnavailableError

MakeApi = Callable[..., StripeApi]


@pytest.fixture
async def server() -> AsyncIterator[StripeServer]:
    async with stripe_server(new_world(seed=1)) as server:
        yield server


@pytest.fixture
async def make_api(server: StripeServer) -> AsyncIterator[MakeApi]:
    http = stripe.AIOHTTPClient(timeout=0.5)

    def make(key: str = TEST_KEY, *, per_second: float = 1000, concurrency: int = 100) -> StripeApi:
        client = stripe.StripeClient(key, http_client=http, base_addresses={"api": server.url}, max_network_retries=0)
        return StripeApi(client, per_second=per_second, concurrency=concurrency)

    yield make
    await http.close_async()  # type: ignore[no-untyped-call] # the library's


async def retrieve(api: StripeApi, session_id: str, account: str | None = None) -> CheckoutSession:
    session = await api.retrieve(session_id, account)
    assert session is not None
    return session


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (10, 1), (11, 2), (110, 2), (137, 3)])
async def test_every_line_item_is_retrieved(server: StripeServer, make_api: MakeApi, count: int, requests: int) -> None:
    """Ten come with the Session, the rest in pages of a hundred, in Stripe's order, none twice."""
    session, _ = server.world.play(Order(line_items=count))
    found = await retrieve(make_api(), session.id)
    assert [item.id for item in found.line_items] == [item.id for item in session.line_items]
    assert sum(item.amount_total or 0 for item in found.line_items) == session.total
    assert found.amount is not None
    assert found.amount.total == session.total
    assert len(server.traffic.requests) == requests


async def test_the_session_is_retrieved_with_what_the_decision_needs(server: StripeServer, make_api: MakeApi) -> None:
    """One request, with the line items, the PaymentIntent and its charge, in the library's pinned API version."""
    session, _ = server.world.play(Order())
    found = await retrieve(make_api(), session.id)
    (request,) = server.traffic.requests
    assert parse_qsl(request.query) == [("expand[0]", "line_items"), ("expand[1]", "payment_intent.latest_charge")]
    assert request.api_version == "2026-10-28.endive"
    assert found.customer is not None
    assert found.customer.email == session.buyer.email


@pytest.mark.parametrize(
    ("order", "settlement", "status", "payment"),
    [
        (Order(), None, SessionStatus.COMPLETE, SessionPayment.PAID),
        (Order(mode=Mode.SUBSCRIPTION), None, SessionStatus.COMPLETE, SessionPayment.PAID),
        (Order(outcome=Outcome.FREE), None, SessionStatus.COMPLETE, SessionPayment.NO_PAYMENT_REQUIRED),
        (Order(outcome=Outcome.UNPAID), None, SessionStatus.COMPLETE, SessionPayment.UNPAID),
        (Order(outcome=Outcome.UNPAID), Settlement.SUCCEEDED, SessionStatus.COMPLETE, SessionPayment.PAID),
        (Order(outcome=Outcome.UNPAID), Settlement.FAILED, SessionStatus.COMPLETE, SessionPayment.FAILED),
        (Order(outcome=Outcome.UNPAID), Settlement.CANCELED, SessionStatus.COMPLETE, SessionPayment.FAILED),
        (Order(outcome=Outcome.OPEN), None, SessionStatus.OPEN, SessionPayment.UNPAID),
        (Order(outcome=Outcome.EXPIRED), None, SessionStatus.EXPIRED, SessionPayment.UNPAID),
    ],
)
async def test_what_stripe_says_of_each_session(
    server: StripeServer,
    make_api: MakeApi,
    order: Order,
    settlement: Settlement | None,
    status: SessionStatus,
    payment: SessionPayment,
) -> None:
    """The payment of a completed, unpaid Session is known by its PaymentIntent."""
    session, _ = server.world.play(order)
    if settlement is not None:
        server.world.settle(session.id, settlement)
    found = await retrieve(make_api(), session.id)
    assert (found.status, found.payment) == (status, payment)


@pytest.mark.parametrize(
    ("order", "requests"), [(Order(), 1), (Order(mode=Mode.SUBSCRIPTION), 2), (Order(outcome=Outcome.FREE), 1)]
)
async def test_what_pays_a_session_is_found(
    server: StripeServer, make_api: MakeApi, order: Order, requests: int
) -> None:
    """Of a subscription by its first invoice, which takes another request; of what costs nothing, nothing does."""
    session, _ = server.world.play(order)
    intent = server.world.payment_of(session.id)
    assert (intent.id if intent else None) == (await retrieve(make_api(), session.id)).payment_intent
    assert len(server.traffic.requests) == requests


@pytest.mark.parametrize("settlement", [Settlement.FAILED, Settlement.CANCELED])
async def test_a_subscription_that_will_not_be_paid_is_known_by_its_invoice(
    server: StripeServer, make_api: MakeApi, settlement: Settlement
) -> None:
    """As a single payment is by its PaymentIntent."""
    session, _ = server.world.play(Order(outcome=Outcome.UNPAID, mode=Mode.SUBSCRIPTION))
    assert (await retrieve(make_api(), session.id)).payment is SessionPayment.UNPAID
    server.world.settle(session.id, settlement)
    assert (await retrieve(make_api(), session.id)).payment is SessionPayment.FAILED


async def test_an_invoice_that_the_key_may_not_read_waits_for_a_person(server: StripeServer, make_api: MakeApi) -> None:
    """The message names the right."""
    session, _ = server.world.play(Order(mode=Mode.SUBSCRIPTION))
    server.faults.set([Refuse(path="/v1/invoice_payments", status=403)])
    with pytest.raises(StripeMisconfiguredError, match="and Invoices where subscriptions are sold"):
        await retrieve(make_api(), session.id)


@pytest.mark.parametrize("mode", [Mode.PAYMENT, Mode.SUBSCRIPTION])
@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (None, (False, False)),
        (AfterSale.REFUNDED, (True, False)),
        (AfterSale.DISPUTED, (False, True)),
        (AfterSale.PARTLY_REFUNDED, (False, False)),
    ],
)
async def test_what_came_after_the_sale_is_told(
    server: StripeServer,
    make_api: MakeApi,
    mode: Mode,
    after: AfterSale | None,
    expected: tuple[bool, bool],
) -> None:
    """It stands in the charge: an order that was refunded is known as such, whether or not an event said so."""
    session, _ = server.world.play(Order(mode=mode))
    if after is not None:
        server.world.come_after(session.id, after)
    found = await retrieve(make_api(), session.id)
    assert (found.refunded, found.disputed) == expected


async def test_a_session_that_does_not_exist(make_api: MakeApi) -> None:
    """None, and no error."""
    assert await make_api().retrieve("cs_test_unknown", None) is None


async def test_a_session_of_the_other_mode_or_account_does_not_exist(server: StripeServer, make_api: MakeApi) -> None:
    """A key sees the Sessions of its own mode, and of a connected account only when it names that."""
    test, _ = server.world.play(Order())
    connected, _ = server.world.play(Order(account="acct_1"))
    assert await make_api(LIVE_KEY).retrieve(test.id, None) is None
    assert await make_api().retrieve(connected.id, None) is None
    assert (await retrieve(make_api(), connected.id, "acct_1")).id == connected.id


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("sk_test_wrong", "Stripe does not know the API key: mend STRIPE_API_KEY"),
        (POWERLESS_KEY, "Stripe does not allow this API key to read Checkout Sessions, PaymentIntents and Charges"),
    ],
)
async def test_a_wrong_key_waits_for_a_person(server: StripeServer, make_api: MakeApi, key: str, message: str) -> None:
    """The message says what to mend, and not the key."""
    session, _ = server.world.play(Order())
    with pytest.raises(StripeMisconfiguredError, match=message) as caught:
        await make_api(key).retrieve(session.id, None)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "message", "after"),
    [
        (Refuse(status=429, retry_after="7"), "Stripe's API answered 429", timedelta(seconds=7)),
        (Refuse(status=429), "Stripe's API answered 429", None),
        (Refuse(status=500), "Stripe's API answered 500", None),
        (Refuse(status=503), "Stripe's API answered 503", None),
        (Drop(), "Stripe's API cannot be reached", None),
        (Hang(seconds=30), "Stripe's API cannot be reached", None),
    ],
)
async def test_a_passing_fault_passes(
    server: StripeServer, make_api: MakeApi, fault: Fault, message: str, after: timedelta | None
) -> None:
    """Throttling, failures, lost connections and silence are worth another try, at the time that Stripe names."""
    session, _ = server.world.play(Order())
    server.faults.set([fault])
    with pytest.raises(StripeUnavailableError, match=message) as caught:
        await make_api().retrieve(session.id, None)
    assert caught.value.after == after
    server.faults.set([])
    assert (await retrieve(make_api(), session.id)).id == session.id


async def test_requests_are_bounded_in_number(server: StripeServer, make_api: MakeApi) -> None:
    """However many orders are due, no more than so many ask at once."""
    sessions = [server.world.play(Order())[0] for _ in range(12)]
    server.faults.set([Slow(seconds=0.02)])
    api = make_api(concurrency=3)
    await asyncio.gather(*(api.retrieve(session.id, None) for session in sessions))
    assert server.traffic.greatest_in_flight == 3


async def test_requests_are_bounded_in_rate(server: StripeServer, make_api: MakeApi) -> None:
    """Ten in a second's allowance go at once; the next five wait for theirs."""
    sessions = [server.world.play(Order())[0] for _ in range(15)]
    api = make_api(per_second=10)
    began = time.monotonic()
    await asyncio.gather(*(api.retrieve(session.id, None) for session in sessions))
    assert time.monotonic() - began >= 0.4
