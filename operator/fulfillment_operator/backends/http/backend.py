"""Hands each order to an HTTP endpoint: a CloudEvents 1.0 POST, signed after Standard Webhooks.

The whole CloudEvent is the body (CloudEvents, "HTTP Protocol Binding", structured mode), so the signature
covers all of it. `webhook-id` and the CloudEvent's `id` are the order's idempotency key. There is no `Idempotency-Key`:
what heeds that header, as the IETF drafts it, answers 409 while a post is under way, when nothing is fulfilled, and
422 to a body in which Stripe has news.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from uuid import uuid4

import aiohttp
import msgspec
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks import Webhook

from fulfillment_api.spec import Callback, CallbackResult
from fulfillment_operator.backends.document import order_document
from fulfillment_operator.backends.http.settings import HttpSettings
from fulfillment_operator.backends.interface import (
    Backend,
    BackendContext,
    Done,
    InProgress,
    Outcome,
    PaidOrder,
    Rejected,
    ReversalNotice,
    TryAgain,
)
from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.findings import Check, Finding, Verdict
from fulfillment_runtime.proxies import proxy_of
from fulfillment_runtime.settings import load_settings

_EVENT_TYPES = "dev.checkout-fulfillment.order."
EVENT_TYPE = f"{_EVENT_TYPES}paid"
PING_TYPE = "dev.checkout-fulfillment.ping"
"""Of an event that holds no order: it asks whether the endpoint is there, and takes the signature."""
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_MAX_BODY_BYTES = 64 * 1024
_AWAITS_CALLBACK = "the endpoint took the order, and is to call back when it is done"


class _JsonFormat(JSONFormat):
    """The library's, but for the encoder: Python's own takes a twentieth of the operator's time."""

    def write(self, event: BaseCloudEvent) -> bytes:
        """Write a CloudEvent whose data is JSON, or that has none."""
        data = event.get_data()
        return msgspec.json.encode({**event.get_attributes(), **({} if data is None else {"data": data})})


_FORMAT = _JsonFormat()


class HttpBackend:
    """Posts each order to one URL.

    202: taken, and the callback says what became of it. Another 2xx: done. Both keep a JSON body's `reference`.
    409: done before. 408, 425, 429, 5xx, a time-out or a lost connection: tried again, not before `Retry-After`; 3xx,
    too, for redirects are not followed. Another 4xx: rejected for good.
    """

    name = "http"

    def __init__(
        self,
        client: aiohttp.ClientSession,
        settings: HttpSettings,
        clock: Callable[[], datetime],
    ) -> None:
        """Make the backend.

        Args:
            client: sends the requests.
            settings: where the orders go, how they are signed, and how long one POST may take, connecting included.
            clock: tells the time, with its zone.
        """
        self._client = client
        self._url = settings.url
        self._webhook = Webhook(settings.secret) if settings.secret else None
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout.total_seconds())
        self._clock = clock

    async def fulfill(self, order: PaidOrder) -> Outcome:
        """POST the order; once it is taken, only wait for the callback."""
        if order.in_progress:
            return _outcome_of_callback(order.callback)
        return await self._post(order, order.key, EVENT_TYPE, order.paid_at)

    async def handle_reversal(self, order: PaidOrder, notice: ReversalNotice) -> Outcome:
        """POST the order again, as another event with a key of its own."""
        return await self._post(order, notice.key, f"{_EVENT_TYPES}{notice.kind}", notice.observed_at)

    async def check(self) -> Finding:
        """POST a signed event that holds no order, and say what the endpoint answers."""
        now, key = self._clock(), f"ping-{uuid4()}"
        attributes = {"id": key, "source": "/fulfillment/check-config", "type": PING_TYPE, "time": now}
        message = to_structured(CloudEvent(attributes=attributes), _FORMAT)
        try:
            async with self._send(message, key, now) as response:
                return _ping_finding(response.status, is_signed=self._webhook is not None)
        except TimeoutError:
            return Finding(Verdict.FAILURE, Check.BACKENDS, "the http backend's endpoint did not answer in time")
        except aiohttp.ClientError as error:
            problem = (
                f"the http backend's endpoint cannot be reached ({type(error).__name__}): mend FULFILLMENT_HTTP_URL"
            )
            return Finding(Verdict.FAILURE, Check.BACKENDS, with_chart_values(problem))

    async def _post(self, order: PaidOrder, key: str, event_type: str, occurred_at: datetime | None) -> Outcome:
        now = self._clock()
        message = cloud_event(order, occurred_at, key=key, event_type=event_type)
        try:
            async with self._send(message, key, now) as response:
                return _outcome(response, await _read_start(response.content), now)
        except TimeoutError:
            return TryAgain("the endpoint did not answer in time")
        except aiohttp.ClientError as error:
            return TryAgain(f"the endpoint cannot be reached ({type(error).__name__})")

    @asynccontextmanager
    async def _send(self, message: HTTPMessage, key: str, now: datetime) -> AsyncIterator[aiohttp.ClientResponse]:
        """POST a message under a key, signed if there is a secret."""
        headers = {**message.headers, "webhook-id": key}
        if self._webhook:
            headers["webhook-timestamp"] = str(int(now.timestamp()))
            headers["webhook-signature"] = self._webhook.sign(key, now, message.body.decode())
        async with self._client.post(
            self._url, data=message.body, headers=headers, timeout=self._timeout, allow_redirects=False
        ) as response:
            yield response


