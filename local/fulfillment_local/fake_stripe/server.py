"""The stand-in as an HTTP server: Stripe's API below `/v1/`, the stand-in's own surface below `/_world/`."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from fulfillment_local.fake_stripe import errors
from fulfillment_local.fake_stripe.api import OWN_ACCOUNT, ApiKeys, Caller, StripeApi
from fulfillment_local.fake_stripe.control import ControlSurface
from fulfillment_local.fake_stripe.model import API_VERSION
from fulfillment_local.fake_stripe.objects import Json
from fulfillment_local.fake_stripe.query import Parameters
from fulfillment_local.fake_stripe.rate_limits import RateLimiter, RateLimits
from fulfillment_local.fake_stripe.traffic import Alter, Cut, Drop, Fail, Fault, Faults, Hang, Request, Slow, Traffic
from fulfillment_local.fake_stripe.world import StripeWorld
from fulfillment_runtime.fatal_errors import UnavailableError

GREATEST_BODY = 64 * 1024 * 1024  # bytes: a great many delivery states at once


@dataclass(frozen=True, slots=True)
class StripeServer:
    """A stand-in that runs."""

    url: str
    """Where its API is: what `STRIPE_API_BASE` is set to."""
    world: StripeWorld
    faults: Faults
    traffic: Traffic


@asynccontextmanager
async def stripe_server(
    world: StripeWorld,
    *,
    keys: ApiKeys | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    limits: RateLimits | None = None,
) -> AsyncIterator[StripeServer]:
    """Serve a world in the running loop (`port` 0 takes a free one), within Stripe's rate limits, or without any.

    Raises:
        UnavailableError: the port is taken.
    """
    site = _Site(world, keys or ApiKeys(), RateLimiter(limits) if limits else None)
    runner = web.AppRunner(site.application(), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise UnavailableError(
                f"the stand-in for Stripe cannot listen on {host}:{port} ({error.strerror}): free the port, or "
                "choose another"
            ) from error
        taken = runner.addresses[0][1]
        yield StripeServer(f"http://{host}:{taken}", world, site.faults, site.traffic)
    finally:
        await runner.cleanup()


class _Site:
    """Meets aiohttp: reads requests, and writes what the pure parts answer."""

    def __init__(self, world: StripeWorld, keys: ApiKeys, limiter: RateLimiter | None) -> None:
        self._world = world
        self._api = StripeApi(world)
        self._keys = keys
        self._limiter = limiter
        self._closing = asyncio.Event()
        self.faults = Faults()
        self.traffic = Traffic()

    def application(self) -> web.Application:
        """Build the application."""
        app = web.Application(middlewares=[self._front], client_max_size=GREATEST_BODY)
        app.on_shutdown.append(self._close)
        api = self._api
        app.add_routes(
            [
                web.get("/v1/checkout/sessions", self._many(api.list_sessions)),
                web.get("/v1/checkout/sessions/{id}", self._one(api.retrieve_session)),
                web.get("/v1/checkout/sessions/{id}/line_items", self._one(api.list_line_items)),
                web.get("/v1/payment_intents/{id}", self._one(api.retrieve_payment_intent)),
                web.get("/v1/invoice_payments", self._many(api.list_invoice_payments)),
                web.get("/v1/disputes", self._many(api.list_disputes)),
                web.get("/v1/events/{id}", self._one(api.retrieve_event)),
                web.get("/v1/events", self._many(api.list_events)),
                web.get("/v1/webhook_endpoints", self._many(api.list_webhook_endpoints)),
                *ControlSurface(self._world, self.faults, self.traffic).routes(),
            ]
        )
        return app

    async def _close(self, _app: web.Application) -> None:
        self._closing.set()

    def _one(self, endpoint: Callable[[Caller, str, Parameters], Json]) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            caller, parameters = self._caller(request), Parameters(request.query.items())
            return _json(HTTPStatus.OK, endpoint(caller, request.match_info["id"], parameters))

        return answer

    def _many(self, endpoint: Callable[[Caller, Parameters], Json]) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            return _json(HTTPStatus.OK, endpoint(self._caller(request), Parameters(request.query.items())))

        return answer

    def _caller(self, request: web.Request) -> Caller:
        """Tell who asks.

        Raises:
            ApiError: the key is none, or the limits are reached.
        """
        livemode = self._keys.livemode_of(request.headers.get("Authorization"))
        resource = request.match_info.route.resource
        if self._limiter is not None and resource is not None:
            reason = self._limiter.refuse(resource.canonical, time.monotonic(), livemode=livemode)
            if reason is not None:
                raise errors.fault(HTTPStatus.TOO_MANY_REQUESTS, {"Stripe-Rate-Limited-Reason": reason})
        account = request.headers.get("Stripe-Account")
        return Caller(livemode=livemode, account=None if account == OWN_ACCOUNT else account)

    @web.middleware
    async def _front(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Record each request to the API, let it meet a fault, and put errors in Stripe's shape."""
        if not request.path.startswith("/v1/"):
            return await handler(request)
        record = Request(
            method=request.method,
            path=request.path,
            query=request.rel_url.query_string,
            received=time.time(),
            account=request.headers.get("Stripe-Account"),
            idempotency_key=request.headers.get("Idempotency-Key"),
            api_version=request.headers.get("Stripe-Version"),
        )
        fault: Fault | None = None
        with self.traffic.recording(record):
            try:
                fault = self.faults.meet(request.path, request.headers.get("Stripe-Account"))
                if not await self._goes_through(fault):
                    return _dropped(request)
                answer = await handler(request)
                if isinstance(fault, Alter):
                    answer = _altered(answer, fault)
            except errors.ApiError as error:
                answer = _json(error.status, error.body)
                answer.headers.update(error.headers)
            except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
                unknown = errors.unknown_url(request.method, request.path)
                answer = _json(unknown.status, unknown.body)
            record.status = answer.status
            answer.headers["Request-Id"] = f"req_{len(self.traffic.requests):014d}"
            answer.headers["Stripe-Version"] = record.api_version or API_VERSION
            for name, value in (
                ("Stripe-Account", record.account),
                ("Idempotency-Key", record.idempotency_key),
            ):
                if value is not None:
                    answer.headers[name] = value
            return await self._cut(request, answer, fault.seconds) if isinstance(fault, Cut) else answer

    async def _goes_through(self, fault: Fault | None) -> bool:
        """Let a request meet its fault; tell whether it is to be answered at all."""
        match fault:
            case Fail() as refusal:
                headers = {} if refusal.retry_after is None else {"Retry-After": refusal.retry_after}
                if refusal.should_retry is not None:
                    headers["Stripe-Should-Retry"] = str(refusal.should_retry).lower()
                raise errors.fault(refusal.status, headers, refusal.code)
            case Hang(seconds=seconds):
                await self._pause(seconds)
                return False
            case Drop():
                return False
            case Slow(seconds=seconds):
                await self._pause(seconds)
                return True
            case Cut() | Alter() | None:
                return True

    async def _cut(self, request: web.Request, answer: web.StreamResponse, seconds: float) -> web.StreamResponse:
        """Begin to send an answer, and leave off in its midst."""
        body = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""
        begun = web.StreamResponse(status=answer.status, headers=answer.headers)
        begun.content_length = len(body)
        await begun.prepare(request)
        await begun.write(body[: len(body) // 2])
        await self._pause(seconds)
        if request.transport is not None:
            request.transport.abort()
        return begun

    async def _pause(self, seconds: float) -> None:
        """Let time pass, but not beyond the server's own end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


def _json(status: int, body: Json) -> web.StreamResponse:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def _altered(answer: web.StreamResponse, fault: Alter) -> web.StreamResponse:
    """Change the object of an answer, unless it is an error."""
    if not isinstance(answer, web.Response) or answer.status != HTTPStatus.OK or not isinstance(answer.body, bytes):
        return answer
    shown = msgspec.json.decode(answer.body, type=dict[str, Any]) | fault.fields
    return _json(answer.status, {name: value for name, value in shown.items() if name not in fault.without})


def _dropped(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # to no one
