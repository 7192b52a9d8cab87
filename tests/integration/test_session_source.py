"""Where Sessions come from, against the stand-in for Stripe: one at once, a backlog in bulk."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
import stripe

from fulfillment_api.resource import FulfillmentRequest, ObjectMeta
from fulfillment_api.spec import Payment, PaymentStatus, Spec
from fulfillment_api.spec import Session as SpecSession
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.model import AfterPayment, Order, Outcome, Session, Settlement
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.traffic import Alter, Cut, Drop, Fail, Fault, Slow
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_operator.checkout.session import SessionPayment
from fulfillment_operator.checkout.session_list import Due
from fulfillment_operator.checkout.session_page import SESSIONS
from fulfillment_operator.checkout.session_source import SessionSource, due_of
from fulfillment_operator.checkout.stripe_api import StripeApi
from fulfillment_operator.controller.workqueue import WorkQueue
from fulfillment_runtime.stripe.http_client import StripeHttpClient
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_runtime.stripe.throttle import Limits, Throttle

START = 1_790_000_000.0
PLENTY = Limits(per_second=1000, per_endpoint=1000, concurrency=10)
TEN_AT_ONCE = Limits(per_second=1000, per_endpoint=10, concurrency=10)


@dataclass
class Orders:
    """Orders that are due, as the controller has them."""

    requests: dict[str, FulfillmentRequest] = field(default_factory=dict)
    queue: WorkQueue = field(default_factory=WorkQueue)
    preferred: set[str] = field(default_factory=set)

    def add(self, *requests: FulfillmentRequest) -> None:
        for request in requests:
            self.requests[request.metadata.name] = request
            self.queue.add(request.metadata.name, urgent=True)

    def queue_depth(self) -> int:
        return len(self.queue)

    def queued(self) -> Iterable[Due]:
        return (due_of(self.requests[name]) for name in self.queue)

    def prefer(self, names: Iterable[str]) -> None:
        names = list(names)
        self.preferred.update(names)
        self.queue.prefer(names)


@dataclass
class Shop:
    """An account at Stripe, of which one Session is created each second."""

    stripe: StripeServer
    reader: StripeReader
    now: float = 0.0

    def sell(self, order: Order | None = None) -> Session:
        session, _ = self.stripe.world.play(order or Order())
        return session

    def lists(self) -> int:
        return len(self.stripe.traffic.at(SESSIONS))

    def by_id(self) -> int:
        return len(self.stripe.traffic.requests) - self.lists()


@asynccontextmanager
async def open_shop(limits: Limits = PLENTY) -> AsyncIterator[Shop]:
    time = START

    def tick() -> float:
        nonlocal time
        time += 1 / 3  # three readings of the clock to an order
        return time

    http = StripeHttpClient(timeout=10)
    async with stripe_server(new_world(seed=1, clock=tick)) as server:
        client = stripe.StripeClient(TEST_KEY, http_client=http, base_addresses={"api": server.url})
        yield Shop(server, StripeReader(client, Throttle(limits)))
    await http.close_async()  # type: ignore[no-untyped-call] # the library's


def request_of(session: Session, *, version: str = "1", **changes: Any) -> FulfillmentRequest:
    """Make the request of a Session, as the service does of a snapshot event."""
    facts: dict[str, Any] = {
        "created_at": datetime.fromtimestamp(session.created, UTC),
        "account": session.order.account,
        **changes,
    }
    return FulfillmentRequest(
        metadata=ObjectMeta(
            name=session.id,
            namespace="shop",
            uid="1",
            resource_version=version,
            generation=1,
            creation_timestamp=datetime.fromtimestamp(session.created, UTC),
        ),
        spec=Spec(
            session=SpecSession(id=session.id, livemode=False, **facts), payment=Payment(status=PaymentStatus.PAID)
        ),
    )


async def work(source: SessionSource, orders: Orders, workers: int = 32) -> dict[str, Any]:
    """Let workers ask for all that is due; return what each was answered, or what was raised."""
    answers: dict[str, Any] = {}
    count = len(orders.queue)

    async def one() -> None:
        while (name := await orders.queue.get()) is not None:
            try:
                answers[name] = await source.retrieve_due(due_of(orders.requests[name]))
            except stripe.StripeError as error:
                answers[name] = error
            orders.queue.done(name)
            if len(answers) == count:
                orders.queue.shut_down()

    async with asyncio.timeout(60):
        await asyncio.gather(*(one() for _ in range(workers)))
    return answers


def backlog_of(sessions: Iterable[Session]) -> Orders:
    """Make what waits, in any order."""
    orders = Orders()
    found = list(sessions)
    Random(1).shuffle(found)
    orders.add(*map(request_of, found))
    return orders


async def test_a_single_order_is_asked_for_by_itself() -> None:
    """At once, and by its id, however many orders there were before."""
    async with open_shop() as shop:
        source = SessionSource(shop.reader)
        for _ in range(3):
            session = shop.sell()
            answer = await source.retrieve_due(due_of(request_of(session)))
            assert answer["id"] == session.id  # type: ignore[index] # it is Stripe's JSON
        assert (shop.lists(), shop.by_id()) == (0, 3)


async def test_a_backlog_takes_a_request_for_many() -> None:
    """800 orders among 480 Sessions of other apps: less than a tenth of a request for each."""
    async with open_shop(Limits(per_second=1000, per_endpoint=20, concurrency=10)) as shop:
        sold = [shop.sell() for _ in range(1280)]
        source = SessionSource(shop.reader)
        source.backlog = orders = backlog_of(session for place, session in enumerate(sold) if place % 8 < 5)
        answers = await work(source, orders)
        assert {name: answer["id"] for name, answer in answers.items()} == {name: name for name in orders.requests}
        assert all(answer["line_items"]["data"] for answer in answers.values())
        assert all(answer["payment_intent"]["latest_charge"]["id"] for answer in answers.values())
        assert len(shop.stripe.traffic.requests) <= 800 * 0.1
        await source.close()


async def test_what_has_no_turn_is_asked_for_together() -> None:
    """Without anything queued: twelve that wait, where five a second are asked for by id."""
    async with open_shop(Limits(per_second=1000, per_endpoint=5, concurrency=10)) as shop:
        source = SessionSource(shop.reader)
        sold = [shop.sell() for _ in range(12)]
        await asyncio.gather(*(source.retrieve_due(due_of(request_of(each))) for each in sold))
        assert shop.lists() >= 1
        assert shop.lists() + shop.by_id() < 12
        await source.close()


async def test_an_answer_is_newer_than_the_wish() -> None:
    """What was listed of a queued order serves it as it was then, and not once it has changed."""
    async with open_shop() as shop:
        sold = [shop.sell(Order(outcome=Outcome.UNPAID)) for _ in range(20)]
        source = SessionSource(shop.reader)
        source.backlog = orders = Orders()
        orders.add(*map(request_of, sold[1:]))
        await source.retrieve_due(due_of(request_of(sold[0])))
        shop.stripe.traffic.clear()
        shop.stripe.world.settle(sold[1].id, Settlement.SUCCEEDED)
        shop.stripe.world.settle(sold[2].id, Settlement.SUCCEEDED)
        before = await source.retrieve_due(due_of(request_of(sold[1])))
        after = await source.retrieve_due(due_of(request_of(sold[2], version="2")))
        assert [each["payment_status"] for each in (before, after)] == ["unpaid", "paid"]  # type: ignore[index]
        assert shop.stripe.traffic.requests  # for the second one
        # And for a second wish nothing is left of the first.
        again = await source.retrieve_due(due_of(request_of(sold[1])))
        assert again["payment_status"] == "paid"  # type: ignore[index] # likewise
        await source.close()


async def test_what_is_kept_for_an_order_gets_too_old() -> None:
    """After ten seconds it is asked for again."""
    async with open_shop() as shop:
        now = 0.0
        sold = [shop.sell(Order(outcome=Outcome.UNPAID)) for _ in range(20)]
        source = SessionSource(shop.reader, clock=lambda: now)
        source.backlog = orders = Orders()
        orders.add(*map(request_of, sold[1:]))
        await source.retrieve_due(due_of(request_of(sold[0])))
        shop.stripe.world.settle(sold[1].id, Settlement.SUCCEEDED)
        now = 10.5
        answer = await source.retrieve_due(due_of(request_of(sold[1])))
        assert answer["payment_status"] == "paid"  # type: ignore[index] # it is Stripe's JSON
        await source.close()


@dataclass
class AskedTwice:
    """A page that is on its way with an order of which Stripe has told more since."""

    shop: Shop
    orders: Orders
    name: str
    """Of that order."""
    newer: asyncio.Task[Any]
    """Waits for what stands at Stripe since."""


@asynccontextmanager
async def asked_while_a_page_is_on_its_way() -> AsyncIterator[AskedTwice]:
    """Yield once the page has come."""
    async with open_shop(TEN_AT_ONCE) as shop:
        sold = [shop.sell(Order(outcome=Outcome.UNPAID)) for _ in range(20)]
        source = SessionSource(shop.reader)
        source.backlog = orders = Orders()
        orders.add(*map(request_of, sold[1:]))
        shop.stripe.faults.set([Slow(seconds=0.3, times=1)])
        first = asyncio.create_task(source.retrieve_due(due_of(request_of(sold[0]))))
        while not shop.lists():  # noqa: ASYNC110 - the stand-in tells nobody
            await asyncio.sleep(0.01)
        newer = asyncio.create_task(source.retrieve_due(due_of(request_of(sold[5], version="2"))))
        await first
        yield AskedTwice(shop, orders, request_of(sold[5]).metadata.name, newer)
        await source.close()


async def test_a_wish_that_comes_while_a_page_is_on_its_way_is_not_served_by_it() -> None:
    """The page may be older than what the wish is about."""
    async with asked_while_a_page_is_on_its_way() as asked:
        requests = len(asked.shop.stripe.traffic.requests)
        await asked.newer
        assert len(asked.shop.stripe.traffic.requests) > requests


async def test_an_answer_that_is_too_old_for_who_waits_is_not_kept() -> None:
    """It would hide the order from the pages that are asked for next, for as long as it is kept."""
    async with asked_while_a_page_is_on_its_way() as asked:
        assert asked.orders.preferred
        assert asked.name not in asked.orders.preferred
        await asked.newer


async def test_what_a_list_lacks_is_asked_for_by_id() -> None:
    """A Session that expired, or that Stripe does not know, concerns its own order alone."""
    async with open_shop() as shop:
        sold = [shop.sell() for _ in range(20)]
        gone = replace(sold[3], id="cs_test_gone")
        expired = shop.sell(Order(outcome=Outcome.EXPIRED))
        source = SessionSource(shop.reader)
        source.backlog = orders = backlog_of([*sold, gone, expired])
        answers = await work(source, orders)
        assert isinstance(answers.pop(gone.id), stripe.InvalidRequestError)
        assert answers.pop(expired.id)["status"] == "expired"
        assert all(answer["payment_status"] == "paid" for answer in answers.values())
        assert shop.by_id() == 2
        await source.close()


async def test_each_account_has_a_list_of_its_own() -> None:
    """What a connected account sold does not stand in the key's own list."""
    async with open_shop() as shop:
        sold = [shop.sell(Order(account=account)) for account in (None, "acct_1") for _ in range(15)]
        source = SessionSource(shop.reader)
        source.backlog = orders = backlog_of(sold)
        answers = await work(source, orders)
        assert all(answer["id"] == name for name, answer in answers.items())
        assert {each.account for each in shop.stripe.traffic.at(SESSIONS)} == {None, "acct_1"}
        assert shop.by_id() <= 15  # while the first page shows whether lists pay
        await source.close()


