"""The http backend against a real endpoint."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import aiohttp
import msgspec
import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from fulfillment_api.names import request_name
from fulfillment_api.spec import ReversalKind
from fulfillment_operator.backends.http.backend import HttpBackend
from fulfillment_operator.backends.http.settings import HttpSettings
from fulfillment_operator.backends.interface import Done, Outcome, PaidOrder, Rejected, ReversalNotice, TryAgain
from fulfillment_runtime.findings import Verdict
from fulfillment_runtime.settings import Secret
from support.builders import SESSION_ID, make_request, make_session
from support.order_endpoint import order_endpoint

LONG_AGO = "Mon, 02 Jan 2006 15:04:05 GMT"
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ORDER = PaidOrder(request_name(SESSION_ID), "shop", make_request().spec.session, make_session())


@dataclass
class Endpoint:
    """A shop's own endpoint, with the answer that is set."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: asyncio.Event | None = None
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((dict(request.headers), await request.read()))
        if self.hang is not None:
            await self.hang.wait()
        return web.Response(status=self.status, headers=self.headers, body=self.body)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    async with order_endpoint(endpoint.answer) as endpoint.url:
        yield endpoint
        if endpoint.hang is not None:
            endpoint.hang.set()


MakeBackend = Callable[..., HttpBackend]


@pytest.fixture
async def make_backend(endpoint: Endpoint) -> AsyncIterator[MakeBackend]:
    async with aiohttp.ClientSession() as client:

        def make(url: str | None = None, timeout: timedelta = timedelta(seconds=5)) -> HttpBackend:
            settings = HttpSettings(url=url or endpoint.url, secret=Secret(SECRET), timeout=timeout)
            return HttpBackend(client, settings, lambda: datetime.now(UTC))

        yield make


async def test_the_order_arrives_as_a_signed_cloud_event(endpoint: Endpoint, make_backend: MakeBackend) -> None:
    """CloudEvents 1.0 in structured mode, the idempotency key, and a signature that the standard's library takes."""
    endpoint.body = b'{"reference": "order-7"}'
    assert await make_backend().fulfill(ORDER) == Done("order-7")
    ((headers, body),) = endpoint.seen
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert headers["webhook-id"] == ORDER.key
    assert "Idempotency-Key" not in headers
    event = Webhook(SECRET).verify(body, headers)
    assert {name: event[name] for name in ("specversion", "id", "source", "type", "subject", "datacontenttype")} == {
        "specversion": "1.0",
        "id": ORDER.key,
        "source": "/namespaces/shop/fulfillmentrequests",
        "type": "dev.checkout-fulfillment.order.paid",
        "subject": SESSION_ID,
        "datacontenttype": "application/json",
    }
    assert event["data"]["lineItems"] == [
        {
            "id": "li_1",
            "description": "Cotton T-shirt, navy, M",
            "quantity": 1,
            "amountTotal": 1099,
            "currency": "usd",
        }
    ]
    assert event["data"]["customer"] == {"email": "jenny@example.com", "name": "Jenny Rosen"}
    assert event["data"]["session"]["metadata"] == {"cart": "c-17"}


async def test_each_attempt_has_the_same_body(endpoint: Endpoint, make_backend: MakeBackend) -> None:
    """One key is one event, which happened when Stripe told of it; the time of the attempt is signed with it."""
    order = replace(ORDER, paid_at=datetime(2026, 11, 2, 9, 30, tzinfo=UTC))
    notice = ReversalNotice(ReversalKind.REFUNDED, f"{order.key}.refunded", datetime(2026, 11, 3, tzinfo=UTC))
    for _ in range(2):
        await make_backend().fulfill(order)
        await make_backend().handle_reversal(order, notice)
    bodies = [body for _, body in endpoint.seen]
    assert bodies[:2] == bodies[2:]
    assert [msgspec.json.decode(each)["time"] for each in bodies[:2]] == [
        "2026-11-02T09:30:00Z",
        "2026-11-03T00:00:00Z",
    ]


