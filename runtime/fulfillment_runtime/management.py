"""The management port of each workload: `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Gauge,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from fulfillment_runtime.logs import dropped_lines
from fulfillment_runtime.sockets import listen

_LOOK_EVERY = 1.0  # seconds
_STANDS_STILL = 10.0  # seconds: Stripe and the kubelet have given up by then

Check = Callable[[], str | None]
"""Tells what is wrong, in words for a person; None when nothing is."""


STARTED_AT = "fulfillment_start_timestamp_seconds"


def process_registry(started_at: float) -> CollectorRegistry:
    """Make the registry that a workload puts its metrics in: with those of the process, and the version that runs.

    Args:
        started_at: when the workload began, in Unix time: each of its counters counts from then on, from 0. A process
            whose settings changed begins anew.
    """
    # A series for each counter and histogram, which nobody reads.
    disable_created_metrics()  # type: ignore[no-untyped-call] # the library's
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    registry.register(_LogCollector())
    build = Gauge("fulfillment_build_info", "The version that runs; always 1.", ["version"], registry=registry)
    build.labels(version("checkout-fulfillment")).set(1)
    start = Gauge(
        STARTED_AT,
        "When this workload began with the settings that it has, and its counters at 0, in Unix time.",
        registry=registry,
    )
    start.set(started_at)
    return registry


class _LogCollector(Collector):
    def collect(self) -> Iterable[Metric]:
        counter = CounterMetricFamily(
            "fulfillment_log_lines_dropped_total", "Log lines that nobody read in time, or that could not be written."
        )
        counter.add_metric([], dropped_lines())
        yield counter


class LoopLag:
    """How late the event loop is: what it has to do waits for as long, and so does every answer."""

    def __init__(self, monotonic: Callable[[], float], registry: CollectorRegistry) -> None:
        """Make it.

        Args:
            monotonic: tells seconds from any moment on; it never goes back.
            registry: where the metric is registered.
        """
        self._monotonic = monotonic
        self._last = 0.0
        self._gauge = Gauge(
            "fulfillment_event_loop_lag_seconds",
            "How late the event loop was when it was last looked at, which is once a second.",
            registry=registry,
        )

    async def run(self) -> None:
        """Measure, until cancelled."""
        while True:
            due = self._monotonic() + _LOOK_EVERY
            await asyncio.sleep(_LOOK_EVERY)
            self._last = max(0.0, self._monotonic() - due)
            self._gauge.set(self._last)

    def live(self) -> str | None:
        """Say that the event loop stands still for longer than anyone waits; None: it does not."""
        if self._last <= _STANDS_STILL:
            return None
        return f"the event loop stood still for {self._last:.0f} s"


@asynccontextmanager
async def management_server(
    port: int, registry: CollectorRegistry, *, address: str | None, live: Check, ready: Check
) -> AsyncIterator[int]:
    """Serve the management port, and yield the port's number (`port` 0 takes a free one).

    Args:
        port: the port.
        registry: the metrics.
        address: the one IP address to listen on; None: every one.
        live: tells whether the process is to be restarted.
        ready: tells whether it is to be sent requests.

    Raises:
        UnavailableError: the port is taken.
    """
    lag = LoopLag(time.monotonic, registry)
    listener = listen(port, address=address, what="the management port", setting="FULFILLMENT_MANAGEMENT_PORT")
    app = web.Application()
    app.router.add_get("/metrics", _metrics_handler(registry))
    app.router.add_get("/healthz", _check_handler(lambda: lag.live() or live()))
    app.router.add_get("/readyz", _check_handler(ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    measuring = asyncio.create_task(lag.run())
    try:
        await web.SockSite(runner, listener).start()
        yield listener.getsockname()[1]
    finally:
        measuring.cancel()
        await runner.cleanup()


def _metrics_handler(registry: CollectorRegistry) -> Handler:
    async def metrics(request: web.Request) -> web.StreamResponse:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return metrics


def _check_handler(check: Check) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        problem = check()
        return web.Response(status=503, text=problem + "\n") if problem else web.Response(text="ok\n")

    return answer