@pytest.mark.parametrize(
    "fault",
    [
        Fail(status=403, times=1),
        Fail(status=400, times=1),
        Fail(status=500, times=1),
        Fail(status=429, retry_after="0", times=1),
        Alter(fields={"data": None}, times=1),
        Alter(fields={"data": [7, {"id": 5}, {"id": "cs_1", "created": "x"}]}, times=1),
        Alter(fields={}, without=("data", "has_more"), times=1),
    ],
)
async def test_a_list_that_is_none_keeps_nobody_waiting(fault: Fault) -> None:
    """Each order is asked for by its id."""
    async with open_shop() as shop:
        source = SessionSource(shop.reader)
        source.backlog = orders = backlog_of(shop.sell() for _ in range(15))
        shop.stripe.faults.set([fault])
        answers = await work(source, orders, workers=15)
        assert all(answer["id"] == name for name, answer in answers.items())
        assert (shop.lists(), shop.by_id()) == (1, 15)
        await source.close()


@pytest.mark.parametrize("fault", [Drop(), Cut()])
async def test_an_outage_is_told_to_those_that_wait(fault: Fault) -> None:
    """By their ids they would fare no better. Those that are queued ask when it is their turn."""
    async with open_shop() as shop:
        source = SessionSource(shop.reader)
        source.backlog = orders = backlog_of(shop.sell() for _ in range(15))
        shop.stripe.faults.set([fault])
        answers = await work(source, orders, workers=4)
        assert all(isinstance(answer, stripe.APIConnectionError) for answer in answers.values())
        assert len(answers) == 15
        await source.close()


