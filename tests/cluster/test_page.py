"""The order page of the installed chart: what a buyer sees of an order, by way of its Service."""

import json
from http import HTTPStatus

import pytest

from fulfillment_api.status import Phase
from support.live_cluster import RELEASE, LiveCluster

pytestmark = pytest.mark.usefixtures("shop")

UNKNOWN = "cs_test_a1" + "0" * 56


async def test_a_buyer_sees_their_order(cluster: LiveCluster) -> None:
    """As a page, and as JSON; of a Session that Stripe does not know nothing is shown, and no order made."""
    session = await cluster.sell("paid")
    order = await cluster.order_in(session, Phase.FULFILLED)
    path = f"{cluster.service(f'{RELEASE}-page')}/order?session_id="

    status, page = await cluster.ask("GET", path + session, None, **{"Accept-Language": "de"})
    assert (status, b'<html lang="de"' in page) == (HTTPStatus.OK, True)
    _, answer = await cluster.ask("GET", path + session, None, Accept="application/json")
    told = json.loads(answer)
    assert (told["state"], told["reference"]) == ("fulfilled", order.metadata.name)

    before = await cluster.orders()
    status, _ = await cluster.ask("GET", path + UNKNOWN)
    assert status == HTTPStatus.NOT_FOUND
    assert before == await cluster.orders()
