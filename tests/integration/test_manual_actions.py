"""A person's hand on an order, by annotations, on a real API server with a running operator."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web
from kubernetes.aio import client

from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import ConditionType, Phase
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement
from fulfillment_local.fake_stripe.traffic import Fail
from support.order_endpoint import order_endpoint
from support.running_operator import WITHIN, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")


class Endpoint:
    """A shop's endpoint that refuses orders until it is told otherwise."""

    def __init__(self) -> None:
        self.status = 400
        self.keys: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers["webhook-id"])
        return web.Response(status=self.status)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    async with order_endpoint(endpoint.answer) as endpoint.url:
        yield endpoint


async def test_a_failed_order_is_tried_again_once_for_each_wish(shop: Shop, endpoint: Endpoint) -> None:
    """With the same idempotency key; the wish that was followed stands in status."""
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=endpoint.url):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
        endpoint.status = 200
        await shop.annotate(name, retry="once more")
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    assert request.status.last_handled is not None
    assert request.status.last_handled.retry == "once more"
    assert endpoint.keys == [name, name]


@pytest.mark.parametrize("is_away", [False, True], ids=["Stripe answers", "Stripe is away"])
async def test_an_order_that_is_completed_unasked_is_known_by_its_payment(shop: Shop, is_away: bool) -> None:
    """A later refund names nothing else, and would find no order; it is completed whatever Stripe says."""
    name = await shop.sell(Order())
    assert (await shop.requests.get(name)).payment_intent is None
    await shop.annotate(name, complete="parcel 7")
    shop.stripe.faults.set([Fail(status=500)] if is_away else [])
    async with at_work(shop):
        request = await shop.becomes(name, Phase.FULFILLED, "ManuallyCompleted")
    assert any(each.path.startswith("/v1/checkout/sessions/") for each in shop.stripe.traffic.requests)
    assert (request.payment_intent is None) is is_away
    if request.payment_intent is not None:
        (found,) = await shop.requests.list_by_payment_intent(request.payment_intent)
        assert found.metadata.name == name


async def test_a_wish_that_was_followed_is_not_followed_again_by_the_next_operator(
    shop: Shop, endpoint: Endpoint
) -> None:
    """Though the annotation is still there."""
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=endpoint.url):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FAILED)
        await shop.annotate(name, retry="1")
        async with asyncio.timeout(WITHIN), shop.watching(name) as changes:
            async for request in changes:
                if request.status and request.status.last_handled:
                    break
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=endpoint.url):
        other = await shop.sell(Order())
        await shop.becomes(other, Phase.FAILED)
    assert endpoint.keys == [name, name, other]


async def test_a_held_order_waits_and_goes_on(shop: Shop) -> None:
    """Held before the operator sees it, it is handed to nobody; let go, it is fulfilled."""
    name = await shop.sell(Order())
    await shop.annotate(name, paused="the address is odd")
    async with at_work(shop):
        request = await shop.becomes(name, Phase.FULFILLING, "Paused")
        assert request.status is not None
        assert request.status.message == "a person holds the order: the address is odd"
        assert request.status.fulfillment is None
        await shop.annotate(name, paused=None)
        await shop.becomes(name, Phase.FULFILLED, "Fulfilled")
    assert await shop.events(name) == [("Normal", "Paused"), ("Normal", "Fulfilled")]


async def test_a_retry_of_a_held_order_is_handled_once_it_is_let_go(shop: Shop, endpoint: Endpoint) -> None:
    """Requested together with the pause, it begins anew after it, and not as the next attempt."""
    endpoint.status = 503
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=endpoint.url):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "BackendUnavailable")
        await shop.annotate(name, retry="1", paused="the address is odd")
        held = await shop.becomes(name, Phase.FULFILLING, "Paused")
        assert held.status is not None
        assert held.status.last_handled is None
        endpoint.status = 200
        await shop.annotate(name, paused=None)
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    assert request.status.last_handled is not None
    assert request.status.last_handled.retry == "1"
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.attempts == 1


async def test_an_order_is_completed_by_hand(shop: Shop, endpoint: Endpoint) -> None:
    """What the person writes becomes its reference."""
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=endpoint.url):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FAILED)
        await shop.annotate(name, complete="parcel 7, by alice")
        request = await shop.becomes(name, Phase.FULFILLED, "ManuallyCompleted")
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.reference == "parcel 7, by alice"


async def test_an_order_that_a_person_gave_up_is_not_fulfilled_by_news(shop: Shop) -> None:
    """Nor is its customer mailed; only another try, asked for by a person, undoes it."""
    async with at_work(shop, recheck_interval=timedelta(hours=6)):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT)
        await shop.annotate(name, fail="sold out")
        await shop.becomes(name, Phase.FAILED, "ManuallyFailed")
        shop.stripe.world.settle(waiting.spec.session.id, Settlement.FAILED)
        await shop.hint(name, PaymentStatus.FAILED)
        async with asyncio.timeout(WITHIN), shop.watching(name) as changes:
            async for request in changes:
                if request.status and request.status.observed_generation == request.metadata.generation:
                    break
        assert request.status is not None
        assert (request.status.phase, request.status.reason) == (Phase.FAILED, "ManuallyFailed")
        await shop.annotate(name, fail=None, retry="2")
        await shop.becomes(name, Phase.FAILED, "PaymentFailed")
    assert len(shop.mailbox.mails) == 1


async def test_an_annotation_that_means_nothing_is_told(shop: Shop) -> None:
    """In status, as an Event, and in the metrics; the order goes on, and what was mended is shown as mended."""
    empty = "the annotation checkout-fulfillment.dev/complete is empty: give it the reference of what was done"
    unknown = (
        "the annotation checkout-fulfillment.dev/retyr means nothing: did you mean checkout-fulfillment.dev/retry?"
    )
    async with at_work(shop) as operator:
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT)
        await shop.annotate(name, retyr="1")
        assert await shop.says(name, ConditionType.ANNOTATIONS_VALID, unknown) == ("False", "InvalidAnnotation")
        await shop.annotate(name, complete=" ")
        assert await shop.says(name, ConditionType.ANNOTATIONS_VALID, f"{empty}; {unknown}") == (
            "False",
            "InvalidAnnotation",
        )
        await shop.annotate(name, retyr=None, complete=None)
        assert await shop.says(name, ConditionType.ANNOTATIONS_VALID, "every annotation is understood") == (
            "True",
            "AnnotationsValid",
        )
        await operator.reaches(2, "fulfillment_reconcile_errors_total", error="invalid-annotation")
        shop.stripe.world.settle(waiting.spec.session.id, Settlement.FAILED)
        await shop.hint(name, PaymentStatus.FAILED)
        await shop.becomes(name, Phase.FAILED, "PaymentFailed")
    found = await client.CoreV1Api(shop.api).list_namespaced_event(shop.namespace)
    odd = [each.message for each in found.items if each.reason == "InvalidAnnotation"]
    assert sorted(odd, key=str) == sorted([unknown, f"{empty}; {unknown}"])


async def test_an_odd_annotation_keeps_no_instruction_waiting(shop: Shop) -> None:
    """Both are seen to at once."""
    async with at_work(shop):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        await shop.becomes(name, Phase.AWAITING_PAYMENT)
        await shop.annotate(name, retyr="1", complete="by hand 7")
        request = await shop.becomes(name, Phase.FULFILLED, "ManuallyCompleted")
    assert request.status
    assert request.status.condition(ConditionType.ANNOTATIONS_VALID)
