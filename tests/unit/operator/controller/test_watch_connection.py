"""What is heard on the watch's connection, over a real socket: bookmarks, errors and refusals."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from fulfillment_api.names import PLURAL
from fulfillment_operator.controller.health import Health
from fulfillment_operator.controller.watch_connection import connections, heard_by
from fulfillment_operator.metrics import OperatorMetrics

BOOKMARK = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}\n'
GONE = b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n'


class ApiServer:
    """Answers a watch as it is told, line by line."""

    def __init__(self) -> None:
        self.status = 200
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.status != 200:
            return web.json_response({"kind": "Status"}, status=self.status)
        response = web.StreamResponse()
        await response.prepare(request)
        while line := await self.lines.get():
            await response.write(line)
        return response


class Told:
    def __init__(self) -> None:
        self.connected: list[int] = []
        self.seconds = 0.0
        metrics = OperatorMetrics(CollectorRegistry())
        self.health = Health(
            at_one_order=timedelta(hours=1),
            clock=lambda: datetime.now(UTC),
            monotonic=lambda: self.seconds,
            metrics=metrics,
        )

    def session(self) -> aiohttp.ClientSession:
        trace = connections(lambda: None, self.connected.append, self.health)
        return aiohttp.ClientSession(trace_configs=[trace], response_class=heard_by(self.health))


async def test_a_bookmark_is_heard_and_an_error_is_a_refusal() -> None:
    """A watch that is ended with 410 again and again brings nothing, however often it is begun."""
    api, told = ApiServer(), Told()
    app = web.Application()
    app.router.add_get(f"/{PLURAL}", api.answer)
    async with TestServer(app) as server, told.session() as http:
        query = {"watch": "true", "resourceVersion": "5"}
        async with http.get(server.make_url(f"/{PLURAL}").with_query(query)) as response:
            assert told.connected == [5]
            chunks = response.content.iter_chunked(65536)
            for line, refused in ((BOOKMARK, False), (GONE, True), (BOOKMARK, False)):
                told.seconds += 100
                assert told.health.silence() == timedelta(seconds=100)
                api.lines.put_nowait(line)
                assert await anext(chunks) == line
                assert (told.health.silence(), told.health.is_refused) == (timedelta(0), refused)
            api.lines.put_nowait(b"")


@pytest.mark.parametrize(
    ("status", "watch", "why"),
    [
        (403, True, f"it answers 403 to the watch of {PLURAL}"),
        (404, False, f"it answers 404 to the list of {PLURAL}"),
        (410, False, f"it answers 410 to the list of {PLURAL}"),
        (500, True, None),
    ],
)
async def test_what_is_refused_is_told_from_what_passes(status: int, watch: bool, why: str | None) -> None:
    api, told = ApiServer(), Told()
    api.status = status
    app = web.Application()
    app.router.add_get(f"/{PLURAL}", api.answer)
    async with TestServer(app) as server, told.session() as http:
        query = {"watch": "true", "resourceVersion": "5"} if watch else {"limit": "500"}
        async with http.get(server.make_url(f"/{PLURAL}").with_query(query)) as response:
            assert response.status == status
    assert told.health.ready() == (why and f"the API server refuses the watch: {why}")
    assert told.connected == []
