"""The walk through Stripe's list: it finds each payment whose event was lost, with few requests however many wait."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase, Reason
from fulfillment_operator.checkout.session import CheckoutSession, PaymentIntentStatus, SessionPayment
from fulfillment_operator.checkout.session_list import Page, Span
from fulfillment_operator.controller.cached_request import CachedRequest
from fulfillment_operator.controller.payment_walk import PaymentWalk
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.stripe.client import StripeError, StripeMisconfiguredError, StripeUnavailableError
from support.builders import make_intent, make_request, make_session, make_status
from support.session_lists import Account

NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)
STATUS = replace(
    make_status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING),
    message="the payment is on its way; it may take days to succeed or fail",
)
PROCESSING = make_session(SessionPayment.UNPAID, payment_intent=make_intent(PaymentIntentStatus.PROCESSING))
AT_ONCE = Backoff(timedelta(0), timedelta(0), lambda: 0.0)


@dataclass
class Orders:
    """Orders that await their payment, as the controller has them."""

    requests: dict[str, CachedRequest]
    rechecked: list[str] = field(default_factory=list)
    """By their Sessions."""

    def awaiting_payment(self) -> list[CachedRequest]:
        return [*self.requests.values()]

    def get(self, name: str) -> CachedRequest | None:
        return self.requests.get(name)

    def recheck(self, name: str) -> None:
        self.rechecked.append(self.requests[name].due.session)

    def queue_depth(self) -> int:
        return 0


@dataclass
class Stripe:
    """Accounts, and the Sessions of which the list says something else than that the payment is on its way."""

    accounts: dict[str | None, Account]
    news: dict[str, CheckoutSession | None] = field(default_factory=dict)
    failures: list[StripeError] = field(default_factory=list)

    async def list_payments(self, span: Span, account: str | None) -> tuple[Page, dict[str, CheckoutSession | None]]:
        page = self.accounts[account].page(span)
        if self.failures:
            raise self.failures.pop()
        return page, {session: self.news.get(session, PROCESSING) for session, _ in page.sessions}

    def lists(self) -> int:
        return sum(each.lists for each in self.accounts.values())


def waiting(sessions: Iterable[tuple[str, int]], account: str | None = None) -> Orders:
    """Make an order of each Session, by its id and its second of creation."""
    request = make_request(PaymentStatus.UNPAID, status=STATUS)
    found = {}
    for session_id, second in sessions:
        created = datetime.fromtimestamp(second, UTC)
        session = replace(request.spec.session, id=session_id, created_at=created, account=account)
        metadata = replace(request.metadata, name=f"cs-{session_id}", creation_timestamp=created)
        order = replace(request, metadata=metadata, spec=replace(request.spec, session=session))
        found[metadata.name] = CachedRequest.pack(order)
    return Orders(found)


def sold(count: int, *, seconds: int) -> list[tuple[str, int]]:
    """Sell so many, evenly over the last seconds."""
    return [(f"cs_{place}", int(NOON.timestamp()) - seconds + place * seconds // count) for place in range(count)]


async def walk(orders: Orders, stripe: Stripe) -> None:
    await PaymentWalk(
        orders=orders,
        stripe=stripe,
        interval=timedelta(hours=6),
        backoff=AT_ONCE,
        misconfigured=AT_ONCE,
        clock=lambda: NOON,
        metrics=OperatorMetrics(CollectorRegistry()),
    ).walk()


async def test_a_clock_that_is_set_back_holds_up_no_walk() -> None:
    """It was thirty days ahead when the walks were planned; each comes within the interval all the same."""
    now, waits = [NOON + timedelta(days=30)], list[timedelta]()

    async def sleep(seconds: float) -> None:
        waits.append(timedelta(seconds=seconds))
        if len(waits) == 5:
            raise asyncio.CancelledError
        now[0] += waits[-1]
        if len(waits) == 2:
            now[0] -= timedelta(days=30)

    walks = PaymentWalk(
        orders=Orders({}),
        stripe=Stripe({}),
        interval=timedelta(hours=6),
        backoff=AT_ONCE,
        misconfigured=AT_ONCE,
        clock=lambda: now[0],
        metrics=OperatorMetrics(CollectorRegistry()),
        sleep=sleep,
    )
    with pytest.raises(asyncio.CancelledError):
        await walks.run()
    assert len(waits) == 5
    assert all(timedelta(0) < each <= timedelta(hours=6) for each in waits)


@pytest.mark.parametrize(
    ("of_all", "seconds", "most"),
    [(1, 5 * 24 * 3600, 320), (10, 5 * 24 * 3600, 3200), (1, 10, 320)],
    ids=["days", "among others", "at once"],
)
async def test_many_that_wait_take_few_requests(of_all: int, seconds: int, most: int) -> None:
    """4,000, a fifth of 20,000, for which 400 are allowed in an interval: five walks in four intervals."""
    every = sold(4_000 * of_all, seconds=seconds // 5)
    mine = every[::of_all]
    orders, stripe = waiting(mine), Stripe({None: Account(every)})
    paid = [session for session, _ in mine[7::977]]
    stripe.news = {session: make_session() for session in paid}
    await walk(orders, stripe)
    assert {*paid} <= {*orders.rechecked}
    by_id = len(orders.rechecked) - len(paid)
    assert stripe.lists() + by_id <= most / 5


async def test_an_order_is_rechecked_only_when_the_list_says_something_else() -> None:
    """Or nothing that can be judged."""
    every = sold(6, seconds=60)
    odd = {
        "cs_1": make_session(),
        "cs_2": make_session(SessionPayment.UNPAID, payment_intent=make_intent(PaymentIntentStatus.REQUIRES_ACTION)),
        "cs_3": make_session(SessionPayment.UNPAID),  # its invoice would tell
        "cs_4": None,
    }
    orders = waiting(every)
    await walk(orders, Stripe({None: Account(every)}, odd))
    assert sorted(orders.rechecked) == ["cs_1", "cs_2", "cs_3", "cs_4"]


async def test_what_the_list_lacks_is_asked_for_by_its_id() -> None:
    """A Session that expired, or that Stripe does not know any more."""
    every = sold(300, seconds=3000)
    orders, stripe = waiting(every), Stripe({None: Account([each for each in every if each[0] != "cs_123"])})
    await walk(orders, stripe)
    assert orders.rechecked == ["cs_123"]


async def test_each_account_has_a_list_of_its_own() -> None:
    """One that is connected, and the key's own."""
    ours, theirs = sold(50, seconds=500), [(f"cs_other_{place}", second) for place, second in sold(50, seconds=500)]
    orders = Orders(waiting(ours).requests | waiting(theirs, "acct_1").requests)
    stripe = Stripe({None: Account(ours), "acct_1": Account(theirs)}, {theirs[7][0]: make_session()})
    await walk(orders, stripe)
    assert orders.rechecked == [theirs[7][0]]
    assert stripe.lists() <= 4


