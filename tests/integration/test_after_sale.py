"""What comes after the sale, on a real API server with a running operator: refunds, disputes, expiries."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web

from after_sale_news import SOON, come_after, has, hint, seen_to, until
from fulfillment_api.spec import PaymentStatus, SaleKind
from fulfillment_api.status import ConditionType, Phase
from fulfillment_local.stripe_world.model import AfterSale, Mode, Order, Outcome
from fulfillment_local.stripe_world.server import stripe_server
from fulfillment_local.stripe_world.world import new_world
from order_endpoint import order_endpoint
from running_operator import WITHIN, AtWork, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")


class Endpoint:
    """A shop's endpoint: what came, and what is answered to each kind of event."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str]] = []
        self.answers: dict[str, list[int]] = {}
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        event = msgspec.json.decode(await request.read())
        kind = event["type"].removeprefix("dev.checkout-fulfillment.order.")
        assert event["id"] == request.headers["webhook-id"] == request.headers["Idempotency-Key"].strip('"')
        self.came.append((kind, event["id"]))
        left = self.answers.get(kind, [])
        return web.Response(status=left.pop(0) if left else 200)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    async with order_endpoint(endpoint.answer) as endpoint.url:
        yield endpoint


def by_http(endpoint: Endpoint, **changes: Any) -> dict[str, Any]:
    return {**SOON, "backend": "http", "http_url": endpoint.url, **changes}


@pytest.mark.parametrize(
    ("kind", "reason", "condition"),
    [
        (SaleKind.REFUNDED, "Refunded", ConditionType.REFUNDED),
        (SaleKind.DISPUTED, "Disputed", ConditionType.DISPUTED),
    ],
)
async def test_what_comes_before_the_fulfillment_stops_it(
    shop: Shop, endpoint: Endpoint, kind: SaleKind, reason: str, condition: ConditionType
) -> None:
    """The backend never hears of the order, and another try finds the same."""
    name = await shop.sell(Order())
    await come_after(shop, name, kind)
    async with at_work(shop, **by_http(endpoint)):
        request = await shop.becomes(name, Phase.FAILED, reason)
        assert has(request, condition)
        assert has(request, ConditionType.PAID)
        await shop.annotate(name, retry="1")
        await until(shop, name, lambda each: bool(each.status and each.status.obeyed), "tried again")
        assert (await shop.requests.get(name)).status.phase is Phase.FAILED  # type: ignore[union-attr] # it has one
    assert endpoint.came == []
    assert await shop.events(name) == [("Warning", reason)]


async def test_a_hint_outlasts_the_key_of_another_account(shop: Shop) -> None:
    """Such a key knows no Session: that says nothing of what came after the sale."""
    async with at_work(shop, **SOON):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
    await come_after(shop, name, SaleKind.REFUNDED)
    async with (
        stripe_server(new_world(seed=8)) as another,
        at_work(shop, **SOON, stripe_api_base=another.url) as operator,
        asyncio.timeout(WITHIN),
    ):
        while not await operator.metric("fulfillment_reconcile_errors_total", error="stripe-misconfigured"):  # noqa: ASYNC110 - a metric is no event
            await asyncio.sleep(0.05)
    async with at_work(shop, **SOON):
        await until(shop, name, lambda each: has(each, ConditionType.REFUNDED), "refunded")


async def test_a_partial_refund_stops_nothing(shop: Shop) -> None:
    """Whatever the hint says: Stripe is asked."""
    name = await shop.sell(Order())
    request = await shop.requests.get(name)
    shop.stripe.world.come_after(request.spec.session.id, AfterSale.PARTLY_REFUNDED)
    await hint(shop, name, SaleKind.REFUNDED)
    async with at_work(shop):
        await shop.becomes(name, Phase.FULFILLED)


async def test_an_order_that_the_backend_works_on_is_stopped_and_the_backend_told(
    shop: Shop, endpoint: Endpoint
) -> None:
    """It took the order; until it knows of the refund it is told again, with one key."""
    endpoint.answers = {"paid": [202], "refunded": [503, 200]}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "HandedOver")
        await come_after(shop, name, SaleKind.REFUNDED)
        waiting = await shop.becomes(name, Phase.FULFILLING, "BackendUnavailable")
        assert waiting.status is not None
        assert waiting.status.message == (
            "the payment was refunded before the order was fulfilled, and the backend does not know: "
            "the endpoint answered 503; it is tried again"
        )
        request = await shop.becomes(name, Phase.FAILED, "Refunded")
        assert has(request, ConditionType.REFUNDED)
    assert endpoint.came == [("paid", name), ("refunded", f"{name}.refunded"), ("refunded", f"{name}.refunded")]


async def test_a_fulfilled_order_shows_what_came_after_it_and_the_backend_is_told_once(
    shop: Shop, endpoint: Endpoint
) -> None:
    """First a dispute, then a refund: two conditions, two Events, two posts; it stays fulfilled."""
    async with at_work(shop, **by_http(endpoint)) as operator:
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        assert await operator.metric("fulfillment_after_sale_total", kind="disputed") == 0
        await come_after(shop, name, SaleKind.DISPUTED)
        await seen_to(shop, name, ConditionType.DISPUTED)
        await come_after(shop, name, SaleKind.REFUNDED)
        request = await seen_to(shop, name, ConditionType.REFUNDED, ConditionType.DISPUTED)
        await hint(shop, name, SaleKind.DISPUTED)  # a replay of Stripe's
        await seen_to(shop, name)
        assert await operator.metric("fulfillment_after_sale_total", kind="disputed") == 1
        assert await operator.metric("fulfillment_after_sale_total", kind="refunded") == 1
    assert request.status is not None
    assert (request.status.phase, request.status.reason) == (Phase.FULFILLED, "Fulfilled")
    assert endpoint.came == [("paid", name), ("disputed", f"{name}.disputed"), ("refunded", f"{name}.refunded")]
    assert await shop.events(name) == [("Normal", "Fulfilled"), ("Warning", "Disputed"), ("Normal", "Refunded")]


