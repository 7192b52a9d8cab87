"""The management port of both workloads: `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from fulfillment_runtime.listening import listen

Check = Callable[[], str | None]
"""Tells what is wrong, in words for a person; None when nothing is."""


@asynccontextmanager
async def management_server(port: int, registry: CollectorRegistry, *, live: Check, ready: Check) -> AsyncIterator[int]:
    """Serve the management port, and yield the port's number (`port` 0 takes a free one).

    Raises:
        UnavailableError: the port is taken.
    """
    listener = listen(port, what="the management port", setting="FULFILLMENT_MANAGEMENT_PORT")
    app = web.Application()
    app.router.add_get("/metrics", _metrics_handler(registry))
    app.router.add_get("/healthz", _check_handler(live))
    app.router.add_get("/readyz", _check_handler(ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield listener.getsockname()[1]
    finally:
        await runner.cleanup()


def _metrics_handler(registry: CollectorRegistry) -> Handler:
    async def metrics(request: web.Request) -> web.StreamResponse:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return metrics


def _check_handler(check: Check) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        trouble = check()
        return web.Response(status=503, text=trouble + "\n") if trouble else web.Response(text="ok\n")

    return answer
