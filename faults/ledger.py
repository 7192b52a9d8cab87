"""The shop's endpoint, to which the http backend posts: it notes what it was handed, and fails as a case tells it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import TypeAlias

import msgspec
from aiohttp import web

_PAID = "dev.checkout-fulfillment.order.paid"

Meet: TypeAlias = Callable[[web.Request, str], Awaitable[web.Response | None]]
"""Is called with each post, and its key, once it was noted; answers it, or None to let it be answered 200."""


class _Posted(msgspec.Struct, frozen=True):
    """The CloudEvent that the http backend posts, as far as it is read."""

    type: str
    subject: str


class Ledger:
    """What the shop was handed."""

    def __init__(self) -> None:
        self.keys: defaultdict[str, set[str]] = defaultdict(set)
        """The idempotency keys under which each Session's order was handed over: one, if all is well."""
        self.posts: Counter[str] = Counter()
        """How often an order was posted, by its key."""
        self.meet: Meet | None = None
        """What a post meets; None: nothing."""

    async def answer(self, request: web.Request) -> web.Response:
        """Note a post, and answer it."""
        posted = msgspec.json.decode(await request.read(), type=_Posted)
        key = request.headers["webhook-id"]
        if posted.type == _PAID:
            self.posts[key] += 1
            self.keys[posted.subject].add(key)
        if self.meet is not None and (answer := await self.meet(request, key)) is not None:
            return answer
        return web.Response()


@asynccontextmanager
async def running_ledger() -> AsyncIterator[tuple[Ledger, str]]:
    """Serve one on a free port of the loopback while the context lasts, and yield it with its URL."""
    ledger = Ledger()
    app = web.Application()
    app.router.add_post("/orders", ledger.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield ledger, f"http://127.0.0.1:{runner.addresses[0][1]}/orders"
    finally:
        await runner.cleanup()


async def failing(_request: web.Request, _key: str) -> web.Response:
    """Answer 500 after the effect."""
    return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)


async def dropping(request: web.Request, _key: str) -> web.Response | None:
    """Drop the connection after the effect."""
    if request.transport is not None:
        request.transport.abort()
    return None


async def stalling(_request: web.Request, _key: str) -> web.Response | None:
    """Say nothing after the effect, for longer than anyone waits."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    return None
