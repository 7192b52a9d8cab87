"""What the API server says on kopf's connection: objects, beginnings, bookmarks, refusals.

kopf keeps the connection: it lists page by page, watches, resumes, backs off, and renews credentials. The objects are
taken as they come in, past kopf, which makes a task, a queue and some copies of each event of one: a quarter of the
operator's CPU time. kopf is told how far the watch has come, by bookmarks.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http import HTTPStatus
from itertools import groupby
from typing import Any

import aiohttp
import msgspec
from msgspec import Raw

from fulfillment_api import names
from fulfillment_operator.controller.health import Health
from fulfillment_runtime.kubernetes.errors import ApiStatus
from fulfillment_runtime.kubernetes.list_watch import ListPage, PartialObjectMetadata, WatchEvent, WatchEventType

_REFUSALS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_OF_OBJECTS = {WatchEventType.ADDED, WatchEventType.MODIFIED, WatchEventType.DELETED}
_PAGE_DECODER = msgspec.json.Decoder(ListPage)
_EVENT_DECODER = msgspec.json.Decoder(WatchEvent)
_METADATA_DECODER = msgspec.json.Decoder(PartialObjectMetadata)


def connections(
    interrupted: Callable[[], object], connected: Callable[[int], object], health: Health
) -> aiohttp.TraceConfig:
    """Tell of the watch's connection by kopf's requests: no handler of kopf's is told that a watch was cut.

    Args:
        interrupted: is called when kopf lists or watches anew, for what it had has ended.
        connected: is called when the API server has begun to tell of changes, with the resource version since which.
        health: is told whether the API server refuses it.
    """
    trace = aiohttp.TraceConfig()

    async def starts(_session: object, _context: object, request: aiohttp.TraceRequestStartParams) -> None:
        if request.url.name == names.PLURAL:
            interrupted()

    async def answered(_session: object, _context: object, request: aiohttp.TraceRequestEndParams) -> None:
        if request.url.name == names.PLURAL and request.response.status in _REFUSALS:
            asked = "watch" if "watch" in request.url.query else "list"
            health.refused(f"it answers {request.response.status} to the {asked} of {names.PLURAL}")
        if "watch" in request.url.query and request.response.status == HTTPStatus.OK:
            connected(int(request.url.query["resourceVersion"]))

    trace.on_request_start.append(starts)
    trace.on_request_end.append(answered)
    return trace


def taken_by(
    take: Callable[[WatchEventType, Raw], None], all_taken: Callable[[], Awaitable[None]], health: Health
) -> type[aiohttp.ClientResponse]:
    """Make the class of answers that hand over what a list or a watch tells of objects.

    Args:
        take: gets each object, and what happened to it; what is listed is added.
        all_taken: waits until all of them are taken: only then is the next page asked for, for all pages of thousands
            would be in memory at once.
        health: is told when a watch brings something, a bookmark, too.
    """

    class Taken(aiohttp.ClientResponse):
        async def start(self, connection: Any) -> aiohttp.ClientResponse:  # noqa: ANN401 - aiohttp's, not public
            await super().start(connection)
            if "watch" in self.url.query and self.status == HTTPStatus.OK:
                health.heard()
                self.content: Any = _TakenContent(self.content, take, health)
            return self

        async def json(self, **options: Any) -> Any:  # noqa: ANN401 - aiohttp's signature
            if self.url.name != names.PLURAL or self.status != HTTPStatus.OK:
                return await super().json(**options)
            page = _PAGE_DECODER.decode(await self.read())
            for each in page.items or ():
                take(WatchEventType.ADDED, each)
            await all_taken()
            return {"items": [], "metadata": msgspec.to_builtins(page.metadata)}

    return Taken


class _TakenContent:
    """The content of a watch, as kopf reads it."""

    def __init__(
        self, content: aiohttp.StreamReader, take: Callable[[WatchEventType, Raw], None], health: Health
    ) -> None:
        self._content = content
        self._take = take
        self._health = health

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else aiohttp asks of it
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in self._content.iter_chunked(size):
            self._health.heard()
            *lines, rest = (rest + chunk).split(b"\n")
            if lines:
                yield b"".join(self._left_to_kopf(lines))

    def _left_to_kopf(self, lines: list[bytes]) -> Iterator[bytes]:
        """Take the objects out of events."""
        events = map(_EVENT_DECODER.decode, lines)
        for is_of_objects, group in groupby(events, lambda event: event.type in _OF_OBJECTS):
            run = list(group)
            for event in run:
                if is_of_objects:
                    self._take(event.type, event.object)
                elif event.type is WatchEventType.ERROR:
                    status = ApiStatus.decode(event.object)
                    self._health.refused(f"it ended the watch with an error, {status.code} {status.message}".rstrip())
            yield b"".join(map(_line, [_bookmark(run[-1].object)] if is_of_objects else run))


def _bookmark(stored: Raw) -> WatchEvent:
    """Tell how far the watch has come, by the object that it told of last."""
    metadata = _METADATA_DECODER.decode(stored).metadata
    content = {"metadata": {"resourceVersion": metadata.resource_version}}
    return WatchEvent(WatchEventType.BOOKMARK, Raw(msgspec.json.encode(content)))


def _line(event: WatchEvent) -> bytes:
    return msgspec.json.encode(event) + b"\n"
