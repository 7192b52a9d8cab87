"""Many orders at once: new ones go first, Stripe is asked in its rate, and memory holds each order once."""

import asyncio
from datetime import timedelta

import pytest

from fulfillment_api.status import Phase
from fulfillment_local.fake_stripe.model import Order
from fulfillment_local.fake_stripe.traffic import Fail
from support.running_operator import WITHIN, AtWork, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

RATE = 20  # requests to Stripe in a second, or at once


async def hold(operator: AtWork, count: int, phase: Phase, reason: str) -> None:
    """Wait until the operator holds so many requests."""
    labels = {"phase": phase, "reason": reason, "acknowledged": "false"}
    async with asyncio.timeout(WITHIN):
        while await operator.metric("fulfillment_requests", **labels) != count:  # noqa: ASYNC110 - a metric is no event
            await asyncio.sleep(0.05)


async def test_a_new_order_goes_before_those_that_are_looked_at_again(shop: Shop) -> None:
    """At a start, all that the backends have is due at once: at this rate that takes 20 seconds."""
    for _ in range(5 * RATE):
        await shop.sell(Order())
    async with at_work(shop, backend="manual") as operator:
        await hold(operator, 5 * RATE, Phase.FULFILLING, "Dispatched")
    shop.stripe.traffic.clear()
    async with at_work(shop, backend="manual", stripe_requests_per_second=RATE / 4, workers=4) as operator:
        await hold(operator, 5 * RATE, Phase.FULFILLING, "Dispatched")
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    session = (await shop.requests.get(name)).spec.session.id
    asked = [request.path.rsplit("/", 1)[-1] for request in shop.stripe.traffic.requests]
    assert asked.index(session) < 4 * RATE


async def test_orders_that_a_backend_has_are_looked_at_one_by_one(shop: Shop) -> None:
    """Each has its own place in the interval, also after a start, when all were looked at at once."""
    count = 2 * RATE
    for _ in range(count):
        await shop.sell(Order())
    async with at_work(shop, backend="manual") as operator:
        await hold(operator, count, Phase.FULFILLING, "Dispatched")
    shop.stripe.traffic.clear()
    async with at_work(shop, backend="manual", recheck_interval=timedelta(seconds=12)), asyncio.timeout(WITHIN):
        while len(shop.stripe.traffic.requests) < 2 * count:  # noqa: ASYNC110 - a count is no event
            await asyncio.sleep(0.05)
    times = [request.received for request in shop.stripe.traffic.requests[count:]]
    busiest = max(sum(start <= time < start + 0.5 for time in times) for start in times)
    assert busiest < count / 2


async def test_when_stripe_is_back_it_is_asked_in_its_rate(shop: Shop) -> None:
    """Every order that came meanwhile is fulfilled, the rate of the settings kept."""
    shop.stripe.faults.set([Fail(status=503, retry_after="1")])
    async with at_work(shop, stripe_requests_per_second=float(RATE)) as operator:
        names = [await shop.sell(Order()) for _ in range(2 * RATE)]
        await shop.becomes(names[-1], Phase.FULFILLING, "StripeUnavailable")
        shop.stripe.faults.set([])
        shop.stripe.traffic.clear()
        for name in names:
            await shop.becomes(name, Phase.FULFILLED)
        assert await operator.metric("fulfillment_queue_depth") == 0
    times = [request.received for request in shop.stripe.traffic.requests]
    busiest = max(sum(start <= time < start + 1 for time in times) for start in times)
    assert busiest <= 2 * RATE + 1  # a burst of the rate, and what comes while it leaks out
