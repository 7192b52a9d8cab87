"""The whole product at work: the webhook service, the operator, and an endpoint that fulfills."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.control import sent_event
from fulfillment_local.fake_stripe.model import Event
from fulfillment_local.webhook_sender import Webhook, delivery_of
from fulfillment_service.main import running_service
from support.order_endpoint import order_endpoint
from support.running_operator import Shop, at_work, open_shop
from support.running_webhook import RULES as SERVICE_RULES
from support.running_webhook import SECRET, service_settings


@dataclass(frozen=True)
class Business:
    """The whole product at work, and what its backend got."""

    shop: Shop
    webhook: Webhook
    fulfilled: Counter[str]

    async def deliver(self, event: Event, *, thin: bool) -> None:
        """Deliver an event as Stripe does; it must be acknowledged."""
        body = bytes(sent_event(event).thin if thin else sent_event(event).snapshot)
        (answer,) = await self.webhook.post([delivery_of(body)])
        assert (answer.status, answer.text) == (200, answer.text)

    async def phases(self, name: str, until: Phase) -> list[Phase]:
        """Follow a request through its phases until one of them."""
        seen: list[Phase] = []
        async with asyncio.timeout(60), self.shop.watching(name) as changes:
            async for request in changes:
                if request.status and seen[-1:] != [request.status.phase]:
                    seen.append(request.status.phase)
                if seen[-1:] == [until]:
                    return seen
        raise AssertionError(f"the watch ended; phases were {seen}")


@asynccontextmanager
async def open_business(control_plane: ControlPlane, namespace: str, *, recheck: timedelta) -> AsyncIterator[Business]:
    """Run it all in this process.

    Args:
        control_plane: the cluster.
        namespace: where.
        recheck: how often an order that waits is asked of Stripe again, and hints about fulfilled ones are seen to.
    """
    fulfilled: Counter[str] = Counter()

    async def fulfill(request: web.Request) -> web.StreamResponse:
        fulfilled[request.headers["webhook-id"]] += 1
        return web.Response()

    await control_plane.grant(User.SERVICE, namespace, [SERVICE_RULES])
    async with (
        order_endpoint(fulfill) as url,
        open_shop(control_plane, namespace) as shop,
        at_work(shop, backend="http", FULFILLMENT_HTTP_URL=url, recheck_interval=recheck, reversal_interval=recheck),
        running_service(service_settings(control_plane, namespace)) as service,
    ):
        webhook = Webhook(url=f"http://localhost:{service.webhook_port}/webhook", secrets=(SECRET,), http=shop.http)
        yield Business(shop, webhook, fulfilled)
