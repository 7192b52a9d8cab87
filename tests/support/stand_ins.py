"""The stand-ins that run in the cluster as pods, asked by way of the API server."""

from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from fulfillment_local.fake_stripe.client import WorldClient
from fulfillment_local.mailbox import Mail
from fulfillment_local.shop_endpoint import Trouble
from support.live_cluster import LiveCluster


@dataclass(frozen=True, slots=True)
class StandIns:
    """What the release `world` of local/chart runs."""

    cluster: LiveCluster

    @property
    def stripe(self) -> WorldClient:
        """Give Stripe's stand-in, as the tests tell it what buyers do."""
        return WorldClient(self.cluster.url + self.cluster.service("world-stripe"), self.cluster.http)

    async def mails(self) -> list[Mail]:
        """Get the mails that were caught."""
        body = await self.cluster.get(self.cluster.service("world-mail") + "/mails")
        return msgspec.json.decode(body, type=list[Mail])

    async def hand_overs(self) -> dict[str, int]:
        """Get how often each order was handed to the shop, by its idempotency key."""
        body = await self.cluster.get(self.cluster.service("world-backend") + "/orders")
        return msgspec.json.decode(body, type=dict[str, int])

    async def refuse_orders(self, status: HTTPStatus, times: int) -> None:
        """Let the shop refuse its next orders."""
        path = self.cluster.service("world-backend") + "/trouble"
        answer, body = await self.cluster.ask("PUT", path, msgspec.json.encode(Trouble(status=status, times=times)))
        assert answer == HTTPStatus.NO_CONTENT, body.decode()
