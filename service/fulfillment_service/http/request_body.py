"""Reads the body of a request that anybody may have sent: in time, and within bounds."""

import asyncio
from contextlib import AsyncExitStack
from enum import StrEnum, unique
from http import HTTPStatus

from litestar.types import Receive

from fulfillment_runtime.chart_values import with_chart_values

_LARGE = 64 * 1024
"""Bytes: hardly an event of Stripe's is larger."""

_LARGE_BODIES = 8
"""Larger ones that are held at once: anybody can send them, and they are not verified yet."""


@unique
class BodyRejectReason(StrEnum):
    """Why a body was not read: a metric's label, and the error code in the answer."""

    TOO_LARGE = "too-large"
    TOO_SLOW = "too-slow"
    CUT_OFF = "cut-off"

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status of the answer."""
        match self:
            case BodyRejectReason.TOO_LARGE:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            case BodyRejectReason.TOO_SLOW:
                return HTTPStatus.REQUEST_TIMEOUT
            case BodyRejectReason.CUT_OFF:
                return HTTPStatus.BAD_REQUEST


class BodyRejectedError(Exception):
    """The body was not read. The message is one sentence for a person."""

    def __init__(self, reason: BodyRejectReason, message: str) -> None:
        super().__init__(with_chart_values(message))
        self.reason = reason


class BodyReader:
    """Reads bodies within bounds that all of them share."""

    def __init__(self, max_bytes: int) -> None:
        """Make one.

        Args:
            max_bytes: a body that is larger is rejected as soon as that is known.
        """
        self._max_bytes = max_bytes
        self._large_bodies = asyncio.Semaphore(_LARGE_BODIES)

    async def read(self, receive: Receive, announced: str | None) -> bytes:
        """Read a body.

        Args:
            receive: gives the request's ASGI messages.
            announced: its `Content-Length`, which the server has made sure is a number; None: it does not say.

        Raises:
            BodyRejectedError: it is too large, or the sender hung up.
        """
        if announced is not None and int(announced) > self._max_bytes:
            raise _too_large()
        body = bytearray()
        async with AsyncExitStack() as stack:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise BodyRejectedError(BodyRejectReason.CUT_OFF, "the sender hung up before the body was whole")
                chunk = message["body"]
                if len(body) + len(chunk) > self._max_bytes:
                    raise _too_large()
                if not message["more_body"] and not body and len(chunk) <= _LARGE:
                    return chunk  # as nearly all come
                if len(body) <= _LARGE < len(body) + len(chunk):
                    await stack.enter_async_context(self._large_bodies)
                body += chunk
                if not message["more_body"]:
                    return bytes(body)


def _too_large() -> BodyRejectedError:
    return BodyRejectedError(BodyRejectReason.TOO_LARGE, "the body is larger than FULFILLMENT_WEBHOOK_MAX_BODY_BYTES")
