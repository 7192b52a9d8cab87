"""Waiting for orders, by kubectl's own `wait` and by the plugin's, on a real API server."""

import asyncio

import pytest
from aiohttp import web
from kubernetes.aio import client
from msgspec.structs import replace

from fulfillment_api.bounds import LONGEST_MESSAGE
from fulfillment_api.names import GROUP, PLURAL
from fulfillment_api.spec import PaymentStatus, ReversalKind
from fulfillment_api.status import ConditionType, LastHandled, Phase, Reason, Status
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement
from support.builders import make_status
from support.kubectl import kubectl
from support.order_endpoint import order_endpoint
from support.reversal_events import SOON, reconciled, reverse
from support.running_operator import BEFORE_THE_YEAR_1, Shop, at_work
from support.running_plugin import Plugin, Said

pytestmark = pytest.mark.usefixtures("crd")

READS = (client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["get", "list", "watch"]),)


@pytest.fixture
async def alice(shop: Shop) -> Plugin:
    await shop.control_plane.grant(User.ALICE, shop.namespace, READS)
    return Plugin(shop)


async def kubectl_wait(shop: Shop, name: str, *conditions: str) -> None:
    """Wait with kubectl for each of the conditions, which hold already."""
    for each in conditions:
        arguments = ["wait", f"--for=condition={each}", f"{PLURAL}/{name}", "--timeout=60s", "-n", shop.namespace]
        said = await asyncio.to_thread(kubectl, shop.control_plane, *arguments)
        assert said.endswith(" condition met\n")


async def test_kubectl_wait_ends_on_an_order_that_was_reversed_after_it_was_fulfilled(shop: Shop) -> None:
    """Its spec is a newer one then, and so are all of its conditions."""
    async with at_work(shop, **SOON):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        await reverse(shop, name, ReversalKind.DISPUTED)
        request = await reconciled(shop, name, ConditionType.DISPUTED)
    assert request.metadata.generation == 2
    await kubectl_wait(shop, name, "Paid", "Fulfilled", "Ready", "Disputed", "Stalled=False")


async def test_kubectl_wait_ends_on_an_order_whose_spec_changed_while_it_was_handed_over(shop: Shop) -> None:
    """As when Stripe says that it is paid before its event does."""
    sold: list[str] = []

    async def event_comes(_request: web.Request) -> web.StreamResponse:
        await shop.hint(sold[0], PaymentStatus.PAID)
        return web.Response()

    async with order_endpoint(event_comes) as url:
        sold.append(await shop.sell(Order(), PaymentStatus.UNPAID))
        async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=url):
            await shop.becomes(sold[0], Phase.FULFILLED)
    request = await shop.requests.get(sold[0])
    assert request.metadata.generation == 2
    await kubectl_wait(shop, sold[0], "Paid", "Fulfilled", "Ready")


async def said_of(shop: Shop, name: str) -> str:
    status = (await shop.requests.get(name)).status
    assert status is not None
    return f"{name} {status.phase} ({status.reason}): {status.message}\n"


async def test_the_plugin_waits_until_each_order_has_ended(shop: Shop, alice: Plugin) -> None:
    """One line for each as it ends, and an exit code that says what came of all; it needs no right to change any."""
    async with at_work(shop):
        good, bad = [await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID) for _ in range(2)]
        sessions = [(await shop.becomes(each, Phase.AWAITING_PAYMENT)).spec.session.id for each in (good, bad)]
        waiting = asyncio.create_task(alice("wait", good, sessions[1], "--timeout=1m"))
        paid = asyncio.create_task(alice("wait", good, "--timeout=1m"))
        await shop.watched(4)  # by the operator, and of each order: what ended before is told at once, as below
        for session, name, settlement, hint in (
            (sessions[0], good, Settlement.SUCCEEDED, PaymentStatus.PAID),
            (sessions[1], bad, Settlement.FAILED, PaymentStatus.FAILED),
        ):
            shop.stripe.world.settle(session, settlement)
            await shop.hint(name, hint)
        assert await paid == Said(0, await said_of(shop, good), "")
        both = await waiting
        assert (both.code, both.errors) == (3, "")
        assert sorted(both.output.splitlines(keepends=True)) == sorted(
            [await said_of(shop, good), await said_of(shop, bad)]
        )
    assert await alice("wait", bad) == Said(3, await said_of(shop, bad), "")


