"""Serves what a test answers to the http backend's posts, on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler

from support.serving import serving


@asynccontextmanager
async def order_endpoint(answer: Handler) -> AsyncIterator[str]:
    """Let `answer` have each `POST /orders` while the context lasts, and yield the URL that orders go to."""
    async with serving(web.post("/orders", answer)) as url:
        yield f"{url}/orders"
