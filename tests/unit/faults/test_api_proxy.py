"""The proxy before the API server, over real sockets: what it passes on, and how it is told to fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from faults.api_proxy import ApiProxy


async def upstream(request: web.Request) -> web.StreamResponse:
    if "watch" in request.query:
        stream = web.StreamResponse()
        await stream.prepare(request)
        for number in range(100):
            await stream.write(f"{number}\n".encode())
            await asyncio.sleep(0.05)
        return stream
    body = await request.text()
    return web.Response(status=201, text=f"{request.method} {request.raw_path} {request.headers['X-Some']} {body}")


@asynccontextmanager
async def running() -> AsyncIterator[tuple[ApiProxy, str, aiohttp.ClientSession]]:
    server, app = web.Application(), web.Application()
    server.router.add_route("*", "/{path:.*}", upstream)
    async with TestServer(server) as api, aiohttp.ClientSession() as http:
        proxy = ApiProxy(str(api.make_url("")).rstrip("/"), http)
        app.router.add_route("*", "/{path:.*}", proxy.answer)
        async with TestServer(app) as front:
            yield proxy, str(front.make_url("/api/things?fieldSelector=a!%3Db")), http


async def test_it_passes_on_what_it_gets() -> None:
    async with running() as (_, url, http), http.patch(url, data="body", headers={"X-Some": "header"}) as answer:
        assert answer.status == 201
        assert await answer.text() == "PATCH /api/things?fieldSelector=a!%3Db header body"


async def test_it_throttles_the_share_that_it_is_told() -> None:
    async with running() as (proxy, url, http):
        proxy.throttled = 0.5
        statuses = []
        for _ in range(4):
            async with http.get(url, headers={"X-Some": "x"}) as answer:
                statuses.append((answer.status, answer.headers.get("Retry-After")))
    assert statuses == [(201, None), (429, "1")] * 2


async def test_it_swallows_a_watch_alone_and_cuts_it() -> None:
    async with running() as (proxy, url, http), http.get(f"{url}&watch=true") as watch:
        assert await watch.content.readline() == b"0\n"
        with proxy.swallowing(watches_only=True):
            async with http.get(url, headers={"X-Some": "x"}) as answer:
                assert answer.status == 201
            proxy.cut()
        with pytest.raises(aiohttp.ClientError):
            await watch.content.read()
