"""Serves what a test answers to HTTP requests, on a real socket."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def serving(*routes: web.AbstractRouteDef, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve routes on a free port of the loopback while the context lasts, and yield the URL that they are below.

    Args:
        routes: such as `web.post("/orders", answer)`.
        tls: holds the server's certificate; None serves plain HTTP.
    """
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
