"""kopf watches the unfulfilled requests for the controller. The one place that meets kopf.

kopf runs in a thread and an event loop of its own: at its end it cancels every task that came after it, and it
takes the process's signals for itself, so it must not share a loop with work that is to end gracefully.
"""

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp
import kopf
import msgspec
import structlog
from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.controller.cache_sync import UNFULFILLED, CacheSync
from fulfillment_operator.controller.controller import Controller
from fulfillment_operator.metrics import ErrorKind, OperatorMetrics
from fulfillment_runtime.fatal_errors import UnavailableError

_log = structlog.get_logger(__name__)

_CREDENTIALS_LAST = timedelta(minutes=10)  # a pod's token is renewed on disk long before it expires
_WATCH_SECONDS = 300
# Among peers, of whom there are none. Without one kopf asks the system for this user's name, and a pod's has none.
_IDENTITY: Any = "checkout-fulfillment"
_TLS_CLOSES_WITHIN = 0.1  # seconds; nobody tells when the connection of a watch that was cut is closed


@asynccontextmanager
async def watching(  # noqa: PLR0913 - where to watch, and whom to call
    *,
    controller: Controller,
    sync: CacheSync,
    configuration: client.Configuration,
    namespace: str,
    clock: Callable[[], datetime],
    metrics: OperatorMetrics,
    ended: Callable[[UnavailableError], None],
) -> AsyncIterator[threading.Event]:
    """Watch the requests that are not fulfilled, while the context lasts.

    Args:
        controller: takes in what changed, in this event loop.
        sync: takes in, likewise, when kopf's connection is interrupted and made again.
        configuration: how to reach the API server, and with which credentials.
        namespace: whose requests are watched.
        clock: tells the time, with its zone.
        metrics: gets the time of the last event; until the first, the time of the beginning.
        ended: is called, in this event loop, when the watch ends by itself: the process must end too, so that
            Kubernetes starts it again.

    Yields:
        An event that is set when the watch has begun.
    """
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    began, stop, leaving = threading.Event(), threading.Event(), threading.Event()

    def call(what: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 - as call_soon_threadsafe has it
        # In a context of ours: kopf's holds the raw object, and an order's timer would hold that for weeks.
        loop.call_soon_threadsafe(what, *arguments, context=context)

    def take(event: kopf.RawEvent) -> None:
        metrics.watch_event_at.set(clock().timestamp())
        metadata = event["object"]["metadata"]
        name = metadata["name"]
        if event["type"] == "DELETED":  # also when it becomes fulfilled: the selector no longer has it
            call(controller.forget, name, metadata["uid"])
            return
        try:
            request = msgspec.convert(event["object"], FulfillmentRequest)
        except msgspec.ValidationError as error:
            metrics.errors.labels(ErrorKind.UNDECODABLE).inc()
            _log.error(
                "watch.undecodable",
                request=name,
                message=f"{error}: install the CustomResourceDefinition of this version",
            )
            return
        call(controller.observe, request)

    async def operate() -> None:
        try:
            await kopf.operator(
                registry=_registry(
                    take,
                    configuration,
                    clock,
                    _connections(partial(call, sync.interrupted), partial(call, sync.connected)),
                ),
                settings=_settings(),
                namespaces=[namespace],
                standalone=True,
                identity=_IDENTITY,
                ready_flag=began,
                stop_flag=stop,
            )
        finally:
            stop.set()  # kopf waits for it in a thread of the executor, which asyncio.run joins however kopf ended
        await asyncio.sleep(_TLS_CLOSES_WITHIN)

    def run() -> None:
        reason: BaseException | None = None
        try:
            asyncio.run(operate())
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the process
            reason = error
        if not leaving.is_set():
            loop.call_soon_threadsafe(ended, UnavailableError(f"the watch of FulfillmentRequests ended: {reason!r}"))

    # In a thread kopf cannot have the signals, and says so each time at this logger.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    metrics.watch_event_at.set(clock().timestamp())  # else a watch that has just begun would look stale
    thread = threading.Thread(target=run, name="kopf", daemon=True)
    thread.start()
    try:
        yield began
    finally:
        leaving.set()
        stop.set()
        await asyncio.to_thread(thread.join)


def _connections(interrupted: Callable[[], None], connected: Callable[[int], None]) -> aiohttp.TraceConfig:
    """Tell of the watch's connection by kopf's requests: no handler of kopf's is told that a watch was cut.

    Args:
        interrupted: is called when kopf lists or watches anew, for what it had has ended.
        connected: is called when the API server has begun to tell of changes, with the resource version since which.
    """
    trace = aiohttp.TraceConfig()

    async def starts(_session: object, _context: object, request: aiohttp.TraceRequestStartParams) -> None:
        if request.url.name == names.PLURAL:
            interrupted()

    async def answered(_session: object, _context: object, request: aiohttp.TraceRequestEndParams) -> None:
        if "watch" in request.url.query and request.response.status == HTTPStatus.OK:
            connected(int(request.url.query["resourceVersion"]))

    trace.on_request_start.append(starts)
    trace.on_request_end.append(answered)
    return trace


def _registry(
    take: Callable[[kopf.RawEvent], None],
    configuration: client.Configuration,
    clock: Callable[[], datetime],
    connections: aiohttp.TraceConfig,
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401 - kopf's signature
        header = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        token = header.split(" ", 1)[-1] if header else None
        info = kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme="Bearer" if token else None,
            token=token,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )
        session = aiohttp.ClientSession(  # as kopf makes one; it closes this one, too
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            trace_configs=[connections],
        )
        return kopf.AiohttpSession(server=info.server, aiohttp_session=session, expiration=clock() + _CREDENTIALS_LAST)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def on_event(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf's signature
        take(event)

    return registry


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # needs no rights over CustomResourceDefinitions and namespaces
    settings.posting.enabled = False  # Events are the reconciler's
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2, 5)  # then from the start: an outage ends soon after it ends
    settings.watching.server_timeout = _WATCH_SECONDS
    settings.watching.client_timeout = _WATCH_SECONDS + 10
    settings.watching.field_selectors[names.GROUP, names.VERSION, names.PLURAL] = UNFULFILLED
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 0.1  # the handler only takes notes
    return settings
