"""Service, operator, backend, a person, Stripe and faults, in any order: what is promised holds after every step.

`test_every_order_of_events` asks how one order ends, `test_two_at_work` has two leaders; here all meet, and nothing is
known beforehand but the promises. `make fuzz` plays more of it, by `MACHINE_EXAMPLES`.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
from aiohttp import web
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from kubernetes.aio import client
from standardwebhooks import Webhook as StandardWebhook

from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Reason
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.control import sent_event
from fulfillment_local.fake_stripe.model import (
    AfterPayment,
    Event,
    Order,
    Outcome,
    PaymentStatus,
    Session,
    Settlement,
)
from fulfillment_local.fake_stripe.traffic import Fail
from fulfillment_local.fake_stripe.world import TransitionError
from fulfillment_local.webhook_sender import Webhook, delivery_of
from fulfillment_runtime.settings import Secret
from fulfillment_service.main import running_service
from support.order_endpoint import order_endpoint
from support.running_operator import ADDRESS, Shop, at_work, open_shop
from support.running_webhook import RULES as SERVICE_RULES
from support.running_webhook import SECRET, service_settings

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.xdist_group("busy")]

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES") or 5)
STEPS = 10
RECHECK = timedelta(milliseconds=500)
QUICK = timedelta(milliseconds=100)
WITHIN = 180.0  # seconds
CALLBACK_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PAID = {PaymentStatus.PAID, PaymentStatus.NO_PAYMENT_REQUIRED}

T = TypeVar("T")


@dataclass
class Backend:
    """A shop's own endpoint, which keeps to idempotency keys, and notes every order that it is given."""

    shop: Shop
    answers: list[int] = field(default_factory=list)
    """What it says next, before it takes all again."""
    keys: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The keys under which each Session was handed over."""
    unpaid: list[str] = field(default_factory=list)
    """The Sessions that were handed over before they were paid."""
    done: set[str] = field(default_factory=set)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key, event = request.headers["webhook-id"], msgspec.json.decode(await request.read())
        if "." in key:  # what comes after the sale
            return web.Response()
        session = self.shop.stripe.world.sessions[event["data"]["session"]["id"]]
        self.keys[session.id].add(key)
        if session.payment_status not in PAID:
            self.unpaid.append(session.id)
        status = self.answers.pop(0) if self.answers else 200
        if status in {200, 409}:  # it has it, or had it already
            self.done.add(key)
        return web.Response(status=status)


@dataclass
class Everything:
    """The whole product at work, and what is seen of it from outside."""

    shop: Shop
    backend: Backend
    webhook: Webhook
    operator: dict[str, Any]
    """The operator's settings."""
    stack: AsyncExitStack
    """Of the operator that runs."""
    history: dict[str, list[Phase]] = field(default_factory=lambda: defaultdict(list))
    """The phases of each order, as the API server had them."""
    acknowledged: set[str] = field(default_factory=set)
    """The names of the orders of which an event was acknowledged."""
    declined: set[str] = field(default_factory=set)
    """The names of the orders whose payment failed at some time."""
    notes: asyncio.Task[None] | None = None
    """What takes them into the history."""

    async def take_notes(self) -> None:
        async with self.shop.watching(None) as changes:
            async for request in changes:
                if request.status is not None:
                    self.history[request.metadata.name].append(request.status.phase)

    async def start(self) -> None:
        await self.stack.enter_async_context(at_work(self.shop, **self.operator))

    async def restart(self) -> None:
        await self.stack.aclose()
        await self.start()

    async def deliver(self, event: Event, *, thin: bool, copies: int) -> None:
        """Deliver an event as Stripe does, some of it at once; whoever acknowledges it must have the order."""
        sent = sent_event(event)
        deliveries = [delivery_of(bytes(sent.thin if thin else sent.snapshot))] * copies
        for answer in await self.webhook.post(deliveries, concurrency=copies):
            assert answer.status in {200, 503}, answer
            if answer.acknowledged and answer.ignored is None and event.payment is None:
                self.acknowledged.add(request_name(event.session.id))

    async def deliver_hanging(self, event: Event) -> None:
        """Deliver an event while the API server hangs, which goes on a little later."""
        with self.shop.control_plane.hanging():
            sending = asyncio.create_task(self.deliver(event, thin=False, copies=2))
            await asyncio.wait({sending}, timeout=0.3)
        await sending

    async def annotate(self, name: str, word: str, value: str | None) -> None:
        with suppress(client.ApiException):  # there is no such order yet
            await self.shop.annotate(name, **{word: value})

    async def call_back(self, name: str, result: str) -> None:
        now, body = datetime.now(UTC), msgspec.json.encode({"result": result}).decode()
        signature = StandardWebhook(CALLBACK_SECRET).sign(name, now, body)
        headers = {"webhook-id": name, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
        url = self.webhook.url.replace("/webhook", f"/callback/{name}")
        async with self.shop.http.post(url, data=body, headers=headers) as response:
            assert response.status in {200, 404, 409, 503}, await response.text()
            if response.status == 200 and result == "done":
                self.backend.done.add(name)

    async def orders(self) -> dict[str, FulfillmentRequest]:
        found: Any = await client.CustomObjectsApi(self.shop.api).list_namespaced_custom_object(
            **ADDRESS, namespace=self.shop.namespace
        )
        return {each.metadata.name: each for each in msgspec.convert(found["items"], list[FulfillmentRequest])}


@pytest.fixture
async def everything(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Everything]:
    await control_plane.grant(User.SERVICE, namespace, [SERVICE_RULES])
    service_is = service_settings(control_plane, namespace, http_secret=Secret(CALLBACK_SECRET))
    async with (
        open_shop(control_plane, namespace) as shop,
        running_service(service_is) as service,
        AsyncExitStack() as stack,
    ):
        backend = Backend(shop)
        operator = {
            "backend": "http",
            "FULFILLMENT_HTTP_URL": await stack.enter_async_context(order_endpoint(backend.answer)),
            "FULFILLMENT_HTTP_SECRET": CALLBACK_SECRET,
            "backend_retry_max": QUICK,
            "recheck_interval": RECHECK,
            "reversal_interval": RECHECK,
        }
        webhook = Webhook(url=f"http://localhost:{service.webhook_port}/webhook", secrets=(SECRET,), http=shop.http)
        everything = Everything(shop, backend, webhook, operator, AsyncExitStack())
        await everything.start()
        stack.push_async_callback(everything.stack.aclose)
        everything.notes = asyncio.create_task(everything.take_notes())
        yield everything
        everything.notes.cancel()
        with suppress(asyncio.CancelledError):
            await everything.notes


class Machine(RuleBasedStateMachine):
    """What may happen; each example has orders of its own, in one and the same shop."""

    everything: ClassVar[Everything]
    loop: ClassVar[asyncio.AbstractEventLoop]
    sessions: Bundle[Session] = Bundle("sessions")
    events: Bundle[Event] = Bundle("events")

    def __init__(self) -> None:
        super().__init__()
        self.world = self.everything.shop.stripe.world
        self.mine: dict[str, Session] = {}
        """The Sessions by the names of their orders."""
        self.told: list[Event] = []
        self.ended_by_a_person: set[str] = set()
        self.number = 0

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self.loop).result(WITHIN)

    @rule(target=events, outcome=st.sampled_from([Outcome.PAID, Outcome.PAID, Outcome.FREE, Outcome.UNPAID]))
    def buy(self, outcome: Outcome) -> Event:
        """A buyer completes Checkout."""
        session, event = self.world.play(Order(outcome=outcome))
        assert event is not None
        self.mine[request_name(session.id)] = session
        self.told.append(event)
        return event

    @rule(event=events, thin=st.booleans(), copies=st.integers(1, 3))
    def deliver(self, event: Event, thin: bool, copies: int) -> None:
        """Stripe delivers an event, perhaps again, perhaps late."""
        is_thin = thin and event.payment is None
        self.run(self.everything.deliver(event, thin=is_thin, copies=copies))

    @rule(event=events)
    def deliver_while_the_api_server_hangs(self, event: Event) -> None:
        """The same, at a bad moment."""
        self.run(self.everything.deliver_hanging(event))

    @rule(target=events, event=events, settlement=st.sampled_from([Settlement.SUCCEEDED, Settlement.FAILED]))
    def settle(self, event: Event, settlement: Settlement) -> Event:
        """A delayed payment comes to its end."""
        with suppress(TransitionError):
            settled = self.world.settle(event.session.id, settlement)
            if settlement is Settlement.FAILED:
                self.everything.declined.add(request_name(event.session.id))
            if settled is not None:
                self.told.append(settled)
                return settled
        return event

    @rule(target=events, event=events, after=st.sampled_from([AfterPayment.REFUNDED, AfterPayment.DISPUTED]))
    def undo(self, event: Event, after: AfterPayment) -> Event:
        """A payment is taken back."""
        with suppress(TransitionError):
            undone = self.world.play_after_payment(event.session.id, after)
            self.told.append(undone)
            return undone
        return event

    @rule(event=events, word=st.sampled_from(["retry", "paused", "complete", "fail"]))
    def annotate(self, event: Event, word: str) -> None:
        """A person says something."""
        name, self.number = request_name(event.session.id), self.number + 1
        if word in {"complete", "fail"}:
            self.ended_by_a_person.add(name)
        self.run(self.everything.annotate(name, word, f"wish {self.number}"))

    @rule(answers=st.lists(st.sampled_from([200, 202, 409, 422, 500, 503]), min_size=1, max_size=3))
    def the_backend_has_its_moods(self, answers: list[int]) -> None:
        """What it answers to the next posts."""
        self.everything.backend.answers[:] = answers

    @rule(event=events, result=st.sampled_from(["done", "done", "rejected"]))
    def call_back(self, event: Event, result: str) -> None:
        """The backend says what became of an order, asked or not."""
        self.run(self.everything.call_back(request_name(event.session.id), result))

    @rule(times=st.integers(1, 3), status=st.sampled_from([429, 500]))
    def stripe_fails(self, times: int, status: int) -> None:
        """Stripe answers the next requests with an error."""
        self.everything.shop.stripe.faults.set([Fail(status=status, times=times)])

    @rule()
    def the_mail_server_defers(self) -> None:
        """It takes the next mail later."""
        self.everything.shop.mailbox.trouble.deferrals = 1

    @rule()
    def the_operator_starts_again(self) -> None:
        """As after an upgrade."""
        self.run(self.everything.restart())

    @invariant()
    def no_order_is_lost(self) -> None:
        """What was acknowledged is there."""
        assert self.everything.acknowledged <= set(self.run(self.everything.orders()))

    @invariant()
    def no_order_is_handed_over_under_two_keys(self) -> None:
        """Each under its own name, and none before it was paid."""
        backend = self.everything.backend
        assert all(keys == {request_name(session)} for session, keys in backend.keys.items())
        assert backend.unpaid == []

    @invariant()
    def none_goes_back_from_fulfilled(self) -> None:
        """Fulfilled is the end, for as long as somebody looks."""
        assert self.everything.notes is not None
        assert not self.everything.notes.done()
        for name, phases in self.everything.history.items():
            if Phase.FULFILLED in phases:
                assert {*phases[phases.index(Phase.FULFILLED) :]} == {Phase.FULFILLED}, name

    @invariant()
    def nobody_is_mailed_what_is_not_true(self) -> None:
        """A mail says that a payment failed, to its own buyer, once."""
        mails = self.everything.shop.mailbox.mails
        about = [name for mail in mails for name in self.mine if name in mail.message_id]
        assert len(about) == len(set(about))
        assert set(about) <= self.everything.declined
        for mail in mails:
            for name, session in self.mine.items():
                assert name not in mail.message_id or mail.recipients == (session.buyer.email,)

    def teardown(self) -> None:
        """When all trouble is over and all is delivered, every order comes to the end that is true of it."""
        everything = self.everything
        everything.backend.answers.clear()
        everything.shop.stripe.faults.set([])
        everything.shop.mailbox.trouble.deferrals = 0
        for event in self.told:
            self.run(everything.deliver(event, thin=False, copies=1))
        for name in self.mine:
            self.run(everything.annotate(name, "paused", None))
        self.run(self.settled())
        for check in (
            self.no_order_is_lost,
            self.no_order_is_handed_over_under_two_keys,
            self.none_goes_back_from_fulfilled,
            self.nobody_is_mailed_what_is_not_true,
        ):
            check()

    async def settled(self) -> None:
        wrong: dict[str, Any] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN):
                while wrong := self.wrong(await self.everything.orders()):  # noqa: ASYNC110 - they are on their way
                    await asyncio.sleep(0.05)
        assert wrong == {}

    def wrong(self, orders: dict[str, FulfillmentRequest]) -> dict[str, Any]:
        """Name the orders that do not stand as Stripe's books, the backend and the person have it."""
        found = {name: orders.get(name) for name in self.mine}
        return {name: order and order.status for name, order in found.items() if not self.is_right(name, order)}

    def is_right(self, name: str, order: FulfillmentRequest | None) -> bool:
        if order is None or order.status is None:
            return False
        if order.has_unobserved_spec and order.status.phase is not Phase.FULFILLED:
            return False
        status, session = order.status, self.world.sessions[self.mine[name].id]
        if name in self.ended_by_a_person and status.phase in {Phase.FULFILLED, Phase.FAILED}:
            return True
        if session.payment_status not in PAID:
            is_declined = name in self.everything.declined
            return (status.phase, status.reason) == (
                (Phase.FAILED, Reason.PAYMENT_FAILED)
                if is_declined
                else (Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
            )
        match status.phase, status.reason:
            case Phase.FULFILLED, _:
                return name in self.everything.backend.done
            case Phase.FULFILLING, Reason.DISPATCHED:
                return True  # it was answered 202, and the backend has not called back
            case Phase.FAILED, Reason.FULFILLMENT_FAILED | Reason.REFUNDED | Reason.DISPUTED:
                return True
            case _:
                return False


@pytest.mark.timeout(1200)
async def test_whatever_happens_every_promise_is_kept(everything: Everything) -> None:
    """The invariants after each step, and the end of every order once all trouble is over."""
    Machine.everything, Machine.loop = everything, asyncio.get_running_loop()
    what = settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
    )
    await asyncio.to_thread(run_state_machine_as_test, Machine, settings=what)
