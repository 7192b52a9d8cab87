"""The public HTTP port: `POST /webhook`, `POST /callback/{request}` where it is asked for, and nothing else."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from http import HTTPStatus
from typing import Any

from litestar import Litestar, Request, Response, post
from litestar.exceptions import HTTPException, InternalServerException, NotFoundException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.params import FromPath

from fulfillment_service.callback import Callbacks
from fulfillment_service.refusals import Refusal, RefusedError
from fulfillment_service.webhook import Answer, Webhook

_CLOSE = {"Connection": "close"}

_LARGE = 64 * 1024
"""Bytes: hardly an event of Stripe's is larger."""
_LARGE_AT_ONCE = 8
"""How many larger bodies are held at once, and no more: anybody can send them, and they are not verified yet."""


def create_app(webhook: Webhook, callbacks: Callbacks, *, max_body_bytes: int) -> Litestar:
    """Build the ASGI application.

    Args:
        webhook: what answers Stripe's events.
        callbacks: what answers the http backend's endpoint.
        max_body_bytes: a body that is larger is refused as soon as that is known.
    """
    large = asyncio.Semaphore(_LARGE_AT_ONCE)

    @post("/webhook", status_code=HTTPStatus.OK)
    async def receive(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
        return _response(await webhook.answer(partial(_body, request, large), request.headers.get("stripe-signature")))

    @post("/callback/{name:str}", status_code=HTTPStatus.OK)
    async def call_back(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[dict[str, str]]:
        if callbacks.secret is None:
            raise NotFoundException
        headers = {key.lower(): value for key, value in request.headers.items()}
        return _response(await callbacks.answer(partial(_body, request, large), name, headers, callbacks.secret))

    return Litestar(
        [receive, call_back],
        request_max_body_size=max_body_bytes,
        exception_handlers={HTTPException: _no_such_thing},
        openapi_config=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )


async def _body(request: Request[Any, Any, Any], large: asyncio.Semaphore) -> bytes:
    body = bytearray()
    try:
        async with AsyncExitStack() as place:
            async for chunk in request.stream():
                if len(body) <= _LARGE < len(body) + len(chunk):
                    await place.enter_async_context(large)
                body += chunk
            return bytes(body)
    except RequestEntityTooLarge:
        raise RefusedError(Refusal.TOO_LARGE, "the body is larger than FULFILLMENT_WEBHOOK_MAX_BODY_BYTES") from None
    except InternalServerException as error:  # how Litestar says that the sender hung up
        raise RefusedError(Refusal.CUT_OFF, "the sender hung up before the body was whole") from error


def _response(answer: Answer) -> Response[dict[str, str]]:
    # Only who sends what Stripe signed may keep a connection. And what is left of a body that was not read whole must
    # not be taken for the next request.
    refused = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return Response(answer.body, status_code=answer.status, headers=_CLOSE if refused else None)


def _no_such_thing(_request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, str]]:
    """Answer what is neither `POST /webhook` nor a callback."""
    word = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return Response(
        {"error": word, "detail": "Stripe's events go to POST /webhook"},
        status_code=error.status_code,
        headers={**(error.headers or {}), **_CLOSE},
    )