async def test_a_list_that_is_refused_is_walked_through_again_by_itself_until_it_is_not() -> None:
    """Ever less often, and within the interval: who mends the key need not wait for hours, and the alert goes on."""
    now, walked = [NOON], list[tuple[timedelta, Collection[str | None] | None]]()
    refusals: list[set[str | None]] = [{"acct_1"}, {"acct_1"}, {"acct_1"}, set()]

    class Walks(PaymentWalk):
        async def walk(self, accounts: Collection[str | None] | None = None) -> set[str | None]:
            walked.append((now[0] - NOON, accounts))
            return refusals.pop(0) if refusals else set[str | None]()

    async def sleep(seconds: float) -> None:
        if len(walked) == 6:
            raise asyncio.CancelledError
        now[0] += timedelta(seconds=seconds)

    with pytest.raises(asyncio.CancelledError):
        await Walks(
            orders=Orders({}),
            stripe=Stripe({}),
            interval=timedelta(hours=6),
            backoff=AT_ONCE,
            misconfigured=Backoff(timedelta(minutes=2), timedelta(minutes=10), lambda: 1.0),
            clock=lambda: now[0],
            metrics=OperatorMetrics(CollectorRegistry()),
            sleep=sleep,
        ).run()
    first, period = walked[0][0], timedelta(hours=4.8)
    assert [at - first for at, _ in walked] == [
        timedelta(0),
        timedelta(minutes=2),
        timedelta(minutes=6),
        timedelta(minutes=14),
        period,
        2 * period,
    ]
    assert [accounts for _, accounts in walked] == [None, {"acct_1"}, {"acct_1"}, {"acct_1"}, None, None]


async def test_a_list_that_is_refused_is_left_to_the_next_walk() -> None:
    """As of an account that is connected no more: nothing is asked by its ids, and no other account waits."""
    theirs, ours = sold(50, seconds=500), [(f"cs_other_{place}", second) for place, second in sold(50, seconds=500)]
    orders = Orders(waiting(theirs, "acct_1").requests | waiting(ours).requests)
    refused = StripeMisconfiguredError("the account is not connected")
    stripe = Stripe({None: Account(ours), "acct_1": Account(theirs)}, {ours[7][0]: make_session()}, [refused])
    await walk(orders, stripe)
    assert orders.rechecked == [ours[7][0]]


async def test_a_page_that_fails_leaves_no_order_out() -> None:
    """Some are asked about by their ids meanwhile, then the list is tried again."""
    every = sold(300, seconds=3000)
    away = StripeUnavailableError("away")
    orders, stripe = waiting(every), Stripe({None: Account(every)}, {"cs_3": make_session()}, [away])
    await walk(orders, stripe)
    assert "cs_3" in orders.rechecked
    assert len(orders.rechecked) == 21
