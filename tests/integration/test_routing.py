"""Routes under the operator, on a real API server: each order goes its own way, and stays on it."""

import pytest

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import ConditionStatus, ConditionType, Fulfillment, Phase
from fulfillment_local.fake_stripe.model import Order
from support.running_operator import Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

GIFTS = "- {name: gifts, when: {metadata: {channel: gift}}, backend: manual}"
GIFT = Order(metadata={"channel": "gift"})


def fulfillment(request: FulfillmentRequest) -> Fulfillment:
    assert request.status is not None
    assert request.status.fulfillment is not None
    return request.status.fulfillment


async def test_each_order_goes_where_its_route_leads(shop: Shop) -> None:
    """By what Stripe says of it: the requests here know as little as those of thin events."""
    async with at_work(shop, routes=GIFTS, backend="log") as operator:
        gift, other = await shop.sell(GIFT), await shop.sell(Order())
        waiting = await shop.becomes(gift, Phase.FULFILLING, "Dispatched")
        fulfilled = await shop.becomes(other, Phase.FULFILLED)
        attempts = "fulfillment_backend_attempts_total"
        assert await operator.metric(attempts, backend="manual", result="in-progress") == 1
        assert await operator.metric(attempts, backend="log", result="done") == 1
    assert (fulfillment(waiting).backend, fulfillment(fulfilled).backend) == ("manual", "log")


async def test_what_no_route_takes_waits_for_a_route(shop: Shop) -> None:
    """Failed, NoRoute, though paid; counted, and told; with a route, another try that a person asks for fulfills it."""
    async with at_work(shop, routes=GIFTS, backend="none") as operator:
        name = await shop.sell(Order())
        rejected = await shop.becomes(name, Phase.FAILED, "NoRoute")
        await operator.reaches(1, "fulfillment_transitions_total", phase="failed", reason="NoRoute")
    assert rejected.status is not None
    assert rejected.status.message == (
        "no route takes it, and FULFILLMENT_BACKEND (backend.name) is none: add a route that does, and then ask for "
        "another try"
    )
    paid = rejected.status.condition(ConditionType.PAID)
    assert paid is not None
    assert paid.status is ConditionStatus.TRUE
    assert await shop.events(name) == [("Warning", "NoRoute")]
    async with at_work(shop, routes=f"{GIFTS}\n- {{backend: log}}", backend="none"):
        await shop.annotate(name, retry="there is a route now")
        await shop.becomes(name, Phase.FULFILLED)


async def test_an_order_stays_with_the_backend_that_has_it(shop: Shop) -> None:
    """New routes are for new orders, and for another try that a person asks for."""
    async with at_work(shop, routes=GIFTS, backend="log"):
        name = await shop.sell(GIFT)
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    async with at_work(shop, routes="- {backend: log}", backend="manual"):
        other = await shop.sell(GIFT)
        assert fulfillment(await shop.becomes(other, Phase.FULFILLED)).backend == "log"
        assert fulfillment(await shop.requests.get(name)).backend == "manual"
        await shop.annotate(name, retry="by the new routes")
        assert fulfillment(await shop.becomes(name, Phase.FULFILLED)).backend == "log"
