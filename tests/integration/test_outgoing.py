"""How the operator reaches what is outside of the cluster: by the proxy that the environment names."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from fulfillment_api.status import Phase
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.model import Order
from support.order_endpoint import order_endpoint
from support.running_operator import Shop, at_work
from support.serving import serving

pytestmark = pytest.mark.usefixtures("crd")


@dataclass
class Endpoint:
    """A shop's own endpoint, which would like to know who comes again."""

    url: str = ""
    cookies: list[str | None] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.cookies.append(request.headers.get("Cookie"))
        response = web.Response()
        response.set_cookie("sticky", "1")
        return response


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    async with order_endpoint(endpoint.answer) as endpoint.url:
        yield endpoint


async def test_orders_and_stripe_are_reached_by_the_proxy(
    shop: Shop, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY for what is plain, and NO_PROXY for what is near: neither host is anywhere but behind the proxy."""
    proxied: list[str] = []

    async def pass_on(request: web.Request) -> web.StreamResponse:
        proxied.append(request.host)
        async with shop.http.request(
            request.method,
            f"{endpoint.url if request.method == 'POST' else shop.stripe.url + request.path_qs}",
            headers={"Authorization": request.headers.get("Authorization", f"Bearer {TEST_KEY}")},
            data=await request.read() or None,
        ) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    async with serving(web.route("*", "/{path:.*}", pass_on)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        changes = {"FULFILLMENT_HTTP_URL": "http://orders.invalid/orders", "stripe_api_base": "http://stripe.invalid"}
        async with at_work(shop, backend="http", **changes):
            await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
    assert set(proxied) == {"stripe.invalid", "orders.invalid"}


async def test_no_order_brings_a_cookie_of_the_one_before(
    shop: Shop, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a request of its own: what a load balancer says to one, it does not say to all that follow."""
    monkeypatch.setenv("NO_PROXY", "localhost")
    url = endpoint.url.replace("127.0.0.1", "localhost")  # cookies of an address are kept by nobody
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=url):
        for _ in range(2):
            await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
    assert endpoint.cookies == [None, None]
