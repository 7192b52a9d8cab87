"""kopf watches the unfulfilled requests, and tells the controller. The one place that meets kopf.

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
from typing import Any

import kopf
import msgspec
import structlog
from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_operator.controller import Controller
from fulfillment_operator.metrics import OperatorMetrics, Trouble
from fulfillment_runtime.exits import UnavailableError

_log = structlog.get_logger(__name__)

_CREDENTIALS_LAST = timedelta(minutes=10)  # a pod's token is renewed on disk long before it expires
_WATCH_SECONDS = 300
# Among peers, of whom there are none. Without one kopf asks the system for this user's name, and a pod's has none.
_IDENTITY: Any = "checkout-fulfillment"
_TLS_CLOSES_WITHIN = 0.1  # seconds; nobody tells when the connection of a watch that was cut is closed


@asynccontextmanager
async def watching(  # noqa: PLR0913 - where to watch, and whom to tell
    *,
    controller: Controller,
    configuration: client.Configuration,
    namespace: str,
    clock: Callable[[], datetime],
    metrics: OperatorMetrics,
    ended: Callable[[UnavailableError], None],
) -> AsyncIterator[threading.Event]:
    """Watch the requests that are not fulfilled, while the context lasts.

    Args:
        controller: is told what changed, in this event loop.
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
    began, stop = threading.Event(), threading.Event()

    def tell(what: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 - as call_soon_threadsafe has it
        # In a context of ours: kopf's holds the raw object, and an order's timer would hold that for weeks.
        loop.call_soon_threadsafe(what, *arguments, context=context)

    def take(event: kopf.RawEvent) -> None:
        metrics.watch_event_at.set(clock().timestamp())
        metadata = event["object"]["metadata"]
        name = metadata["name"]
        if event["type"] == "DELETED":  # also when it becomes fulfilled: the selector no longer has it
            tell(controller.forget, name, metadata["uid"])
            return
        try:
            request = msgspec.convert(event["object"], FulfillmentRequest)
        except msgspec.ValidationError as error:
            metrics.troubles.labels(Trouble.UNDECODABLE).inc()
            _log.error(
                "watch.undecodable",
                request=name,
                message=f"{error}: install the CustomResourceDefinition of this version",
            )
            return
        tell(controller.observe, request)

    async def operate() -> None:
        await kopf.operator(
            registry=_registry(take, configuration, clock),
            settings=_settings(),
            namespaces=[namespace],
            standalone=True,
            identity=_IDENTITY,
            ready_flag=began,
            stop_flag=stop,
        )
        await asyncio.sleep(_TLS_CLOSES_WITHIN)

    def run() -> None:
        reason: BaseException | None = None
        try:
            asyncio.run(operate())
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the process
            reason = error
        if not stop.is_set():
            loop.call_soon_threadsafe(ended, UnavailableError(f"the watch of FulfillmentRequests ended: {reason!r}"))

    # In a thread kopf cannot have the signals, and says so each time at this logger.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    metrics.watch_event_at.set(clock().timestamp())  # else who has just begun would look deaf
    thread = threading.Thread(target=run, name="kopf", daemon=True)
    thread.start()
    try:
        yield began
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)


def _registry(
    take: Callable[[kopf.RawEvent], None], configuration: client.Configuration, clock: Callable[[], datetime]
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - kopf's signature
        header = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        token = header.split(" ", 1)[-1] if header else None
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme="Bearer" if token else None,
            token=token,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            expiration=clock() + _CREDENTIALS_LAST,
        )

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
    settings.watching.field_selectors[names.GROUP, names.VERSION, names.PLURAL] = f"status.phase!={Phase.FULFILLED}"
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 0.1  # the handler only takes notes
    return settings
