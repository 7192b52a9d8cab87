"""Several operators, one Lease: one works, the others stand by, and take over."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from fulfillment_api.status import Phase
from fulfillment_local.fake_stripe.model import Order
from fulfillment_operator.main import RunningOperator, running_operator
from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.kubernetes.leader_election import LeaderElectionConfig, LeaderElector
from fulfillment_runtime.kubernetes.leases import Lease, LeaseApi
from support.order_endpoint import order_endpoint
from support.running_operator import WITHIN, Shop

pytestmark = pytest.mark.usefixtures("crd")


def config(lease_duration: float, renew_deadline: float) -> LeaderElectionConfig:
    """Try often; the times, in seconds, are as far apart as a busy machine needs."""
    return LeaderElectionConfig(
        lease_duration=timedelta(seconds=lease_duration),
        renew_deadline=timedelta(seconds=renew_deadline),
        renew_period=timedelta(seconds=0.1),
        retry_period=timedelta(seconds=0.1),
    )


KEPT = config(120, 60)
"""However slow the machine is, nobody loses this Lease."""
LOST_SOON = config(20, 2)
"""Who cannot renew leads no more, long before another one may."""


def candidate(shop: Shop, identity: str, config: LeaderElectionConfig) -> LeaderElector:
    leases = LeaseApi(shop.api, shop.namespace, "operators", timeout=10)
    return LeaderElector(leases, identity, config=config, clock=lambda: datetime.now(UTC))


async def leads(shop: Shop, operator: RunningOperator) -> bool:
    async with shop.http.get(f"http://localhost:{operator.management_port}/metrics") as response:
        return "fulfillment_leader 1.0" in await response.text()


def must_not_happen(error: UnavailableError) -> None:
    raise AssertionError(error)


async def test_one_leads_and_the_next_follows_at_once(shop: Shop) -> None:
    """While the first leads the second waits; when the first ends in good order, the second leads at its next try."""
    renewed = config(lease_duration=12, renew_deadline=10)
    first, second = candidate(shop, "first", renewed), candidate(shop, "second", renewed)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    async with first.held(must_not_happen):
        await asyncio.wait({waiting}, timeout=renewed.lease_duration.total_seconds() + 1)
        assert not waiting.done()
    async with asyncio.timeout(10):  # less than the duration
        await waiting


class RenewedMeanwhile(LeaseApi):
    """Lets a renewal that was under way reach the API server just before the release."""

    releases = 0

    async def write(self, lease: Lease) -> None:
        if lease.holder == "":
            self.releases += 1
            if self.releases == 1:
                await super().write(replace(lease, holder="first", renewed=datetime.now(UTC)))
        await super().write(lease)


async def test_a_renewal_that_is_under_way_keeps_no_lease_from_being_released(shop: Shop) -> None:
    """The release meets another version then, and is tried again: else the next one waits for the whole duration."""
    leases = RenewedMeanwhile(shop.api, shop.namespace, "operators", timeout=10)
    first = LeaderElector(leases, "first", config=KEPT, clock=lambda: datetime.now(UTC))
    await first.acquire()
    async with first.held(must_not_happen):
        pass
    released = await leases.read()
    assert released is not None
    assert (released.holder, leases.releases) == ("", 2)


async def test_who_dies_is_followed_after_the_duration(shop: Shop) -> None:
    """A Lease that is not renewed is free when it was not seen to change for its duration, whatever the clocks say."""
    short = config(lease_duration=2, renew_deadline=1)
    await candidate(shop, "dead", short).acquire()
    time = asyncio.get_running_loop().time
    started = time()
    async with asyncio.timeout(WITHIN):
        await candidate(shop, "next", short).acquire()
    assert time() - started >= short.lease_duration.total_seconds()
    lease = await LeaseApi(shop.api, shop.namespace, "operators", timeout=10).read()
    assert lease is not None
    assert (lease.holder, lease.transitions) == ("next", 1)


async def test_who_cannot_renew_leads_no_more(shop: Shop) -> None:
    """It is told before anyone else may lead, however long one try to renew may take."""
    leader = candidate(shop, "leader", LOST_SOON)
    await leader.acquire()
    lost = asyncio.get_running_loop().create_future()
    async with leader.held(lost.set_result):
        with shop.control_plane.hanging():
            async with asyncio.timeout(LOST_SOON.lease_duration.total_seconds()):
                error = await lost
    assert str(error) == "the Lease could not be renewed in time: another may lead now"


async def test_who_lost_the_lease_ends_at_once(shop: Shop) -> None:
    """An order that is worked on has no grace, for its next leader may begin; and the metric tells of no leader."""
    handed_over, answered, ended = asyncio.Event(), asyncio.Event(), 0.0

    async def answer(_request: web.Request) -> web.Response:
        handed_over.set()
        await answered.wait()
        return web.Response()

    time = asyncio.get_running_loop().time
    async with order_endpoint(answer) as url:
        settings, environ = (
            shop.settings(backend="http"),
            {"FULFILLMENT_HTTP_URL": url, "FULFILLMENT_HTTP_TIMEOUT": "60s"},
        )
        async with running_operator(settings, environ, LOST_SOON) as operator:
            await shop.sell(Order())
            await handed_over.wait()
            with shop.control_plane.hanging():
                with pytest.raises(UnavailableError, match="another may lead now"):
                    await operator.ended
                assert not await leads(shop, operator)
            ended = time()
        assert time() - ended < 20
        answered.set()


async def test_a_bug_while_renewing_ends_the_work(shop: Shop) -> None:
    """Who does not renew must not go on as if it led; the Lease is freed all the same."""
    ticks = iter([datetime.now(UTC)])
    leases = LeaseApi(shop.api, shop.namespace, "operators", timeout=10)
    leader = LeaderElector(leases, "leader", config=KEPT, clock=lambda: next(ticks))
    await leader.acquire()
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        async with asyncio.timeout(WITHIN), leader.held(must_not_happen):
            await asyncio.Event().wait()
    lease = await leases.read()
    assert lease is not None
    assert lease.holder == ""


async def test_many_that_start_at_once_have_one_leader(shop: Shop) -> None:
    """Whoever loses the race for the Lease waits."""
    racers = [asyncio.create_task(candidate(shop, f"racer-{n}", KEPT).acquire()) for n in range(8)]
    await asyncio.wait(racers, timeout=WITHIN, return_when=asyncio.FIRST_COMPLETED)
    done, pending = await asyncio.wait(racers, timeout=1)  # in which each tries again, and again
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    assert len(done) == 1


async def test_a_standby_takes_over_the_orders(shop: Shop) -> None:
    """Two operators: one works; when it ends the other goes on, and no order is fulfilled by both."""
    async with running_operator(shop.settings(), {}, KEPT) as first:
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        async with running_operator(shop.settings(), {}, KEPT) as second:
            assert await leads(shop, first)
            assert not await leads(shop, second)
            waiting = await shop.sell(Order())
            await shop.becomes(waiting, Phase.FULFILLED)
            assert len([each for each in shop.stripe.traffic.requests if "/checkout/sessions" in each.path]) == 2
    async with running_operator(shop.settings(), {}, KEPT) as third:
        await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
        assert await leads(shop, third)
