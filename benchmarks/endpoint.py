"""`python -m benchmarks.endpoint PORT`: the least that the http backend can post to. A process of its own.

It answers 200; what is posted to a path that ends in `/reject`, 400. GET tells how many posts there were.
"""

import asyncio
import sys

import uvloop
from aiohttp import web

from fulfillment_local.signals import told_to_end


class _Endpoint:
    def __init__(self) -> None:
        self._posts = 0

    async def answer(self, request: web.BaseRequest) -> web.Response:
        await request.read()
        if request.method == "GET":
            return web.Response(text=str(self._posts))
        self._posts += 1
        return web.Response(status=400 if request.path.endswith("/reject") else 200)


async def serve(port: int) -> None:
    """Answer until told to end."""
    handler = web.Server(_Endpoint().answer, access_log=None)
    server = await asyncio.get_running_loop().create_server(handler, "127.0.0.1", port)
    async with server:
        await told_to_end()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
