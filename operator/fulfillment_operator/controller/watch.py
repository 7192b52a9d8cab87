"""kopf watches the unfulfilled requests for the controller. The one place that meets kopf.

kopf runs in a thread and an event loop of its own: at its end it cancels every task that came after it, and it
takes the process's signals for itself, so it must not share a loop with work that is to end gracefully.
"""

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import kopf
import msgspec
import structlog
from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.controller.cache_sync import CacheSync
from fulfillment_operator.controller.controller import Controller
from fulfillment_operator.controller.health import Health
from fulfillment_operator.controller.watch_connection import connections, taken_by
from fulfillment_operator.metrics import ErrorKind, OperatorMetrics
from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.kubernetes.errors import ForbiddenError, KubernetesError, NotInstalledError
from fulfillment_runtime.kubernetes.fulfillment_requests import UNFULFILLED
from fulfillment_runtime.kubernetes.list_watch import PartialObjectMetadata, WatchEventType

_log = structlog.get_logger(__name__)

_CREDENTIALS_LAST = timedelta(minutes=10)  # a pod's token is renewed on disk long before it expires
_WATCH_SECONDS = 300
# Among peers, of whom there are none. Without one kopf asks the system for this user's name, and a pod's has none.
_IDENTITY: Any = "checkout-fulfillment"
_ASKED_AGAIN_AFTER = 2.0  # seconds, whether a watch that was refused is allowed again
_DECODER = msgspec.json.Decoder(FulfillmentRequest)
_TLS_CLOSES_WITHIN = 0.1  # seconds; nobody tells when the connection of a watch that was cut is closed


@asynccontextmanager
async def watching(  # noqa: C901, PLR0913 - where to watch, whom to call, and the thread between the two
    *,
    controller: Controller,
    sync: CacheSync,
    configuration: client.Configuration,
    namespace: str,
    permitted: Callable[[], Coroutine[Any, Any, None]],
    health: Health,
    clock: Callable[[], datetime],
    metrics: OperatorMetrics,
    ended: Callable[[UnavailableError], None],
) -> AsyncIterator[threading.Event]:
    """Watch the requests that are not fulfilled, while the context lasts.

    A watch that the API server refuses is begun anew when it is allowed again. One that hears nothing kopf connects
    anew, after 70 s; should that not help, the process is not live any more.

    Args:
        controller: takes in what changed, in this event loop.
        sync: takes in, likewise, when kopf's connection is interrupted and made again.
        configuration: how to reach the API server, and with which credentials.
        namespace: whose requests are watched.
        permitted: asks the API server, in this event loop, whether requests may be listed, and raises why not.
        health: is told what the API server says to the watch.
        clock: tells the time, with its zone.
        metrics: gets the time of the last event; until the first, the time of the beginning.
        ended: is called, in this event loop, when the watch ends by itself: the process must end too, so that
            Kubernetes starts it again.

    Yields:
        An event that is set when the watch has begun.
    """
    loop = asyncio.get_running_loop()
    call = loop.call_soon_threadsafe
    began, leaving = threading.Event(), threading.Event()
    stops = [threading.Event()]  # the last one is that of the watch that runs

    def take(kind: WatchEventType, stored: msgspec.Raw) -> None:
        metrics.watch_event_at.set(clock().timestamp())
        call(_taken_in(kind, stored, controller, metrics))

    async def all_taken() -> None:
        taken = concurrent.futures.Future[None]()
        call(_tell, taken)
        await asyncio.wrap_future(taken)

    async def operate(stop: threading.Event) -> None:
        try:
            await kopf.operator(
                registry=_registry(
                    configuration,
                    clock,
                    connections(lambda: call(sync.interrupted), lambda since: call(sync.connected, since), health),
                    taken_by(take, all_taken, health),
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
        while not leaving.is_set():
            try:
                asyncio.run(operate(stops[-1]))
            except Exception as error:  # noqa: BLE001 - whatever it is, unless the watch is refused it ends the process
                reason = error
            if leaving.is_set() or not health.is_refused:
                break
            _log.error("watch.refused", message=f"{health.ready()}; it is asked again until it allows it")
            while not leaving.wait(_ASKED_AGAIN_AFTER) and not _is_permitted(permitted, loop, health):
                pass
            stops.append(threading.Event())
        if not leaving.is_set():
            call(ended, UnavailableError(f"the watch of FulfillmentRequests ended: {reason!r}"))

    # In a thread kopf cannot have the signals, and says so each time at this logger.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    health.heard()
    metrics.watch_event_at.set(clock().timestamp())  # else a watch that has just begun would look stale
    thread = threading.Thread(target=run, name="kopf", daemon=True)
    thread.start()
    try:
        yield began
    finally:
        leaving.set()
        for stop in stops:
            stop.set()
        await asyncio.to_thread(thread.join)


def _tell(taken: concurrent.futures.Future[None]) -> None:
    if taken.set_running_or_notify_cancel():
        taken.set_result(None)


def _taken_in(
    kind: WatchEventType, stored: msgspec.Raw, controller: Controller, metrics: OperatorMetrics
) -> Callable[[], None]:
    """Return what lets the controller take in an object; of one that does not decode, as much as names it."""
    if kind is WatchEventType.DELETED:  # also when it becomes fulfilled: the selector no longer has it
        metadata = msgspec.json.decode(stored, type=PartialObjectMetadata).metadata
        return partial(controller.forget, metadata.name, metadata.uid)
    try:
        return partial(controller.observe, _DECODER.decode(stored))
    except msgspec.ValidationError as error:
        metadata = msgspec.json.decode(stored, type=PartialObjectMetadata).metadata
        metrics.errors.labels(ErrorKind.UNDECODABLE).inc()
        _log.error(
            "watch.undecodable",
            request=metadata.name,
            message=f"{error}: nothing is done for it until it is mended, or a version runs that knows this",
        )
        return partial(controller.observe_undecodable, metadata.name, metadata.uid, int(metadata.resource_version))


def _is_permitted(
    permitted: Callable[[], Coroutine[Any, Any, None]], loop: asyncio.AbstractEventLoop, health: Health
) -> bool:
    """Ask for what kopf would ask: where there is no such resource, kopf waits for it in silence, for ever."""
    try:
        asyncio.run_coroutine_threadsafe(permitted(), loop).result()
    except (ForbiddenError, NotInstalledError) as error:
        health.refused(str(error))
        return False
    except KubernetesError:
        return True  # a passing fault, which kopf sits out
    return True


def _registry(
    configuration: client.Configuration,
    clock: Callable[[], datetime],
    trace: aiohttp.TraceConfig,
    answer: type[aiohttp.ClientResponse],
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
            trace_configs=[trace],
            response_class=answer,
        )
        return kopf.AiohttpSession(server=info.server, aiohttp_session=session, expiration=clock() + _CREDENTIALS_LAST)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def on_event(**_: Any) -> None:  # noqa: ANN401 - kopf's signature
        """Have kopf watch them, since it has a handler; each object is taken before one is called."""

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
    return settings
