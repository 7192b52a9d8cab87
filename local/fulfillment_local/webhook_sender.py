"""Sends events to a webhook as Stripe does: what `fulfillment trigger`, the demo and the tests share."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from fulfillment_local.fake_stripe.client import WorldClient
from fulfillment_local.fake_stripe.control import SentEvent
from fulfillment_local.fake_stripe.model import AfterPayment, DeliveryState, Order, Settlement
from fulfillment_local.flaws import Flaw, flawed_headers
from fulfillment_runtime.fatal_errors import UnavailableError

TIMEOUT = aiohttp.ClientTimeout(total=30)
SHOWN_TEXT = 200
"""How many characters of an unexpected answer are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request to a webhook."""

    body: bytes
    type: str
    """The event's type, for people."""
    session: str
    """The Session's id, for people."""
    event: str | None = None
    """The id of the event in the stand-in; None for one that it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request to a webhook."""

    delivery: Delivery
    status: int | None
    """None: the connection broke, or the answer came too late."""
    seconds: float
    refusal_expected: bool
    text: str
    """The start of the answer, or what went wrong with the connection."""
    ignored: str | None = None
    """Why the event changes nothing, as the webhook says it in one word; None: it does, or says nothing of it."""

    @property
    def acknowledged(self) -> bool:
        """Whether Stripe would take the event for delivered."""
        return self.status is not None and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def as_expected(self) -> bool:
        """Whether a good event was acknowledged, or a bad one refused with 400."""
        return self.status == HTTPStatus.BAD_REQUEST if self.refusal_expected else self.acknowledged


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which events are made, and how they are sent."""

    order: Order = field(default_factory=Order)
    settlement: Settlement | None = None
    """How a delayed payment ends."""
    after: tuple[AfterPayment, ...] = ()
    """What comes after a paid order, one after the other."""
    count: int = 1
    """How many Sessions."""
    duplicates: int = 0
    """How many times more each event is sent."""
    shuffle: random.Random | None = None
    """Mixes the order of all requests."""
    last_only: bool = False
    """Whether the first of two events is lost on its way."""
    thin: bool = False
    """Whether thin events are sent."""
    concurrency: int = 1
    """How many requests are sent at once."""


def _silent(_answer: Answer) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where events go, and how they are signed."""

    url: str
    secrets: tuple[str, ...]
    http: aiohttp.ClientSession
    flaw: Flaw | None = None
    """What is wrong with each request."""
    clock: Callable[[], float] = time.time
    """Tells when a request is signed, in seconds since the epoch."""
    report: Callable[[Answer], None] = _silent
    """Is told of each answer as it comes."""

    async def post(self, deliveries: Iterable[Delivery], *, concurrency: int = 1) -> list[Answer]:
        """Sign and send requests, some at once; return the answers as they came.

        Raises:
            UnavailableError: the webhook cannot be reached.
        """
        waiting = iter(deliveries)
        answers: list[Answer] = []

        async def work() -> None:
            for delivery in waiting:
                answer = await self._post_one(delivery)
                answers.append(answer)
                self.report(answer)

        workers = [asyncio.create_task(work()) for _ in range(concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return answers

    async def _post_one(self, delivery: Delivery) -> Answer:
        headers = flawed_headers(delivery.body, self.secrets, now=self.clock(), flaw=self.flaw)
        start = time.perf_counter()
        status: int | None = None
        try:
            async with self.http.post(
                self.url,
                data=delivery.body,
                headers=headers,
                allow_redirects=False,  # to Stripe, a redirect is a failure
                timeout=TIMEOUT,
            ) as response:
                text = await response.text(errors="replace")
                status = response.status
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise UnavailableError(
                f"the webhook cannot be reached at {self.url} ({error}): start it with `fulfillment service`, or "
                "name another with --webhook-url"
            ) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            text = str(error) or type(error).__name__
        return Answer(
            delivery=delivery,
            status=status,
            seconds=time.perf_counter() - start,
            refusal_expected=self.flaw is not None,
            text=text[:SHOWN_TEXT].strip(),
            ignored=_ignored(text),
        )


class _Result(msgspec.Struct):
    """What the webhook answers when it has acknowledged an event, as far as it is read."""

    result: str
    reason: str = ""


def _ignored(text: str) -> str | None:
    try:
        answer = msgspec.json.decode(text, type=_Result)
    except msgspec.DecodeError:
        return None
    return answer.reason if answer.result == "ignored" else None


async def carry_out(plan: Plan, world: WorldClient, webhook: Webhook) -> list[Answer]:
    """Make Sessions in the stand-in, send their events, and tell the stand-in which were acknowledged.

    A delayed payment is settled, and all that comes after a paid order comes, once its first event was answered, or
    before anything is sent when all requests are shuffled.

    Raises:
        UnavailableError: the stand-in or the webhook cannot be reached.
    """
    played = await world.play(plan.order, count=plan.count)
    first = [each.event for each in played if each.event is not None]
    if plan.settlement is None and not plan.after:
        return await send(first, plan, world, webhook)
    answers: list[Answer] = []
    if plan.shuffle is None and not plan.last_only:
        answers += await send(first, plan, world, webhook)
        first = []
    happened = [await _go_on(each.session, plan, world) for each in played]
    if plan.last_only:
        return answers + await send([events[-1] for events in happened if events], plan, world, webhook)
    later = [event for events in happened for event in events]
    return answers + await send([*first, *later], plan, world, webhook)


async def _go_on(session_id: str, plan: Plan, world: WorldClient) -> list[SentEvent]:
    if plan.settlement is not None:
        event = await world.settle(session_id, plan.settlement)
        return [event] if event else []
    return [await world.play_after_payment(session_id, each) for each in plan.after]


async def send(events: Sequence[SentEvent], plan: Plan, world: WorldClient, webhook: Webhook) -> list[Answer]:
    """Send events of the stand-in as the plan says, and tell it which were acknowledged.

    Raises:
        UnavailableError: the stand-in or the webhook cannot be reached.
    """
    deliveries = [_delivery(event, thin=plan.thin) for event in events for _ in range(1 + plan.duplicates)]
    if plan.shuffle is not None:
        plan.shuffle.shuffle(deliveries)
    answers = await webhook.post(deliveries, concurrency=plan.concurrency)
    acknowledged = {answer.delivery.event for answer in answers if answer.acknowledged}
    await world.mark(
        {event.id: DeliveryState.SUCCEEDED if event.id in acknowledged else DeliveryState.FAILED for event in events}
    )
    return answers


def delivery_of(body: bytes) -> Delivery:
    """Make a delivery of any event's JSON, as it is.

    Raises:
        UnicodeDecodeError: the body is not UTF-8, and cannot be signed.
    """
    body.decode()
    try:
        event: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        event = None
    return Delivery(
        body=body,
        type=_text(event, "type"),
        session=_text(event, "data", "object", "id") or _text(event, "related_object", "id"),
    )


def _delivery(event: SentEvent, *, thin: bool) -> Delivery:
    body = bytes(event.thin if thin else event.snapshot)
    return Delivery(
        body=msgspec.json.format(body, indent=2),  # as Stripe sends it
        type=f"v1.{event.type}" if thin else event.type,
        session=event.session,
        event=event.id,
    )


def _text(value: Any, *path: str) -> str:  # noqa: ANN401 - any JSON
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