async def test_a_body_that_was_altered_does_not_verify(endpoint: Endpoint, make_backend: MakeBackend) -> None:
    """The signature covers the whole event."""
    await make_backend().fulfill(ORDER)
    ((headers, body),) = endpoint.seen
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"1099", b"9"), headers)


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (200, {}, b"", Done()),
        (204, {}, b"", Done()),
        (201, {}, b"not json", Done()),
        (200, {}, b'{"reference": 7}', Done()),
        (200, {}, b'{"more": ' + b"[" * 30_000, Done()),
        (409, {}, b'{"reference": "order-7"}', Done("order-7")),
        (200, {}, b'{"reference": ""}', Done()),
        (400, {}, b"", Rejected("the endpoint refused the order with 400")),
        (404, {}, b"", Rejected("the endpoint refused the order with 404")),
        (422, {}, b"jenny@example.com is banned", Rejected("the endpoint refused the order with 422")),
        (408, {}, b"", TryAgain("the endpoint answered 408")),
        (429, {"Retry-After": "120"}, b"", TryAgain("the endpoint answered 429", timedelta(seconds=120))),
        (429, {"Retry-After": "9" * 5_000}, b"", TryAgain("the endpoint answered 429", timedelta(seconds=10**9))),
        (429, {"Retry-After": "soon"}, b"", TryAgain("the endpoint answered 429")),
        (
            503,
            {"Retry-After": "Mon, 02 Jan 2006 15:04:05 GMT"},
            b"",
            TryAgain("the endpoint answered 503", timedelta(0)),
        ),
        (500, {}, b"", TryAgain("the endpoint answered 500")),
        (
            301,
            {"Location": "https://elsewhere.example"},
            b"",
            TryAgain(
                "the endpoint answered 301, a redirect: set FULFILLMENT_HTTP_URL (backend.http.url) to where it leads"
            ),
        ),
    ],
)
async def test_what_each_answer_means(
    endpoint: Endpoint,
    make_backend: MakeBackend,
    status: int,
    headers: dict[str, str],
    body: bytes,
    expected: Outcome,
) -> None:
    """2xx and 409 are done, other 4xx are rejections, the rest is tried again; what a body says is not repeated."""
    endpoint.status, endpoint.headers, endpoint.body = status, headers, body
    assert await make_backend().fulfill(ORDER) == expected


@pytest.mark.parametrize(
    ("status", "verdict", "begins"),
    [
        (204, Verdict.OK, "the http backend's endpoint takes the signature"),
        (
            401,
            Verdict.FAILURE,
            "the http backend's endpoint refused the signature with 401: give it the secret of FULF",
        ),
        (403, Verdict.FAILURE, "the http backend's endpoint refused the signature with 403"),
        (
            404,
            Verdict.FAILURE,
            "the http backend's endpoint answered 404: FULFILLMENT_HTTP_URL (backend.http.url) takes",
        ),
        (422, Verdict.UNKNOWN, "the http backend's endpoint is reached, and answered 422 to a ping: whether it takes"),
        (
            308,
            Verdict.FAILURE,
            "the http backend's endpoint answered 308, a redirect: set FULFILLMENT_HTTP_URL (backend.",
        ),
        (503, Verdict.FAILURE, "the http backend's endpoint answered 503"),
    ],
)
async def test_a_ping_holds_no_order_and_asks_for_the_signature(
    endpoint: Endpoint, make_backend: MakeBackend, status: int, verdict: Verdict, begins: str
) -> None:
    """What the endpoint's answer to it means."""
    endpoint.status = status
    found = await make_backend().check()
    assert (found.verdict, found.message[: len(begins)]) == (verdict, begins)
    ((headers, body),) = endpoint.seen
    event = Webhook(SECRET).verify(body, headers)
    assert event["type"] == "dev.checkout-fulfillment.ping"
    assert "data" not in event


async def test_an_endpoint_that_does_not_answer_a_ping(
    endpoint: Endpoint, make_backend: MakeBackend, unused_tcp_port: int
) -> None:
    """In time, or at all."""
    endpoint.hang = asyncio.Event()
    silent = await make_backend(timeout=timedelta(seconds=0.2)).check()
    nobody = await make_backend(url=f"http://127.0.0.1:{unused_tcp_port}/orders").check()
    assert [silent.message, nobody.message] == [
        "the http backend's endpoint did not answer in time",
        (
            "the http backend's endpoint cannot be reached (ClientConnectorError): mend FULFILLMENT_HTTP_URL "
            "(backend.http.url)"
        ),
    ]


async def test_silence_is_tried_again(endpoint: Endpoint, make_backend: MakeBackend) -> None:
    """An endpoint that does not answer in time may have the order: the same key asks again."""
    endpoint.hang = asyncio.Event()
    outcome = await make_backend(timeout=timedelta(seconds=0.2)).fulfill(ORDER)
    assert outcome == TryAgain("the endpoint did not answer in time")


async def test_nobody_there_is_tried_again(make_backend: MakeBackend, unused_tcp_port: int) -> None:
    """A refused connection passes."""
    outcome = await make_backend(url=f"http://127.0.0.1:{unused_tcp_port}/orders").fulfill(ORDER)
    assert outcome == TryAgain("the endpoint cannot be reached (ClientConnectorError)")


async def test_an_answer_may_come_in_pieces(make_backend: MakeBackend) -> None:
    """As from an endpoint that streams it, or behind a slow line: its reference is read to the end."""
    rest = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"reference": "ord')
        await rest.wait()
        await response.write(b'er-7"}')
        return response

    async with order_endpoint(answer) as url:
        fulfilling = asyncio.create_task(make_backend(url=url).fulfill(ORDER))
        done, _ = await asyncio.wait([fulfilling], timeout=0.1)
        assert not done
        rest.set()
        assert await fulfilling == Done("order-7")
