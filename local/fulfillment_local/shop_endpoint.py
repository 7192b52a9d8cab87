"""A stand-in for the shop's own endpoint, to which the http backend posts orders: it verifies, counts and answers.

`python -m fulfillment_local.shop_endpoint` runs it as a process of its own, such as a pod.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import click
import msgspec
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from fulfillment_local.signals import told_to_end
from fulfillment_operator.backends.http.backend import PING_TYPE
from fulfillment_runtime.sockets import listen

LATER = "later"
"""A key of a Session's metadata: its order is taken with 202, and whoever plays the shop calls back."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the endpoint is told to fail: `PUT /trouble`."""

    status: int
    times: int
    """How many posts are answered so."""


class _Session(msgspec.Struct, frozen=True):
    metadata: dict[str, str] = {}


class _Data(msgspec.Struct, frozen=True):
    session: _Session = _Session()


class _Posted(msgspec.Struct, frozen=True):
    """What the http backend posts, as far as it is looked at."""

    type: str = ""
    data: _Data = _Data()


class ShopEndpoint:
    """`POST /orders` takes orders, `GET` tells how often each was handed over, and `DELETE` forgets them.

    Those whose metadata has `LATER` are answered 202.
    """

    def __init__(self, secret: str | None) -> None:
        """Make it, with the Standard Webhooks secret that posts must be signed with; None takes unsigned ones."""
        self._webhook = Webhook(secret) if secret else None
        self._orders: Counter[str] = Counter()
        self._trouble = Trouble(status=HTTPStatus.SERVICE_UNAVAILABLE, times=0)

    def application(self) -> web.Application:
        """Build the application."""
        app = web.Application()
        app.add_routes(
            [
                web.post("/orders", self._take),
                web.get("/orders", self._tell),
                web.delete("/orders", self._forget),
                web.put("/trouble", self._fail),
            ]
        )
        return app

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        try:
            posted = msgspec.json.decode(body, type=_Posted)
        except msgspec.DecodeError as error:
            return web.Response(status=HTTPStatus.BAD_REQUEST, text=f"{error}\n")
        if self._webhook is not None:
            try:
                self._webhook.verify(body, dict(request.headers))
            except WebhookVerificationError as error:
                return web.Response(status=HTTPStatus.UNAUTHORIZED, text=f"{error}\n")
        if posted.type == PING_TYPE:
            return web.Response(status=HTTPStatus.NO_CONTENT)
        if self._trouble.times > 0:
            self._trouble = msgspec.structs.replace(self._trouble, times=self._trouble.times - 1)
            return web.Response(status=self._trouble.status, text="as it was told\n")
        key = request.headers["webhook-id"]
        self._orders[key] += 1
        status = HTTPStatus.ACCEPTED if LATER in posted.data.session.metadata else HTTPStatus.OK
        return web.json_response({"reference": f"order-of-{key}"}, status=status)

    async def _tell(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self._orders)

    async def _forget(self, _request: web.Request) -> web.StreamResponse:
        self._orders.clear()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _fail(self, request: web.Request) -> web.StreamResponse:
        try:
            self._trouble = msgspec.json.decode(await request.read(), type=Trouble)
        except msgspec.DecodeError as error:
            return web.Response(status=HTTPStatus.BAD_REQUEST, text=f"{error}\n")
        return web.Response(status=HTTPStatus.NO_CONTENT)


@asynccontextmanager
async def shop_endpoint(secret: str | None, port: int = 0) -> AsyncIterator[str]:
    """Serve the endpoint on every address of this machine, and yield its loopback URL (`port` 0 takes a free one).

    Raises:
        UnavailableError: the port is taken.
    """
    listener = listen(port, what="the port of the stand-in for the shop", setting="--port")
    runner = web.AppRunner(ShopEndpoint(secret).application(), access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await runner.cleanup()


@click.command(context_settings={"show_default": True})
@click.option("--port", default=8080, help="The port to listen on; 0 takes a free one.")
@click.option("--secret", envvar="SHOP_SECRET", help="The Standard Webhooks secret, whsec_…, that signs posts.")
def command(port: int, secret: str | None) -> None:
    """Serve a stand-in for the shop's endpoint."""
    asyncio.run(_serve(port, secret))


async def _serve(port: int, secret: str | None) -> None:
    async with shop_endpoint(secret, port) as url:
        click.echo(f"The stand-in for the shop's endpoint is at {url}")
        await told_to_end()


if __name__ == "__main__":
    command()
