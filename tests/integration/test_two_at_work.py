"""Two operators that both believe to lead, and a person who meddles: no order goes back, and none is stranded."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.aio import client

from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, Reversal, ReversalKind
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import AfterPayment, Order
from fulfillment_local.fake_stripe.world import TransitionError
from fulfillment_runtime.kubernetes.errors import ConflictError
from fulfillment_runtime.kubernetes.fulfillment_requests import SpecPatch
from support.order_endpoint import order_endpoint
from support.running_operator import WITHIN, Shop, at_work, open_shop

pytestmark = pytest.mark.usefixtures("crd")

LEASES = ("checkout-fulfillment-operator", "another")
QUICK = timedelta(milliseconds=50)


@dataclass(frozen=True)
class Answer:
    """What the endpoint says to one post, and how slowly."""

    status: int
    after: float


@dataclass(frozen=True)
class Wish:
    """What a person does, or the endpoint or Stripe says, meanwhile."""

    word: str
    after: float


SLOWLY = st.sampled_from([0.0, 0.02, 0.1])
ANSWERS = st.lists(st.builds(Answer, st.sampled_from([200, 202, 422, 503]), SLOWLY), max_size=4)
WISHES = st.lists(
    st.builds(
        Wish, st.sampled_from(["retry", "paused", "resume", "complete", "fail", "callback", "refund", "delete"]), SLOWLY
    ),
    max_size=4,
)


@dataclass
class Endpoint:
    """A shop's own endpoint, which keeps to idempotency keys: an order that is done once is done for ever."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key = request.headers["webhook-id"]
        left = self.answers.get(key, [])  # what comes after the sale has a key of its own
        answer = left.pop(0) if left else Answer(200, 0)
        await asyncio.sleep(answer.after)
        status = 409 if key in self.done else answer.status
        if status == 200:
            self.done.add(key)
        return web.Response(status=status)


@dataclass(frozen=True, repr=False)
class Overlap:
    """Two operators at work on one shop."""

    shop: Shop
    endpoint: Endpoint
    history: dict[str, list[Phase]] = field(default_factory=lambda: defaultdict(list))
    """The phases of each request by its uid, as the API server had them."""

    async def take_notes(self) -> None:
        """Note every phase of every order."""
        async with self.shop.watching(None) as changes:
            async for request in changes:
                if request.status is not None:
                    self.history[request.metadata.uid].append(request.status.phase)

    def gone_back(self) -> list[str]:
        """Name the requests that were fulfilled, and then were not."""
        return [
            uid
            for uid, phases in self.history.items()
            if Phase.FULFILLED in phases and {*phases[phases.index(Phase.FULFILLED) :]} != {Phase.FULFILLED}
        ]

    async def end_of(self, name: str) -> Phase:
        """Do what a person does until the order has ended, and tell how."""
        tries = itertools.count()
        async with asyncio.timeout(WITHIN), self.shop.watching(name) as changes:
            async for request in changes:
                match request.status:
                    case Status(phase=Phase.FULFILLED) | Status(reason=Reason.MANUALLY_FAILED | Reason.REFUNDED) as end:
                        return end.phase
                    case Status(phase=Phase.FAILED):
                        await self.shop.annotate(name, retry=f"again {next(tries)}")
                    case Status(reason=Reason.DISPATCHED):
                        await self.call_back(name)
        raise AssertionError(f"the watch of {name} ended")

    async def wish(self, session_id: str, wish: Wish, number: int) -> None:
        name = request_name(session_id)
        await asyncio.sleep(wish.after)
        match wish.word:
            case "resume":
                await self.shop.annotate(name, paused=None)
            case "callback":
                await self.call_back(name)
            case "refund":
                with suppress(TransitionError):  # it was, before
                    self.shop.stripe.world.play_after_payment(session_id, AfterPayment.REFUNDED)
                await self.tell(name, lambda _: Reversal(kind=ReversalKind.REFUNDED, observed_at=datetime.now(UTC)))
            case "delete":
                await self.shop.requests.delete(name)
                await self.shop.make(session_id)
            case word:
                await self.shop.annotate(name, **{word: f"wish {number}"})

    async def call_back(self, name: str) -> None:
        """Say that the order is done, if it was handed over."""

        def done(request: FulfillmentRequest) -> Callback | None:
            fulfillment = request.status.fulfillment if request.status else None
            if fulfillment is None or fulfillment.accepted_at is None:
                return None
            self.endpoint.done.add(name)
            observed = max(datetime.now(UTC), fulfillment.accepted_at)
            return Callback(result=CallbackResult.DONE, observed_at=observed)

        await self.tell(name, done)

    async def tell(self, name: str, news: Callable[[FulfillmentRequest], SpecPatch | None]) -> None:
        """Write news onto the order as it is, as the webhook service does."""
        while True:
            request = await self.shop.requests.get(name)
            said = news(request)
            if said is None:
                return
            with suppress(ConflictError):
                await self.shop.requests.patch_spec(request, said)
                return


@pytest.fixture
async def overlap(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Overlap]:
    endpoint = Endpoint()
    rule = client.V1PolicyRule(
        api_groups=["coordination.k8s.io"], resources=["leases"], resource_names=[LEASES[1]], verbs=["get", "update"]
    )
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(open_shop(control_plane, namespace))
        await control_plane.grant(User.OPERATOR, namespace, [rule])
        url = await stack.enter_async_context(order_endpoint(endpoint.answer))
        changes: dict[str, Any] = {
            "backend": "http",
            "FULFILLMENT_HTTP_URL": url,
            "backend_retry_max": QUICK,
            "smtp_host": None,
        }
        operators = [await stack.enter_async_context(at_work(shop, lease_name=lease, **changes)) for lease in LEASES]
        overlap = Overlap(shop, endpoint)
        notes = asyncio.create_task(overlap.take_notes())
        yield overlap
        notes.cancel()
        errors = [await each.metric("fulfillment_reconcile_errors_total", error="unexpected") for each in operators]
        assert errors == [0, 0]
    assert overlap.gone_back() == []


@pytest.mark.timeout(1200)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=ANSWERS, wishes=WISHES)
async def test_fulfilled_is_the_end(overlap: Overlap, answers: list[Answer], wishes: list[Wish]) -> None:
    """What either of them writes late undoes nothing, and each order ends as its endpoint or a person said."""
    shop, endpoint = overlap.shop, overlap.endpoint
    session, _ = shop.stripe.world.play(Order())
    name = request_name(session.id)
    endpoint.answers[name] = [*answers]
    await shop.make(session.id)
    for number, wish in enumerate(wishes):
        await overlap.wish(session.id, wish, number)
    await shop.annotate(name, paused=None)
    end = await overlap.end_of(name)
    words = {wish.word for wish in wishes}
    if end is Phase.FULFILLED:
        assert name in endpoint.done or "complete" in words
    else:
        assert words & {"fail", "refund"}
    assert overlap.gone_back() == []