@asynccontextmanager
async def http_backend(context: BackendContext) -> AsyncIterator[Backend]:
    """Make the backend.

    Raises:
        SettingsError: its settings are wrong.
    """
    settings = load_settings(HttpSettings, context.environ)
    # That of the context looks for a proxy and a .netrc anew for each post, in a thread: a third of a post's CPU time.
    async with aiohttp.ClientSession(proxy=proxy_of(settings.url), cookie_jar=aiohttp.DummyCookieJar()) as client:
        yield HttpBackend(client, settings, context.clock)


def cloud_event(order: PaidOrder, occurred_at: datetime | None, *, key: str, event_type: str) -> HTTPMessage:
    """Write an order as a CloudEvent in structured mode: headers, and a JSON body, the same at each attempt.

    Args:
        order: the order.
        occurred_at: when what it tells of happened, as far as is known.
        key: the event's id.
        event_type: its type.
    """
    event = CloudEvent(
        attributes={
            "id": key,
            "source": f"/namespaces/{order.namespace}/fulfillmentrequests",
            "type": event_type,
            "subject": order.reference.id,
            **({"time": occurred_at} if occurred_at else {}),
            "datacontenttype": "application/json",
        },
        data=order_document(order),
    )
    if occurred_at is None:
        del event.get_attributes()["time"]  # the library's own: now, which is another at each attempt
    return to_structured(event, _FORMAT)


async def _read_start(content: aiohttp.StreamReader) -> bytes:
    """Read an answer's body, up to some length; it may come in pieces."""
    body = b""
    while len(body) < _MAX_BODY_BYTES and (piece := await content.read(_MAX_BODY_BYTES - len(body))):
        body += piece
    return body


class _Answer(msgspec.Struct):
    """The part of the endpoint's JSON answer that is read."""

    reference: str | None = None


def _ping_finding(status: int, *, is_signed: bool) -> Finding:
    """Say what an endpoint's answer to the ping means."""
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            problem = (
                f"the http backend's endpoint refused the signature with {status}: give it the secret of "
                "FULFILLMENT_HTTP_SECRET"
                if is_signed
                else f"the http backend's endpoint answered {status}: posts are not signed; set FULFILLMENT_HTTP_SECRET"
            )
            return Finding(Verdict.FAILURE, Check.BACKENDS, with_chart_values(problem))
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED | HTTPStatus.GONE:
            problem = f"the http backend's endpoint answered {status}: FULFILLMENT_HTTP_URL takes no posts"
            return Finding(Verdict.FAILURE, Check.BACKENDS, with_chart_values(problem))
        case _ if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            signed = "takes the signature" if is_signed else "is reached; posts are not signed"
            return Finding(Verdict.OK, Check.BACKENDS, f"the http backend's endpoint {signed}")
        case _ if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            problem = (
                f"the http backend's endpoint is reached, and answered {status} to a ping: whether it takes the "
                f"signature is known only if it answers 2xx to events of the type {PING_TYPE}"
            )
            return Finding(Verdict.UNKNOWN, Check.BACKENDS, problem)
        case _ if status < HTTPStatus.BAD_REQUEST:
            problem = (
                f"the http backend's endpoint answered {status}, a redirect: set FULFILLMENT_HTTP_URL to where it leads"
            )
            return Finding(Verdict.FAILURE, Check.BACKENDS, with_chart_values(problem))
        case _:
            return Finding(Verdict.FAILURE, Check.BACKENDS, f"the http backend's endpoint answered {status}")


def _outcome_of_callback(callback: Callback | None) -> Outcome:
    if callback is None:
        return InProgress(_AWAITS_CALLBACK)
    match callback.result:
        case CallbackResult.DONE:
            return Done(callback.reference)
        case CallbackResult.REJECTED:
            why = f": {callback.message}" if callback.message else ""
            return Rejected(f"the endpoint took the order, and then rejected it{why}")


def _outcome(response: aiohttp.ClientResponse, body: bytes, now: datetime) -> Outcome:
    match response.status:
        case HTTPStatus.ACCEPTED:
            return InProgress(_AWAITS_CALLBACK, _reference(body))
        case status if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.CONFLICT:
            return Done(_reference(body))
        case status if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return TryAgain(f"the endpoint answered {status}", _retry_after(response.headers.get("Retry-After"), now))
        case status if status < HTTPStatus.BAD_REQUEST:
            redirect = f"the endpoint answered {status}, a redirect: set FULFILLMENT_HTTP_URL to where it leads"
            return TryAgain(with_chart_values(redirect))
        case status:
            return Rejected(f"the endpoint refused the order with {status}")


def _reference(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Answer).reference or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # an answer need not be JSON, nor name the order
        return None


def _retry_after(header: str | None, now: datetime) -> timedelta | None:
    """Read `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return timedelta(seconds=min(int(header.strip()[:10]), 10**9))  # Python reads no number of thousands of digits
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(at - now, timedelta(0))
