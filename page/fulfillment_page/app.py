"""The public HTTP port: `GET /order`, its events and the shop's logo, and nothing else."""

from http import HTTPStatus
from typing import Any

import structlog
from litestar import HttpMethod, Litestar, MediaType, Request, Response, get, route
from litestar.datastructures.headers import Accept
from litestar.exceptions import HTTPException
from litestar.response import ServerSentEvent
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fulfillment_page.renderer import LOGO_PATH
from fulfillment_page.session_id import SessionId
from fulfillment_page.visits import RETRY_AFTER, Answer, OrderPage, Visit

_log = structlog.get_logger(__name__)

_LOGO_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",  # another logo has another address
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",  # an SVG, opened by itself
}
AnyRequest = Request[Any, Any, Any]


def create_app(page: OrderPage) -> ASGIApp:
    """Build the ASGI application.

    Args:
        page: what answers.
    """

    # HEAD as well: programs that check links, and browsers' previews.
    @route("/order", http_method=[HttpMethod.GET, HttpMethod.HEAD])
    async def show(request: AnyRequest) -> Response[Any]:
        return _response(request, await page.visit(_visit(request)))

    @get("/order/events")
    async def follow(request: AnyRequest) -> Response[Any]:
        visit = _visit(request)
        if not page.has_room_for(visit):
            return Response(None, status_code=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": RETRY_AFTER})
        return ServerSentEvent(page.events(visit), headers={"X-Accel-Buffering": "no"})

    @get(LOGO_PATH)
    async def show_logo(request: AnyRequest) -> Response[Any]:
        if page.renderer.logo is None:
            return _response(request, page.none(_visit(request), HTTPStatus.NOT_FOUND))
        return Response(page.renderer.logo.content, media_type=page.renderer.logo.media_type, headers=_LOGO_HEADERS)

    def answer_http_error(request: AnyRequest, error: HTTPException) -> Response[Any]:
        answer = _response(request, page.none(_visit(request), HTTPStatus(error.status_code)))
        answer.headers.update(error.headers or {})
        return answer

    def answer_defect(request: AnyRequest, error: Exception) -> Response[Any]:
        _log.error("page.defect", exc_info=error)
        return _response(request, page.none(_visit(request), HTTPStatus.INTERNAL_SERVER_ERROR))

    app = Litestar(
        [show, follow, show_logo],
        exception_handlers={HTTPException: answer_http_error, Exception: answer_defect},
        openapi_config=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )
    return _guarded(app, page.renderer.content_security_policy)


def _visit(request: AnyRequest) -> Visit:
    query, headers = request.query_params, request.headers
    return Visit(
        session=SessionId(query.get("session_id", ""), query.get("account") or None),
        address=request.client.host if request.client else "",
        locale=query.get("locale"),
        accept_language=headers.get("accept-language", ""),
    )


def _response(request: AnyRequest, answer: Answer) -> Response[Any]:
    headers = {"Content-Language": answer.language, "Vary": "Accept, Accept-Language"}
    if answer.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["Retry-After"] = RETRY_AFTER
    accept = Accept(request.headers.get("accept", "*/*"))
    if accept.best_match([MediaType.HTML, MediaType.JSON], default=MediaType.HTML) == MediaType.JSON:
        return Response(answer.json, status_code=answer.status, headers=headers, media_type=MediaType.JSON)
    return Response(answer.html, status_code=answer.status, headers=headers, media_type=MediaType.HTML)


def _guarded(app: ASGIApp, content_security_policy: str) -> ASGIApp:
    """Give every answer the headers that keep an order between its buyer and this server."""
    always = {
        b"content-security-policy": content_security_policy.encode(),
        b"cache-control": b"no-store",
        b"referrer-policy": b"no-referrer",
        b"x-content-type-options": b"nosniff",
        b"x-robots-tag": b"noindex",
        b"cross-origin-opener-policy": b"same-origin",
        b"cross-origin-resource-policy": b"same-origin",
    }

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower(): value for name, value in message["headers"]}
                # Litestar gives events a cache policy of its own; the logo is nobody's secret.
                together = always | given if scope["path"] == LOGO_PATH else given | always
                message["headers"] = [*together.items()]
            await send(message)

        await app(scope, receive, send_guarded)

    return answer
