"""Requests that are deleted while the operator cannot hear of it: none is handed over, mailed about, or counted on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase
from fulfillment_local.credentials import User
from fulfillment_local.cuttable_proxy import CuttableProxy, cuttable_proxy
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement
from support.order_endpoint import order_endpoint
from support.running_operator import LEASE_THAT_IS_KEPT, WITHIN, AtWork, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

RECHECK = timedelta(seconds=1)
"""So that an order that waits is looked at as soon as the API server can be reached again, and before."""


@dataclass
class Endpoint:
    """The shop's backend, which counts what it is handed."""

    orders: Counter[str] = field(default_factory=Counter)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        self.orders[request.headers["webhook-id"]] += 1
        self.reached.set()
        await self.hold.wait()
        return web.Response()


@dataclass(frozen=True)
class Behind:
    """An operator that reaches the API server through a proxy."""

    operator: AtWork
    proxy: CuttableProxy
    endpoint: Endpoint

    async def count(self, phase: Phase, reason: str) -> float | None:
        return await self.operator.metric("fulfillment_requests", phase=phase, reason=reason, acknowledged="false")

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Cut it off from the API server, and wait until it has seen that: until then it takes what it holds as it is.

        It shows by looking at an order, so there must be one that waits.
        """
        with self.proxy.cut():
            await self.is_looked_at()
            yield

    async def is_looked_at(self) -> None:
        """Wait until one more look at an order is kept from its end by the API server."""
        async with asyncio.timeout(WITHIN):
            before = await self._errors()
            while await self._errors() == before:  # noqa: ASYNC110 - a metric is asked
                await asyncio.sleep(0.1)

    async def _errors(self) -> float | None:
        return await self.operator.metric("fulfillment_reconcile_errors_total", error="kubernetes")

    async def counts(self, phase: Phase, reason: str, number: int) -> None:
        """Wait until the metric counts so many."""
        async with asyncio.timeout(WITHIN):
            while await self.count(phase, reason) != number:  # noqa: ASYNC110 - a metric is asked
                await asyncio.sleep(0.1)


@asynccontextmanager
async def behind_a_proxy(shop: Shop, folder: Path) -> AsyncIterator[Behind]:
    port = shop.control_plane.server.rpartition(":")[2]
    endpoint = Endpoint()
    endpoint.hold.set()
    async with cuttable_proxy(int(port)) as proxy, order_endpoint(endpoint.answer) as url:
        kubeconfig = folder / "kubeconfig"
        own = shop.control_plane.kubeconfigs[User.OPERATOR].read_text()
        kubeconfig.write_text(own.replace(f":{port}", f":{proxy.port}"))
        changes = {"backend": "http", "FULFILLMENT_HTTP_URL": url, "recheck_interval": RECHECK}
        async with at_work(shop, LEASE_THAT_IS_KEPT, kubeconfig=str(kubeconfig), **changes) as operator:
            yield Behind(operator, proxy, endpoint)


async def restart_api_server(shop: Shop) -> None:
    """The API server forgets which changes there were: the watch ends in 410 Gone, and begins with a list."""
    async with shop.control_plane.down():
        pass


async def let_it_run(_shop: Shop) -> None:
    """The watch is resumed where it was cut."""


@pytest.mark.parametrize("meanwhile", [restart_api_server, let_it_run])
async def test_a_request_that_is_deleted_unheard_is_handed_over_by_nobody(
    shop: Shop, tmp_path: Path, meanwhile: Callable[[Shop], Awaitable[None]]
) -> None:
    """It is forgotten: not counted, not handed over though it is paid; and once only when its event makes it anew."""
    async with behind_a_proxy(shop, tmp_path) as behind:
        refused, _ = shop.stripe.world.play(Order(outcome=Outcome.UNPAID))
        shop.stripe.world.settle(refused.id, Settlement.FAILED)
        failed = await shop.make(refused.id, PaymentStatus.FAILED)
        await shop.becomes(failed, Phase.FAILED)
        waiting = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        session = (await shop.becomes(waiting, Phase.AWAITING_PAYMENT)).spec.session.id
        async with behind.cut_off():
            await meanwhile(shop)
            for name in (failed, waiting):
                await shop.requests.delete(name)
            shop.stripe.world.settle(session, Settlement.SUCCEEDED)
            await behind.is_looked_at()
        await behind.counts(Phase.FAILED, "PaymentFailed", 0)
        await behind.counts(Phase.AWAITING_PAYMENT, "PaymentProcessing", 0)
        assert behind.endpoint.orders == {}
        await shop.make(session)
        await shop.becomes(waiting, Phase.FULFILLED)
        assert behind.endpoint.orders == {waiting: 1}


async def test_what_does_not_decode_and_is_deleted_unheard_is_counted_no_more(shop: Shop, tmp_path: Path) -> None:
    """Its alert would never end."""
    odd = await shop.make_undecodable("cs_test_odd")
    async with behind_a_proxy(shop, tmp_path) as behind:
        await behind.operator.reaches(1, "fulfillment_undecodable_requests")
        with behind.proxy.cut():
            await restart_api_server(shop)
            await shop.requests.delete(odd)
        await behind.operator.reaches(0, "fulfillment_undecodable_requests")


async def test_what_was_made_anew_unheard_takes_the_place_of_what_was_deleted(shop: Shop, tmp_path: Path) -> None:
    """The order has one name: the new object is handed over, once, and not the old one."""
    async with behind_a_proxy(shop, tmp_path) as behind:
        waiting = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        session = (await shop.becomes(waiting, Phase.AWAITING_PAYMENT)).spec.session.id
        async with behind.cut_off():
            await restart_api_server(shop)
            await shop.requests.delete(waiting)
            shop.stripe.world.settle(session, Settlement.SUCCEEDED)
            await shop.make(session)
        await shop.becomes(waiting, Phase.FULFILLED)
        await behind.counts(Phase.AWAITING_PAYMENT, "PaymentProcessing", 0)
        assert behind.endpoint.orders == {waiting: 1}


async def test_nothing_is_begun_while_the_api_server_is_away(shop: Shop, tmp_path: Path) -> None:
    """Nobody knows then which orders stand: they are handed over when the API server says so."""
    async with behind_a_proxy(shop, tmp_path) as behind:
        waiting = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        session = (await shop.becomes(waiting, Phase.AWAITING_PAYMENT)).spec.session.id
        async with behind.cut_off():
            shop.stripe.world.settle(session, Settlement.SUCCEEDED)
            await behind.is_looked_at()
            assert behind.endpoint.orders == {}
        await shop.becomes(waiting, Phase.FULFILLED)
        assert behind.endpoint.orders == {waiting: 1}


async def test_what_was_begun_before_the_api_server_went_away_is_written_when_it_is_back(
    shop: Shop, tmp_path: Path
) -> None:
    """An order that is handed over when the API server goes away is written, and not handed over again."""
    async with behind_a_proxy(shop, tmp_path) as behind:
        behind.endpoint.hold.clear()
        name = await shop.sell(Order())
        await behind.endpoint.reached.wait()
        with behind.proxy.cut():
            behind.endpoint.hold.set()
            await behind.is_looked_at()
        await shop.becomes(name, Phase.FULFILLED)
        assert behind.endpoint.orders == {name: 1}