async def test_who_waits_may_be_cancelled() -> None:
    """The others are answered as before."""
    async with open_shop() as shop:
        source = SessionSource(shop.reader)
        sold = [shop.sell() for _ in range(20)]
        source.backlog = orders = Orders()
        orders.add(*map(request_of, sold))
        shop.stripe.faults.set([Slow(seconds=0.2)])
        first, second = (asyncio.create_task(source.retrieve_due(due_of(request_of(each)))) for each in sold[:2])
        await asyncio.sleep(0.05)
        first.cancel()
        answer = await second
        assert answer["id"] == sold[1].id  # type: ignore[index] # it is Stripe's JSON
        await source.close()


async def test_an_order_that_no_page_shows_is_asked_for_while_one_is_on_its_way() -> None:
    """As long as there is a turn for it."""
    async with open_shop() as shop:
        source = SessionSource(shop.reader)
        source.backlog = orders = Orders()
        elsewhere, *sold = [shop.sell() for _ in range(12)]
        orders.add(*map(request_of, sold))
        shop.stripe.faults.set([Slow(seconds=30, times=1)])
        of_the_page = [asyncio.create_task(source.retrieve_due(due_of(request_of(each)))) for each in sold]
        while not shop.lists():  # noqa: ASYNC110 - the stand-in tells nobody
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            await source.retrieve_due(Due(elsewhere.id, int(START) - 10_000))
        for each in of_the_page:
            each.cancel()
        await source.close()


