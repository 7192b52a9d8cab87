"""What the API server says on kopf's connection, and kopf tells no handler: beginnings, bookmarks, refusals."""

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import aiohttp

from fulfillment_api import names
from fulfillment_operator.controller.health import Health

_REFUSALS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_TASKS_AT_ONCE = 50  # of kopf's: its own are about a dozen, and each object that it tells of has one for a moment
_LOOKS_EVERY = 0.02  # seconds
_ERROR = b'{"type":"ERROR"'  # as the API server begins such an event


def connections(
    interrupted: Callable[[], None], connected: Callable[[int], None], health: Health
) -> aiohttp.TraceConfig:
    """Tell of the watch's connection by kopf's requests: no handler of kopf's is told that a watch was cut.

    And hold up the next page of a list until what the last one has is taken.

    Args:
        interrupted: is called when kopf lists or watches anew, for what it had has ended.
        connected: is called when the API server has begun to tell of changes, with the resource version since which.
        health: is told whether the API server refuses it.
    """
    trace = aiohttp.TraceConfig()

    async def starts(_session: object, _context: object, request: aiohttp.TraceRequestStartParams) -> None:
        if request.url.name == names.PLURAL:
            interrupted()
        if "continue" in request.url.query:  # a page of many: else all of them would be in memory at once, as dicts
            while len(asyncio.all_tasks()) > _TASKS_AT_ONCE:  # noqa: ASYNC110 - kopf tells nobody
                await asyncio.sleep(_LOOKS_EVERY)

    async def answered(_session: object, _context: object, request: aiohttp.TraceRequestEndParams) -> None:
        if request.url.name == names.PLURAL and request.response.status in _REFUSALS:
            asked = "watch" if "watch" in request.url.query else "list"
            health.refused(f"it answers {request.response.status} to the {asked} of {names.PLURAL}")
        if "watch" in request.url.query and request.response.status == HTTPStatus.OK:
            connected(int(request.url.query["resourceVersion"]))

    trace.on_request_start.append(starts)
    trace.on_request_end.append(answered)
    return trace


def heard_by(health: Health) -> type[aiohttp.ClientResponse]:
    """Make the class of answers that tell when a watch brings something: of a bookmark no handler of kopf's is told."""

    class Heard(aiohttp.ClientResponse):
        async def start(self, connection: Any) -> aiohttp.ClientResponse:  # noqa: ANN401 - aiohttp's, not public
            await super().start(connection)
            if "watch" in self.url.query and self.status == HTTPStatus.OK:
                health.heard()
                self.content: Any = _HeardContent(self.content, health)
            return self

    return Heard


class _HeardContent:
    """The content of a watch, as kopf reads it."""

    def __init__(self, content: aiohttp.StreamReader, health: Health) -> None:
        self._content = content
        self._health = health

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else aiohttp asks of it
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for chunk in self._content.iter_chunked(size):
            if chunk.startswith(_ERROR):
                self._health.refused("it breaks each watch off with an error, such as 410 Gone")
            else:
                self._health.heard()
            yield chunk
