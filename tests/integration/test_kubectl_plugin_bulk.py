"""`kubectl fulfillment` asked about many requests at once, of which some go well and some do not."""

import asyncio
import re
from datetime import timedelta
from http import HTTPStatus

import pytest
from aiohttp import web
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PAUSED, PLURAL, request_name
from fulfillment_api.status import Phase
from fulfillment_local.credentials import User
from fulfillment_local.stripe_world.model import Order
from order_endpoint import order_endpoint
from running_operator import Shop, at_work
from running_plugin import Plugin

pytestmark = pytest.mark.usefixtures("crd")

RULES = (
    client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["get", "list", "watch", "patch"]),
    client.V1PolicyRule(api_groups=[""], resources=["events"], verbs=["create", "list"]),
)


@pytest.fixture
async def alice(shop: Shop) -> Plugin:
    await shop.control_plane.grant(User.ALICE, shop.namespace, RULES)
    return Plugin(shop)


async def test_a_retry_of_many_tells_of_each_by_itself(shop: Shop, alice: Plugin) -> None:
    """One is fulfilled, one fails anew, one is not done in time, and three cannot be tried: exit code 1."""
    hanging = asyncio.Event()
    answers: dict[str, HTTPStatus] = {}

    async def answer(request: web.Request) -> web.Response:
        name = request_name((await request.json())["data"]["session"]["id"])
        status = answers.get(name, HTTPStatus.BAD_REQUEST)
        if status is HTTPStatus.REQUEST_TIMEOUT:
            await hanging.wait()
        return web.json_response({"reference": "parcel 7"}, status=status)

    async with (
        order_endpoint(answer) as url,
        at_work(shop, backend="http", http_url=url, http_timeout=timedelta(seconds=50)),
    ):
        sold = [await shop.sell(Order()) for _ in range(5)]
        for each in sold:
            await shop.becomes(each, Phase.FAILED, "FulfillmentFailed")
        good, bad, slow, held, done = sold
        await shop.requests.annotate(await shop.requests.get(held), {PAUSED: "a call"})
        await shop.annotate(done, complete="parcel 1")
        await shop.becomes(done, Phase.FULFILLED)
        answers |= {good: HTTPStatus.OK, slow: HTTPStatus.REQUEST_TIMEOUT}

        said = await alice("retry", *sold, "cs-nobody", "--wait=5")
        hanging.set()

    assert said.code == 1
    assert said.output.splitlines() == [
        f"{good} retried: fulfilled (Fulfilled): the backend http fulfilled the order as parcel 7",
        f"{bad} retried: failed (FulfillmentFailed): {await message(shop, bad)}",
        f"{slow} asked to retry, and not obeyed yet",
    ]
    assert said.errors.splitlines()[:3] == [
        f"{held} is paused (a call): resume it first",
        f"{done} is fulfilled (CompletedByHand): nothing changes it any more",
        f'{PLURAL}.{GROUP} "cs-nobody" not found',
    ]
    assert re.fullmatch(r"1 were not obeyed within 5 s: is the operator running, .*", said.errors.splitlines()[3])
    assert len(said.errors.splitlines()) == 4


async def test_a_retry_of_all_passes_over_what_cannot_be_tried(shop: Shop, alice: Plugin) -> None:
    """A held one is not counted; one that fails anew was tried, and so all that was asked was done."""
    async with at_work(shop, backend="http", http_url="http://localhost:9/", backend_deadline=timedelta(0)):
        sold = [await shop.sell(Order()) for _ in range(3)]
        for each in sold:
            await shop.becomes(each, Phase.FAILED, "FulfillmentFailed")
        await shop.requests.annotate(await shop.requests.get(sold[0]), {PAUSED: "a call"})
        said = await alice("retry", "--all", stdin="y\n")
    question = f"retry 2 in the namespace {shop.namespace} (FulfillmentFailed: 2)? [y/N]: "
    assert (said.code, said.errors) == (0, question)
    assert [line.split(":")[0] for line in said.output.splitlines()] == [f"{each} retried" for each in sorted(sold[1:])]


async def message(shop: Shop, name: str) -> str:
    status = (await shop.requests.get(name)).status
    return status.message if status else ""