async def test_news_that_came_while_no_operator_worked_are_seen_to_by_the_next(shop: Shop, endpoint: Endpoint) -> None:
    """Many at once, each once; and only the charges of those are asked for."""
    async with at_work(shop, **by_http(endpoint)):
        sold = [await shop.sell(Order()) for _ in range(12)]
        for name in sold:
            await shop.becomes(name, Phase.FULFILLED)
    for name in sold[2:]:
        await come_after(shop, name, SaleKind.REFUNDED)
    endpoint.came.clear()
    async with at_work(shop, **by_http(endpoint)):
        for name in sold[2:]:
            await seen_to(shop, name, ConditionType.REFUNDED)
    assert sorted(endpoint.came) == sorted(("refunded", f"{name}.refunded") for name in sold[2:])


@pytest.mark.parametrize(
    ("answers", "ago", "tries", "message"),
    [
        ([503, 429, 200], timedelta(0), 3, "all of the payment was given back"),
        (
            [400],
            timedelta(0),
            1,
            "all of the payment was given back; the backend does not know: the endpoint refused the order with 400",
        ),
        (
            [503],
            timedelta(days=4),
            1,
            "all of the payment was given back; the backend does not know: the endpoint answered 503",
        ),
    ],
)
async def test_a_backend_that_cannot_be_told(
    shop: Shop, endpoint: Endpoint, answers: list[int], ago: timedelta, tries: int, message: str
) -> None:
    """A passing fault is tried again until the deadline; what is refused for good, or too late, is shown."""
    endpoint.answers = {"refunded": answers}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FULFILLED)
        shop.stripe.world.come_after(request.spec.session.id, AfterSale.REFUNDED)
        await hint(shop, name, SaleKind.REFUNDED, ago=ago)
        request = await seen_to(shop, name, ConditionType.REFUNDED)
    assert request.status is not None
    found = request.status.condition(ConditionType.REFUNDED)
    assert found is not None
    assert found.message == message
    assert endpoint.came[1:] == [("refunded", f"{name}.refunded")] * tries


async def test_of_an_order_completed_by_hand_no_backend_is_told(shop: Shop, endpoint: Endpoint) -> None:
    """None had it; the condition shows the dispute all the same."""
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        await shop.becomes(name, Phase.AWAITING_PAYMENT)
        await shop.annotate(name, complete="cash")
        request = await shop.becomes(name, Phase.FULFILLED, "CompletedByHand")
        await hint(shop, name, SaleKind.REFUNDED)
        await seen_to(shop, name)
        assert not has(await shop.requests.get(name), ConditionType.REFUNDED)  # Stripe knows of none
        assert request.status is not None
    assert endpoint.came == []


async def becomes(operator: AtWork, kind: str, expected: tuple[float, float]) -> None:
    """Wait until so many are there: not acknowledged, and acknowledged."""
    last: object = None
    try:
        async with asyncio.timeout(WITHIN):
            while last != expected:
                last = (
                    await operator.metric("fulfillment_after_sale_requests", kind=kind, acknowledged="false"),
                    await operator.metric("fulfillment_after_sale_requests", kind=kind, acknowledged="true"),
                )
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"(open, dealt with) became {last}, and not {expected}") from None


async def test_a_dispute_is_a_level_until_it_is_acknowledged(shop: Shop) -> None:
    """It has a deadline, so no restart of the operator hides it."""
    async with at_work(shop, **SOON) as operator:
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        await come_after(shop, name, SaleKind.DISPUTED)
        await becomes(operator, "disputed", (1, 0))
    async with at_work(shop, **SOON) as operator:
        await becomes(operator, "disputed", (1, 0))
        await shop.annotate(name, acknowledged="Disputed: evidence sent")
        await becomes(operator, "disputed", (0, 1))
        await becomes(operator, "refunded", (0, 0))


async def test_a_session_that_expired_ends_its_request(shop: Shop) -> None:
    """One that somebody made before the buyer completed it: it need not wait for the next look."""
    async with at_work(shop, recheck_interval=timedelta(hours=6)):
        name = await shop.sell(Order(outcome=Outcome.OPEN), PaymentStatus.UNPAID)
        request = await shop.becomes(name, Phase.AWAITING_PAYMENT)
        shop.stripe.world.expire(request.spec.session.id)
        await hint(shop, name, SaleKind.EXPIRED)
        await shop.becomes(name, Phase.FAILED, "SessionExpired")
    assert shop.mailbox.mails == ()


async def test_the_refund_of_a_subscription_is_its_invoices(shop: Shop) -> None:
    """The payment that no event named stands in status, so that the refund's event finds the order."""
    async with at_work(shop, **SOON):
        name = await shop.sell(Order(mode=Mode.SUBSCRIPTION))
        request = await shop.becomes(name, Phase.FULFILLED)
        session = request.spec.session.id
        intent = shop.stripe.world.payment_of(session)
        assert intent is not None
        assert [name] == [each.metadata.name for each in await shop.requests.paid_with(intent.id)]
        shop.stripe.world.come_after(session, AfterSale.REFUNDED)
        await hint(shop, name, SaleKind.REFUNDED)
        assert has(await seen_to(shop, name), ConditionType.REFUNDED)
