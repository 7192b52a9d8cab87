"""The HTTP server: uvicorn inside of this process's event loop, bounded in what a sender can make it hold."""

import asyncio
import contextlib
import math
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import ClassVar

import uvicorn
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fulfillment_runtime.sockets import listen

_CONNECTIONS = 1000
"""How many are held at once. For a further one, the one is hung up on that takes longest over its first request, so who
holds many binds nothing but those. When all have sent theirs, the further one is answered 503, and Stripe sends again.
"""

_OPEN_FILES = 2 * _CONNECTIONS
"""What those take, and those to the API server; many systems give a process 1024 unless it asks for more."""

_LONGEST_HEAD = 64 * 1024
"""Bytes of a request that are no body, at most: neither its head nor the trailer of its body goes on for ever."""

_IDLE_SECONDS = 75
"""How long a connection is kept for the sender's next request. Load balancers use theirs again for up to a minute
(nginx, AWS and others: 60 s), and whatever they send on one that is just being closed would be lost."""


def _tell_nobody(_status: HTTPStatus) -> None:
    pass


@contextlib.asynccontextmanager
async def serve(  # noqa: PLR0913 - what, where, and for how long
    app: ASGIApp,
    port: int,
    *,
    what: str,
    setting: str,
    address: str | None,
    head_timeout: float,
    drain: float,
    grace: float,
    closing: Callable[[], None],
    turned_away: Callable[[HTTPStatus], None] = _tell_nobody,
) -> AsyncIterator[int]:
    """Serve the application, and yield the port's number (`port` 0 takes a free one).

    At the end all is still served for a while, but each answer asks the sender to close its connection. Then no new
    connection is accepted, and requests under way are finished.

    Args:
        app: what to serve.
        port: the port.
        what: what it is for, in words for a person: "the webhook port".
        setting: the variable that names another.
        address: the one IP address to listen on; None: every one of this machine.
        head_timeout: seconds that a sender may take for a request's head; then it is hung up on.
        drain: seconds that all is still served at the end, while load balancers take note. Until it is over the pod
            must say that it is ready: where no other pod is, a node still leads to those that end and are ready
            (Kubernetes, "Endpoint Slices", serving and terminating).
        grace: seconds after that, when requests under way are given up.
        closing: is called when no new connection is accepted any more.
        turned_away: is told what each request is answered that the application never sees: 503 for too many
            connections, 400 for what is no HTTP.

    Raises:
        UnavailableError: the port is taken.
    """
    _ask_for_open_files()
    listener = listen(port, address=address, what=what, setting=setting)
    draining = asyncio.Event()
    server = _Server(
        uvicorn.Config(
            _closing(app, draining),
            http=_protocol(head_timeout, turned_away),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # what anybody can cause at any rate is told sparsely, by `turned_away`
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=math.ceil(grace),
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    ready = asyncio.create_task(server.ready.wait())
    await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    try:
        yield listener.getsockname()[1]
    finally:
        draining.set()
        await asyncio.wait({serving}, timeout=drain)
        closing()
        server.should_exit = True
        await serving


def _ask_for_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _closing(app: ASGIApp, draining: asyncio.Event) -> ASGIApp:
    """Make each answer, once this process drains, say `Connection: close`: the sender's next one goes elsewhere."""

    async def serve_and_close(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and draining.is_set():
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await app(scope, receive, send_and_close)

    return serve_and_close


class _Server(uvicorn.Server):
    """uvicorn's, but it sets an event when it listens, and leaves signals to the process that it is a part of."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _BoundedProtocol(HttpToolsProtocol):
    """uvicorn's, but it hangs up on a sender who does not get on, or does not end; uvicorn alone waits for ever.

    Between two requests it is uvicorn that waits, and hangs up after `_IDLE_SECONDS`.
    """

    head_timeout: ClassVar[float]
    """Seconds that a sender may take for a request's head."""
    turned_away: Callable[[HTTPStatus], None]
    unproven: ClassVar[dict["_BoundedProtocol", None]]
    """The connections whose first request is not whole yet, the oldest first."""
    _hang_up: asyncio.TimerHandle | None = None
    _no_body = 0  # bytes, since the last end of a head and the last piece of a body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) >= _CONNECTIONS and self.unproven:
            oldest = next(iter(self.unproven))
            oldest.transport.abort()
            oldest.forget()
        self.unproven[self] = None
        self._await_head()

    def forget(self) -> None:
        """Count this connection no longer: it is gone in a moment."""
        self.unproven.pop(self, None)
        self.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._no_body += len(data)
        super().data_received(data)
        if self._no_body > _LONGEST_HEAD:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._no_body = 0
        self._await_nothing()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._no_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.unproven.pop(self, None)  # what it sent is answered, and only who sent what Stripe signed may stay

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self.turned_away(HTTPStatus.BAD_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        self.forget()
        self._await_nothing()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if len(self.connections) >= _CONNECTIONS:  # uvicorn's own limit would count those that were just hung up on
            app = service_unavailable
            self.turned_away(HTTPStatus.SERVICE_UNAVAILABLE)
        super()._start_asgi_task(cycle, app)

    def _await_head(self) -> None:
        if self._hang_up is None:
            self._hang_up = self.loop.call_later(self.head_timeout, self.transport.close)

    def _await_nothing(self) -> None:
        if self._hang_up is not None:
            self._hang_up.cancel()
            self._hang_up = None


def _protocol(seconds: float, tell: Callable[[HTTPStatus], None]) -> type[HttpToolsProtocol]:
    class Protocol(_BoundedProtocol):
        head_timeout = seconds
        turned_away = staticmethod(tell)
        unproven: ClassVar[dict[_BoundedProtocol, None]] = {}

    return Protocol
