"""A Stripe that answers whatever a test wants it to, over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import stripe
from aiohttp import web
from aiohttp.test_utils import TestServer

from fulfillment_runtime.settings import Secret
from fulfillment_runtime.stripe.client import stripe_client, stripe_reader
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_runtime.stripe.settings import StripeSettings

KEY = "sk_test_1"


@asynccontextmanager
async def asking(body: bytes, status: int = 200) -> AsyncIterator[tuple[StripeReader, stripe.StripeClient]]:
    """Yield who asks it: our reader, and the library's client; each answer is this one."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        settings = StripeSettings(stripe_api_key=Secret(KEY), stripe_api_base=str(server.make_url("")).rstrip("/"))
        async with stripe_client(settings) as client:
            yield stripe_reader(client, settings), client
