"""Serves what a test answers to the http backend's posts, on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler


@asynccontextmanager
async def order_endpoint(answer: Handler) -> AsyncIterator[str]:
    """Let `answer` have each `POST /orders` while the context lasts, and yield the URL that orders go to."""
    app = web.Application()
    app.router.add_post("/orders", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/orders"
    finally:
        await runner.cleanup()