async def test_no_order_is_left_waiting_when_a_page_lands_as_a_turn_is_given() -> None:
    """Its end gives the next turn, whose order was cancelled meanwhile: what waits from then on is asked for, too."""
    async with open_shop(replace(PLENTY, concurrency=1)) as shop:
        source = SessionSource(shop.reader)
        source.backlog = orders = Orders()
        sold = [shop.sell() for _ in range(20)]
        orders.add(*map(request_of, sold[:10]))
        shop.stripe.faults.set([Slow(seconds=0.2, times=1)])
        of_the_page = [asyncio.create_task(source.retrieve_due(due_of(request_of(each)))) for each in sold[:10]]
        while not shop.lists():  # noqa: ASYNC110 - the stand-in tells nobody
            await asyncio.sleep(0.01)
        elsewhere = asyncio.create_task(source.retrieve_due(Due("cs_test_elsewhere", int(START) - 10_000)))
        await asyncio.sleep(0)
        elsewhere.cancel()
        await asyncio.gather(*of_the_page)
        async with asyncio.timeout(10):
            await asyncio.gather(*(source.retrieve_due(due_of(request_of(each))) for each in sold[10:]))
        await source.close()


async def test_an_order_of_a_list_is_completed_as_any_other() -> None:
    """More line items than a page shows, and how a dispute stands, are asked for; an odd one concerns itself alone."""
    async with open_shop() as shop:
        sold = [shop.sell(Order(line_items=12 if place == 4 else 1)) for place in range(20)]
        shop.stripe.world.play_after_payment(sold[5].id, AfterPayment.DISPUTED)
        api = StripeApi(shop.reader)
        orders = Orders()
        orders.add(*map(request_of, sold))
        api.serve(orders)
        found = await asyncio.gather(*(api.retrieve_for(request_of(each)) for each in sold))
        assert [len(each.line_items) for each in found if each] == [12 if place == 4 else 1 for place in range(20)]
        assert [place for place, each in enumerate(found) if each and each.dispute] == [5]
        assert {each.payment for each in found if each} == {SessionPayment.PAID}
        assert shop.lists() == 1
        await api.close()
