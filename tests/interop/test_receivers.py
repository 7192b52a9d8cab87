"""Orders are received by the official libraries of CloudEvents and of Standard Webhooks in other languages."""

import asyncio
import base64
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from standardwebhooks import Webhook

from fulfillment_api.spec import Reversal, ReversalKind
from fulfillment_api.status import Phase
from fulfillment_local.fake_stripe.model import AfterPayment, Order
from support.order_documents import mistakes_in
from support.running_operator import LEASE_THAT_IS_KEPT, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

PATH = os.environ["PATH"]
SECRET = f"whsec_{base64.b64encode(b'a secret that both of them have').decode()}"
WITHIN = 60  # seconds until a line comes that is to come


class Receiver:
    """A receiver at work in another language."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._lines = process.stdout

    async def says(self) -> dict[str, Any]:
        """Return the next line that it writes."""
        async with asyncio.timeout(WITHIN):
            said = json.loads(await self._lines.readline())
        assert isinstance(said, dict)
        return said


@asynccontextmanager
async def running(command: Sequence[str]) -> AsyncIterator[Receiver]:
    process = await asyncio.create_subprocess_exec(
        *command, env={"PATH": PATH, "RECEIVER_SECRET": SECRET}, stdout=PIPE, limit=2**20
    )
    try:
        yield Receiver(process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@pytest.fixture(params=["go", "node"])
async def receiver(request: pytest.FixtureRequest) -> AsyncIterator[Receiver]:
    """Run a receiver in each language."""
    if request.param == "go":
        command = [str(request.getfixturevalue("go_programs") / "receiver")]
    else:
        command = request.getfixturevalue("node_receiver")
    async with running(command) as receiver:
        yield receiver


async def test_an_order_and_its_refund_are_received(shop: Shop, receiver: Receiver) -> None:
    """Both verify and parse; the event's attributes and the order document come through whole."""
    url = (await receiver.says())["url"]
    settings: dict[str, Any] = {
        "FULFILLMENT_HTTP_URL": url,
        "FULFILLMENT_HTTP_SECRET": SECRET,
        "reversal_interval": timedelta(seconds=0.1),
    }
    async with at_work(shop, LEASE_THAT_IS_KEPT, backend="http", **settings):
        session, _ = shop.stripe.world.play(Order(amount=5900))
        name = await shop.make(session.id)
        order = await receiver.says()
        await shop.becomes(name, Phase.FULFILLED)
        shop.stripe.world.play_after_payment(session.id, AfterPayment.REFUNDED)
        now = datetime.now(UTC).replace(microsecond=0)
        await shop.patch_spec(name, Reversal(kind=ReversalKind.REFUNDED, observed_at=now))
        refund = await receiver.says()
    assert {key: order[key] for key in ("specversion", "id", "source", "type", "subject")} == {
        "specversion": "1.0",
        "id": name,
        "source": f"/namespaces/{shop.namespace}/fulfillmentrequests",
        "type": "dev.checkout-fulfillment.order.paid",
        "subject": session.id,
    }
    assert mistakes_in(order["data"]) == []
    assert order["data"]["amount"]["total"] == 5900
    assert (refund["id"], refund["type"]) == (f"{name}.refunded", "dev.checkout-fulfillment.order.refunded")
    assert mistakes_in(refund["data"]) == []


async def test_what_nobody_signed_is_refused(shop: Shop, receiver: Receiver) -> None:
    """A body that was altered, and a signature of another secret, are answered 401, and no event comes of them."""
    url = (await receiver.says())["url"]
    event = {"specversion": "1.0", "id": "1", "source": "/test", "type": "test", "datacontenttype": "application/json"}
    body, now = json.dumps(event | {"data": {}}), datetime.now(UTC)
    other = f"whsec_{base64.b64encode(b'another secret that nobody asked').decode()}"

    async def post(text: str, signature: str) -> int:
        headers = {
            "Content-Type": "application/cloudevents+json",
            "webhook-id": "1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        async with shop.http.post(url, data=text, headers=headers) as response:
            return response.status

    good = Webhook(SECRET).sign("1", now, body)
    assert await post(body.replace("test", "toast"), good) == HTTPStatus.UNAUTHORIZED
    assert await post(body, Webhook(other).sign("1", now, body)) == HTTPStatus.UNAUTHORIZED
    assert await post(body, good) == HTTPStatus.OK
    assert (await receiver.says())["id"] == "1"
