"""What is taken on the watch's connection, over a real socket: objects, bookmarks, errors and refusals."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from fulfillment_api.names import PLURAL
from fulfillment_operator.controller.health import Health
from fulfillment_operator.controller.watch_connection import connections, taken_by
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_runtime.kubernetes.list_watch import WatchEventType

BOOKMARK = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}\n'
GONE = b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old resource version: 5 (9)"}}\n'
GONE_TOLD = "the API server refuses the watch: it ended the watch with an error, 410 too old resource version: 5 (9)"


def object_of(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": version}, "spec": {"text": "a\nb"}}


def line_of(kind: str, name: str, version: str) -> bytes:
    return msgspec.json.encode({"type": kind, "object": object_of(name, version)}) + b"\n"


def bookmark_of(version: str) -> bytes:
    return BOOKMARK.replace(b"7", version.encode())


class ApiServer:
    """Answers a watch as it is told, piece by piece."""

    def __init__(self) -> None:
        self.status = 200
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get(f"/{PLURAL}", self.answer)
        return app

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
        self.taken: list[tuple[str, Any]] = []
        self.waited_for = 0
        self.seconds = 0.0
        metrics = OperatorMetrics(CollectorRegistry())
        self.health = Health(
            at_one_order=timedelta(hours=1),
            clock=lambda: datetime.now(UTC),
            monotonic=lambda: self.seconds,
            metrics=metrics,
        )

    def take(self, kind: WatchEventType, stored: msgspec.Raw) -> None:
        self.taken.append((kind, msgspec.json.decode(stored)))

    async def all_taken(self) -> None:
        self.waited_for = len(self.taken)

    def session(self) -> aiohttp.ClientSession:
        trace = connections(lambda: None, self.connected.append, self.health)
        answers = taken_by(self.take, self.all_taken, self.health)
        return aiohttp.ClientSession(trace_configs=[trace], response_class=answers)


async def test_a_bookmark_is_heard_and_an_error_is_a_refusal() -> None:
    """A watch that is ended with 410 again and again brings nothing, however often it is begun."""
    api, told = ApiServer(), Told()
    async with TestServer(api.app()) as server, told.session() as http:
        query = {"watch": "true", "resourceVersion": "5"}
        async with http.get(server.make_url(f"/{PLURAL}").with_query(query)) as response:
            assert told.connected == [5]
            chunks = response.content.iter_chunked(65536)
            for line, why in ((BOOKMARK, None), (GONE, GONE_TOLD), (BOOKMARK, None)):
                told.seconds += 100
                assert told.health.silence() == timedelta(seconds=100)
                api.lines.put_nowait(line)
                assert await anext(chunks) == line
                assert (told.health.silence(), told.health.ready()) == (timedelta(0), why)
            api.lines.put_nowait(b"")


@pytest.mark.parametrize(
    ("pieces", "left", "taken"),
    [
        ([BOOKMARK], BOOKMARK, []),
        ([line_of("ADDED", "a", "8")], bookmark_of("8"), [("ADDED", object_of("a", "8"))]),
        (
            [line_of("MODIFIED", "a", "8") + line_of("DELETED", "b", "9") + BOOKMARK + line_of("ADDED", "c", "10")],
            bookmark_of("9") + BOOKMARK + bookmark_of("10"),
            [("MODIFIED", object_of("a", "8")), ("DELETED", object_of("b", "9")), ("ADDED", object_of("c", "10"))],
        ),
        ([line_of("ADDED", "a", "8") + GONE], bookmark_of("8") + GONE, [("ADDED", object_of("a", "8"))]),
        (
            [line_of("ADDED", "a", "8")[:9], line_of("ADDED", "a", "8")[9:] + BOOKMARK[:20], BOOKMARK[20:]],
            bookmark_of("8") + BOOKMARK,
            [("ADDED", object_of("a", "8"))],
        ),
    ],
)
async def test_objects_are_taken_and_kopf_is_told_how_far_the_watch_has_come(
    pieces: list[bytes], left: bytes, taken: list[tuple[str, Any]]
) -> None:
    """In their order, however the lines come in pieces: kopf resumes after the last of them."""
    api, told = ApiServer(), Told()
    async with TestServer(api.app()) as server, told.session() as http:
        query = {"watch": "true", "resourceVersion": "5"}
        async with http.get(server.make_url(f"/{PLURAL}").with_query(query)) as response:
            for piece in (*pieces, b""):
                api.lines.put_nowait(piece)
            assert b"".join([chunk async for chunk in response.content.iter_chunked(65536)]) == left
    assert told.taken == taken


async def test_a_page_is_taken_whole_before_the_next_one_is_asked_for() -> None:
    """Of it kopf gets the metadata alone: where the list stands, and how it goes on."""
    told, items = Told(), [object_of("a", "3"), object_of("b", "4")]
    metadata = {"resourceVersion": "5", "continue": "further"}

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"kind": "List", "metadata": metadata, "items": items})

    app = web.Application()
    app.router.add_get(f"/{PLURAL}", answer)
    app.router.add_get("/other", answer)
    async with TestServer(app) as server, told.session() as http:
        async with http.get(server.make_url(f"/{PLURAL}")) as response:
            assert await response.json() == {"metadata": metadata, "items": []}
        async with http.get(server.make_url("/other")) as response:
            assert (await response.json())["items"] == items
    assert told.taken == [("ADDED", each) for each in items]
    assert told.waited_for == len(items)


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
    async with TestServer(api.app()) as server, told.session() as http:
        query = {"watch": "true", "resourceVersion": "5"} if watch else {"limit": "500"}
        async with http.get(server.make_url(f"/{PLURAL}").with_query(query)) as response:
            assert response.status == status
    assert told.health.ready() == (why and f"the API server refuses the watch: {why}")
    assert told.connected == []