async def test_a_wait_that_is_over_says_how_the_order_stands(shop: Shop, alice: Plugin) -> None:
    """An order that awaits its payment has not ended; one that is not there is an error, whatever else came out."""
    async with at_work(shop):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        await shop.becomes(name, Phase.AWAITING_PAYMENT)
    line = (await said_of(shop, name)).replace(name, f"{name} timed out:")
    assert await alice("wait", name, "--timeout", "0") == Said(4, line, "")
    assert await alice("wait", name, "--timeout=500ms") == Said(4, line, "")
    both = await alice("wait", name, "cs-missing", "--timeout=0")
    assert (both.code, both.output) == (1, line)
    assert "cs-missing" in both.errors
    assert (await alice("wait", name, "--timeout=soon")).code == 2


async def test_an_order_that_stops_decoding_while_it_is_waited_for_is_an_error(shop: Shop, alice: Plugin) -> None:
    """As where a newer version writes it: a line says so, and the others are waited for."""
    odd, other = await shop.make("cs_test_1"), await shop.make("cs_test_2")
    waiting = asyncio.create_task(alice("wait", odd, other, "--timeout=1m"))
    await shop.watched(2)
    await shop.observed_at(odd, BEFORE_THE_YEAR_1)
    await shop.requests.patch_status(other, make_status(Phase.FULFILLED, Reason.FULFILLED))
    said = await waiting
    assert (said.code, said.output) == (1, f"{other} fulfilled (Fulfilled): \n")
    assert said.errors.startswith(f"{odd} cannot be read (Invalid RFC3339")


async def test_a_failed_order_that_goes_on_has_not_ended(shop: Shop, alice: Plugin) -> None:
    """Whoever retries or completes an order, and then waits for it, is not told of the failure before."""
    name = await shop.make("cs_test_1", PaymentStatus.UNPAID)
    status = Status(phase=Phase.FAILED, reason="PaymentFailed", message="m", observed_generation=1, conditions=[])
    long = f" {'x' * 2 * LONGEST_MESSAGE} "  # of which status keeps a part
    handled = LastHandled(retry=long.strip()[:LONGEST_MESSAGE])
    for annotations, last_handled, code in (
        ({}, None, 3),
        ({"retry": "now"}, None, 4),
        ({"retry": "now"}, LastHandled(retry="now"), 3),
        ({"retry": long}, None, 4),
        ({"retry": long}, handled, 3),
        ({"retry": None, "complete": "parcel 7"}, handled, 4),
        ({"complete": None}, handled, 3),
    ):
        await shop.annotate(name, **annotations)
        await shop.requests.patch_status(name, replace(status, last_handled=last_handled))
        assert (await alice("wait", name, "--timeout=0")).code == code, annotations
    await shop.hint(name, PaymentStatus.FAILED)
    assert (await alice("wait", name, "--timeout=0")).code == 4


async def test_more_orders_than_connections_are_waited_for_at_once(shop: Shop, alice: Plugin) -> None:
    """Each has a watch: one that never ends keeps no other from being told."""
    names = [await shop.make(f"cs_test_{number}") for number in range(20)]
    waiting = asyncio.create_task(alice("wait", *names, "--timeout=60s"))
    await shop.watched(len(names))  # else it would read the last one as it is in the end
    status = Status(phase=Phase.FULFILLED, reason="Fulfilled", message="m", observed_generation=1, conditions=[])
    for name in names:
        await shop.requests.patch_status(name, status)
    said = await waiting
    assert (said.code, sorted(said.output.splitlines())) == (
        0,
        sorted(f"{each} fulfilled (Fulfilled): m" for each in names),
    )
