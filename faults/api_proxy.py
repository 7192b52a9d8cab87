"""A proxy between the workloads and the API server that slows, throttles, swallows or cuts what passes."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from fulfillment_local.control_plane import ControlPlane

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "content-encoding"}
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
_RETRY_AFTER = 1  # seconds, as the API server's priority and fairness asks for


class ApiProxy:
    """Passes on all, unless it is told otherwise."""

    def __init__(self, server: str, http: aiohttp.ClientSession) -> None:
        self.slow: float = 0.0
        """Seconds that it holds each request back."""
        self.throttled: float = 0.0
        """The share of requests that it answers with 429."""
        self.port = 0
        self._server = server
        self._http = http
        self._open: set[asyncio.Transport] = set()
        self._passes = asyncio.Event()
        self._watches_pass = asyncio.Event()
        self._passes.set()
        self._watches_pass.set()
        self._owed = 0.0

    def kubeconfig(self, of: Path, path: Path) -> Path:
        """Write a kubeconfig that leads through it."""
        content = json.loads(of.read_text(encoding="utf-8"))
        content["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self.port}"}
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    @contextmanager
    def swallowing(self, *, watches_only: bool = False) -> Iterator[None]:
        """Take everything, or what a watch brings, and pass nothing on; connections stay."""
        gates = [self._watches_pass] if watches_only else [self._watches_pass, self._passes]
        for gate in gates:
            gate.clear()
        try:
            yield
        finally:
            for gate in gates:
                gate.set()

    def cut(self) -> None:
        """Reset every connection there is."""
        for transport in list(self._open):
            transport.abort()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on, and what comes back."""
        transport = request.transport
        if transport is None:  # it is gone
            return web.Response()
        self._open.add(transport)
        try:
            return await self._pass(request)
        except (aiohttp.ClientError, OSError):  # as the API server broke it off, so does this
            transport.abort()
            return web.Response()
        finally:
            self._open.discard(transport)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        gate = self._watches_pass if "watch" in request.query else self._passes
        await gate.wait()
        self._owed += self.throttled
        if self._owed >= 1:
            self._owed -= 1
            return web.json_response(
                {
                    "kind": "Status",
                    "status": "Failure",
                    "reason": "TooManyRequests",
                    "code": 429,
                    "message": "too many requests, please try again later",
                },
                status=HTTPStatus.TOO_MANY_REQUESTS,
                headers={"Retry-After": str(_RETRY_AFTER)},
            )
        await asyncio.sleep(self.slow)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        headers["Accept-Encoding"] = "identity"
        url = f"{self._server}{request.raw_path}"
        async with self._http.request(
            request.method, URL(url, encoded=True), data=body or None, headers=headers
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await gate.wait()
                await response.write(chunk)
            with suppress(ConnectionError):
                await response.write_eof()
            return response


@asynccontextmanager
async def running_api_proxy(control_plane: ControlPlane) -> AsyncIterator[ApiProxy]:
    """Open one on a free port of the loopback while the context lasts; it speaks HTTP, for it holds no certificate."""
    connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=control_plane.ca))
    async with aiohttp.ClientSession(connector=connector, timeout=_NO_TIMEOUT, auto_decompress=False) as http:
        proxy = ApiProxy(control_plane.server, http)
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", proxy.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy.port = runner.addresses[0][1]
            yield proxy
        finally:
            await runner.cleanup()
