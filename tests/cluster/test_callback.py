"""The shop takes an order with 202, and calls the webhook's Service back: signed, as the docs say."""

import base64
from datetime import UTC, datetime

import msgspec
import yaml
from standardwebhooks import Webhook

from fulfillment_api.status import Phase, Reason
from fulfillment_local.shop_endpoint import LATER
from support.live_cluster import RELEASE, LiveCluster
from support.stand_ins import StandIns

DONE = {"result": "done", "reference": "parcel-9"}


async def test_the_shops_callback_fulfills_the_order(cluster: LiveCluster, shop: StandIns) -> None:
    """The order waits, and is told to the shop once; what another secret signed changes nothing."""
    session = await cluster.sell("paid", "--metadata", f"{LATER}=yes")
    waiting = await cluster.order_in(session, Phase.FULFILLING)
    name = waiting.metadata.name
    found = yaml.safe_load(await cluster.kubectl("get", "secret", "backend", "--output=yaml"))
    secret = base64.b64decode(found["data"]["secret"]).decode()

    forged = await call_back(cluster, name, DONE, secret="whsec_" + "b" * 32)
    answers = [await call_back(cluster, name, DONE, secret) for _ in range(2)]

    assert waiting.status
    assert waiting.status.reason == Reason.DISPATCHED
    assert (401, "wrong-signature") == forged
    assert (200, "recorded") == answers[0]
    assert 200 == answers[1][0]
    order = await cluster.order_in(session, Phase.FULFILLED)
    assert order.status
    assert order.status.fulfillment
    assert (1, DONE["reference"]) == (order.status.fulfillment.attempts, order.status.fulfillment.reference)
    assert (await shop.hand_overs())[name] == 1


async def call_back(cluster: LiveCluster, name: str, word: dict[str, str], secret: str) -> tuple[int, str]:
    """Say what became of an order; return the answer's status, and its word."""
    body, now = msgspec.json.encode(word), datetime.now(UTC)
    headers = {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, now, body.decode()),
    }
    path = f"{cluster.service(f'{RELEASE}-webhook')}/callback/{name}"
    status, answer = await cluster.ask("POST", path, body, **headers)
    said = msgspec.json.decode(answer, type=dict[str, str])
    return status, said.get("result") or said["error"]
