"""The public HTTP port: `POST /webhook`, `POST /callback/{request}` where a secret is set for it, and nothing else."""

from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, asgi, post
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.params import FromPath
from litestar.types import HTTPResponseStartEvent, HTTPScope, Receive, Scope, Send

from fulfillment_service.http.callback import Callbacks
from fulfillment_service.http.request_body import BodyReader
from fulfillment_service.http.responses import Answer
from fulfillment_service.http.senders import Sender
from fulfillment_service.http.webhook import Webhook

_CLOSE = {"Connection": "close"}
_ENCODER = msgspec.json.Encoder()


def create_app(webhook: Webhook, callbacks: Callbacks, *, max_body_bytes: int) -> Litestar:
    """Build the ASGI application.

    Args:
        webhook: what answers Stripe's events.
        callbacks: what answers the http backend's endpoint.
        max_body_bytes: a body that is larger is rejected as soon as that is known.
    """
    bodies = BodyReader(max_body_bytes)

    # As plain ASGI: Litestar's request and response would take as long as all that an event is checked for.
    @asgi("/webhook", copy_scope=False)
    async def receive_event(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "POST":
            raise MethodNotAllowedException(headers={"Allow": "POST"})
        headers = dict(scope["headers"])
        announced, signature = (_text(headers.get(name)) for name in (b"content-length", b"stripe-signature"))
        answer = await webhook.answer(partial(bodies.read, receive, announced), signature, _sender(scope))
        await _send(send, answer)

    @post("/callback/{name:str}", status_code=HTTPStatus.OK)
    async def call_back(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[dict[str, str]]:
        if callbacks.secret is None:
            raise NotFoundException
        headers = {key.lower(): value for key, value in request.headers.items()}
        read = partial(bodies.read, request.receive, headers.get("content-length"))
        answer = await callbacks.answer(read, name, headers, callbacks.secret)
        return Response(answer.body, status_code=answer.status, headers=_CLOSE if _closes(answer) else None)

    return Litestar(
        [receive_event, call_back],
        exception_handlers={HTTPException: _answer_other},
        openapi_config=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )


def _sender(scope: HTTPScope) -> Sender:
    client = scope["client"]
    forwarded = tuple(value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")
    return Sender(client[0] if client else None, forwarded)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


async def _send(send: Send, answer: Answer) -> None:
    body = _ENCODER.encode(answer.body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if _closes(answer):
        headers.append((b"connection", b"close"))
    start: HTTPResponseStartEvent = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _closes(answer: Answer) -> bool:
    # Only who sends what Stripe signed may keep a connection. And what is left of a body that was not read whole must
    # not be taken for the next request.
    return HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR


def _answer_other(_request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, str]]:
    """Answer what is neither `POST /webhook` nor a callback."""
    reason = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return Response(
        {"error": reason, "detail": "Stripe's events go to POST /webhook"},
        status_code=error.status_code,
        headers={**(error.headers or {}), **_CLOSE},
    )
