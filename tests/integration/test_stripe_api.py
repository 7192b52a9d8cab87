"""The operator's Stripe client against the stand-in for Stripe, over a real socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
import stripe
from msgspec.structs import replace

from fulfillment_api.spec import Amount, Reversal, ReversalKind
from fulfillment_local.fake_stripe.api import LIVE_KEY, POWERLESS_KEY, TEST_KEY
from fulfillment_local.fake_stripe.model import AfterPayment, Mode, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.objects import session_object
from fulfillment_local.fake_stripe.page import CheckoutPage, Presentment
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.traffic import Cut, Drop, Fail, Fault, Hang, Slow
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_operator.checkout.collected import Invoice
from fulfillment_operator.checkout.session import CheckoutSession, SessionPayment, SessionStatus
from fulfillment_operator.checkout.session_answer import SessionUnreadableError, parse_session
from fulfillment_operator.checkout.stripe_api import StripeApi
from fulfillment_runtime.stripe.client import StripeMisconfiguredError, StripeUnavailableError
from fulfillment_runtime.stripe.http_client import StripeHttpClient
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_runtime.stripe.throttle import Limits, Throttle
from support.builders import make_request

MakeApi = Callable[..., StripeApi]


@pytest.fixture
async def server() -> AsyncIterator[StripeServer]:
    async with stripe_server(new_world(seed=1)) as server:
        yield server


@pytest.fixture
async def make_api(server: StripeServer) -> AsyncIterator[MakeApi]:
    http_clients: list[StripeHttpClient] = []

    def make(
        key: str = TEST_KEY, *, per_second: float = 1000, concurrency: int = 100, timeout: float = 10
    ) -> StripeApi:
        http = StripeHttpClient(timeout=timeout)
        http_clients.append(http)
        client = stripe.StripeClient(key, http_client=http, base_addresses={"api": server.url}, max_network_retries=0)
        limits = Limits(per_second=per_second, per_endpoint=per_second, concurrency=concurrency)
        return StripeApi(StripeReader(client, Throttle(limits)))

    yield make
    for http in http_clients:
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
        (Order(outcome=Outcome.UNPAID), Settlement.FAILED, SessionStatus.COMPLETE, SessionPayment.UNPAID),
        (Order(outcome=Outcome.UNPAID), Settlement.CANCELED, SessionStatus.COMPLETE, SessionPayment.UNPAID),
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
    found = (await retrieve(make_api(), session.id)).payment_intent
    assert (intent and intent.id) == (found and found.id)
    assert len(server.traffic.requests) == requests


@pytest.mark.parametrize("settlement", [Settlement.FAILED, Settlement.CANCELED])
async def test_a_subscription_that_will_not_be_paid_is_known_by_its_invoice(
    server: StripeServer, make_api: MakeApi, settlement: Settlement
) -> None:
    """As a single payment is by its PaymentIntent."""
    session, _ = server.world.play(Order(outcome=Outcome.UNPAID, mode=Mode.SUBSCRIPTION))
    assert (await retrieve(make_api(), session.id)).payment is SessionPayment.UNPAID
    server.world.settle(session.id, settlement)
    assert (await retrieve(make_api(), session.id)).payment is SessionPayment.UNPAID


async def test_an_invoice_that_the_key_may_not_read_waits_for_a_person(server: StripeServer, make_api: MakeApi) -> None:
    """The message names the right."""
    session, _ = server.world.play(Order(mode=Mode.SUBSCRIPTION))
    server.faults.set([Fail(path="/v1/invoice_payments", status=403)])
    with pytest.raises(StripeMisconfiguredError, match="and Invoices where subscriptions are sold"):
        await retrieve(make_api(), session.id)


async def test_an_invoice_of_a_payment_brings_its_links_and_holds_no_order(
    server: StripeServer, make_api: MakeApi
) -> None:
    """What pays it is known already: a key that may not read invoices lacks the links alone."""
    session, _ = server.world.play(Order(page=CheckoutPage(invoice=True)))
    assert session.invoice is not None
    found = await retrieve(make_api(), session.id)
    assert found.collected.invoice == Invoice(
        id=session.invoice,
        hosted_url=f"https://invoice.stripe.com/i/{session.invoice}",
        pdf=f"https://pay.stripe.com/invoice/{session.invoice}/pdf",
    )
    server.faults.set([Fail(path="/v1/invoice_payments", status=403)])
    without = await retrieve(make_api(), session.id)
    assert without.collected.invoice == Invoice(id=session.invoice)
    assert without.payment_intent == found.payment_intent


async def test_what_a_buyer_saw_is_not_told_of_a_part_that_was_taken(server: StripeServer, make_api: MakeApi) -> None:
    """Stripe tells the presentment amount of the whole."""
    session, _ = server.world.play(
        Order(amount=1099, page=CheckoutPage(presentment=Presentment(amount=1634, currency="jpy")))
    )
    found = await retrieve(make_api(), session.id)
    assert found.presentment == Amount(total=1634, currency="jpy", display="1634 JPY")
    answer = parse_session(
        session_object(session)
        | {
            "payment_intent": {
                "id": session.payment_intent,
                "status": "succeeded",
                "currency": "usd",
                "amount": 1099,
                "amount_received": 500,
            }
        },
        session.id,
    )
    part = answer.complete(payment=answer.payment)
    assert (part.amount and part.amount.total, part.presentment) == (500, None)


@pytest.mark.parametrize("mode", [Mode.PAYMENT, Mode.SUBSCRIPTION])
@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (None, (False, None)),
        (AfterPayment.REFUNDED, (True, None)),
        (AfterPayment.DISPUTED, (False, ReversalKind.DISPUTED)),
        (AfterPayment.INQUIRY, (False, ReversalKind.INQUIRY)),
        (AfterPayment.PARTLY_REFUNDED, (False, None)),
    ],
)
async def test_what_came_after_the_sale_is_told(
    server: StripeServer,
    make_api: MakeApi,
    mode: Mode,
    after: AfterPayment | None,
    expected: tuple[bool, ReversalKind | None],
) -> None:
    """It stands in the charge: an order that was refunded is known as such, whether or not an event said so."""
    session, _ = server.world.play(Order(mode=mode))
    if after is not None:
        server.world.play_after_payment(session.id, after)
    found = await retrieve(make_api(), session.id)
    assert (found.refunded, found.dispute) == expected


async def test_how_a_dispute_stands_is_asked_of_disputed_payments_alone(
    server: StripeServer, make_api: MakeApi
) -> None:
    """Every other order costs one request, as before; of several disputes the gravest counts."""
    calm, _ = server.world.play(Order())
    session, _ = server.world.play(Order(account="acct_1"))
    await retrieve(make_api(), calm.id)
    assert [each.path for each in server.traffic.requests] == [f"/v1/checkout/sessions/{calm.id}"]
    for after, expected in (
        (AfterPayment.INQUIRY, ReversalKind.INQUIRY),
        (AfterPayment.DISPUTED, ReversalKind.DISPUTED),
        (AfterPayment.DISPUTE_WON, ReversalKind.DISPUTE_WON),
        (AfterPayment.INQUIRY, ReversalKind.INQUIRY),
        (AfterPayment.INQUIRY_CLOSED, ReversalKind.DISPUTE_WON),
        (AfterPayment.DISPUTED, ReversalKind.DISPUTED),
        (AfterPayment.DISPUTE_LOST, ReversalKind.DISPUTE_LOST),
    ):
        server.world.play_after_payment(session.id, after)
        server.traffic.clear()
        assert (await retrieve(make_api(), session.id, "acct_1")).dispute is expected
        assert [(each.path, each.account) for each in server.traffic.requests][1:] == [("/v1/disputes", "acct_1")]


@pytest.mark.parametrize(
    ("hint", "asked"), [(None, 0), (ReversalKind.REFUNDED, 1), (ReversalKind.INQUIRY, 1), (ReversalKind.DISPUTED, 1)]
)
async def test_whatever_was_reversed_has_its_disputes_asked_for(
    server: StripeServer, make_api: MakeApi, hint: ReversalKind | None, asked: int
) -> None:
    """A charge need not tell of an inquiry, and the event about a refund may have come after the one about that."""
    session, _ = server.world.play(Order())
    request = make_request(session_id=session.id)
    reversal = Reversal(kind=hint) if hint is not None else None
    api = make_api()
    await api.retrieve_for(replace(request, spec=replace(request.spec, reversal=reversal)))
    assert len(server.traffic.at("/v1/disputes")) == asked
    await api.close()


async def test_a_key_that_may_not_read_disputes_waits_for_a_person(server: StripeServer, make_api: MakeApi) -> None:
    """Only a disputed order meets that; the check of the configuration, before there is one."""
    session, _ = server.world.play(Order())
    server.faults.set([Fail(path="/v1/disputes", status=403)])
    await retrieve(make_api(), session.id)
    server.world.play_after_payment(session.id, AfterPayment.DISPUTED)
    for asking in (retrieve(make_api(), session.id), make_api().check_disputes()):
        with pytest.raises(StripeMisconfiguredError, match="Charges and Disputes"):
            await asking


async def test_a_key_that_may_not_read_disputes_tells_of_refunds(server: StripeServer, make_api: MakeApi) -> None:
    """Of a payment that is not disputed; of one that an event says is, a person is needed."""
    session, _ = server.world.play(Order())
    server.world.play_after_payment(session.id, AfterPayment.REFUNDED)
    server.faults.set([Fail(path="/v1/disputes", status=403)])
    request, api = make_request(session_id=session.id), make_api()
    refunded = replace(request, spec=replace(request.spec, reversal=Reversal(kind=ReversalKind.REFUNDED)))
    found = await api.retrieve_for(refunded)
    assert found is not None
    assert (found.refunded, found.dispute) == (True, None)
    disputed = replace(request, spec=replace(request.spec, reversal=Reversal(kind=ReversalKind.INQUIRY)))
    with pytest.raises(StripeMisconfiguredError, match="Charges and Disputes"):
        await api.retrieve_for(disputed)
    await api.close()


async def test_what_was_given_back_is_told_with_its_amount(server: StripeServer, make_api: MakeApi) -> None:
    """As far as no refund failed."""
    session, _ = server.world.play(Order(amount=5900))
    given_back = []
    for after in (
        AfterPayment.PARTLY_REFUNDED,
        AfterPayment.REFUNDED,
        AfterPayment.REFUND_FAILED,
        AfterPayment.REFUNDED,
    ):
        server.world.play_after_payment(session.id, after)
        found = await retrieve(make_api(), session.id)
        assert found.amount_refunded is not None
        given_back.append((found.refunded, found.amount_refunded.display))
    assert given_back == [(False, "29.50 USD"), (True, "59.00 USD"), (False, "29.50 USD"), (True, "59.00 USD")]


async def test_a_session_that_does_not_exist(make_api: MakeApi) -> None:
    """None, and no error."""
    assert await make_api().retrieve("cs_test_unknown", None) is None


def missing(path: str) -> Fail:
    return Fail(path=path, status=404, code="resource_missing")


@pytest.mark.parametrize(
    ("order", "part", "message"),
    [
        (Order(line_items=11), "/line_items", "line items has no end, or is none"),
        (Order(mode=Mode.SUBSCRIPTION), "/v1/invoice_payments", "does not know the invoice that it names"),
    ],
)
async def test_a_part_that_is_missing_is_no_missing_session(
    server: StripeServer, make_api: MakeApi, order: Order, part: str, message: str
) -> None:
    """The Session is there: without what it takes to judge or to fulfill the order, a person must look."""
    session, _ = server.world.play(order)
    server.faults.set([missing(part)])
    with pytest.raises(SessionUnreadableError, match=message):
        await make_api().retrieve(session.id, None)


async def test_a_part_that_is_missing_and_not_needed_is_left_out(server: StripeServer, make_api: MakeApi) -> None:
    """The links of an invoice whose payment is known; and of a dispute the charge says that there is one."""
    session, _ = server.world.play(Order(page=CheckoutPage(invoice=True)))
    server.world.play_after_payment(session.id, AfterPayment.DISPUTED)
    server.faults.set([missing(each) for each in ("/v1/invoice_payments", "/v1/disputes")])
    found = await retrieve(make_api(), session.id)
    assert found.collected.invoice == Invoice(id=session.invoice or "")
    assert found.dispute is ReversalKind.DISPUTED


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
        (
            POWERLESS_KEY,
            "Stripe does not allow this API key to read Checkout Sessions, PaymentIntents, Charges and Disputes",
        ),
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
        (Fail(status=429, retry_after="7"), "Stripe's API answered 429", timedelta(seconds=7)),
        (Fail(status=429), "Stripe's API answered 429", None),
        (Fail(status=500), "Stripe's API answered 500", None),
        (Fail(status=503), "Stripe's API answered 503", None),
        (Drop(), "Stripe's API cannot be reached", None),
        (Hang(seconds=30), "Stripe's API cannot be reached", None),
        (Cut(), "Stripe's API cannot be reached", None),
        (Cut(seconds=30), "Stripe's API cannot be reached", None),
    ],
)
async def test_a_passing_fault_passes(
    server: StripeServer, make_api: MakeApi, fault: Fault, message: str, after: timedelta | None
) -> None:
    """Throttling, failures, lost connections and silence, also in the midst of an answer, are worth another try."""
    session, _ = server.world.play(Order())
    server.faults.set([fault])
    with pytest.raises(StripeUnavailableError, match=message) as caught:
        await make_api(timeout=0.5 if isinstance(fault, Hang | Cut) else 10).retrieve(session.id, None)
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
