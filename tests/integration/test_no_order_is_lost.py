"""Orders whose events are lost, duplicated and shuffled: a recovery and the slow look find every one."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from kubernetes.aio import client

from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import ConditionType, Phase, Status
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.control import sent_event
from fulfillment_local.fake_stripe.model import (
    AfterPayment,
    DeliveryState,
    Event,
    EventType,
    Mode,
    Order,
    Outcome,
    PaymentIntent,
    PaymentIntentStatus,
    PaymentStatus,
    Session,
    SessionStatus,
    Settlement,
)
from fulfillment_local.fake_stripe.world import StripeWorld
from fulfillment_local.webhook_sender import Delivery, delivery_of
from fulfillment_service.events.rules import EventRules
from fulfillment_service.recovery.main import recover
from fulfillment_service.recovery.run import RecoveryOptions
from support.running_business import Business, open_business
from support.running_operator import ADDRESS
from support.running_recovery import RULES, recover_settings

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.xdist_group("busy")]

ORDERS = 120
RECHECK = timedelta(seconds=1.5)
WITHIN = 180.0  # seconds
TRIES = 5
TOLD = {EventType.REFUNDED: "refunded", EventType.DISPUTED: "disputed"}
SETTLEMENTS = {
    Outcome.UNPAID: (Settlement.SUCCEEDED, Settlement.FAILED, Settlement.RETRIED, Settlement.CANCELED),
    Outcome.AUTHORIZED: (Settlement.CAPTURED, Settlement.PARTLY_CAPTURED, Settlement.CANCELED, Settlement.LAPSED),
}
WAITING = {PaymentIntentStatus.PROCESSING, PaymentIntentStatus.REQUIRES_CAPTURE}
STATES = {Phase.AWAITING_PAYMENT: "waiting", Phase.FULFILLED: "fulfilled", Phase.FAILED: "failed"}


@dataclass
class Fate:
    """Decides by a seed what becomes of each order, and of each event on its way."""

    world: StripeWorld
    chance: random.Random
    late: list[Delivery] = field(default_factory=list)
    """What is delivered in the second round only."""
    lost: int = 0
    swallowed: int = 0
    unknown: set[str] = field(default_factory=set)
    """The Sessions of which the cluster knows nothing before the recovery."""

    def order(self) -> Order:
        """Choose what is bought, and how it comes out on Checkout's page."""
        kinds = {
            Outcome.PAID: 10,
            Outcome.FREE: 2,
            Outcome.UNPAID: 10,
            Outcome.AUTHORIZED: 3,
            Outcome.EXPIRED: 1,
        }
        outcome = self.chance.choices([*kinds], [*kinds.values()])[0]
        modes = [Mode.PAYMENT]
        if outcome is not Outcome.AUTHORIZED:
            modes += [Mode.SUBSCRIPTION, *([Mode.SETUP] if outcome is Outcome.PAID else [])]
        return Order(outcome=outcome, mode=self.chance.choices(modes, [8, 2, 1][: len(modes)])[0])

    def deliveries(self, event: Event, *, swallow: bool = False) -> list[Delivery]:
        """Lose an event, or let it arrive up to three times, some of them late.

        Args:
            event: the event.
            swallow: whether it may also be lost though Stripe believes that it arrived: no recovery finds it.
        """
        lot = self.chance.random()
        if swallow and lot < 0.15:
            self.swallowed += 1
            self.world.mark(event.id, DeliveryState.SUCCEEDED)
            return []
        if lot < 0.4:
            self.lost += 1
            if event.type is EventType.COMPLETED:
                self.unknown.add(event.session.id)
            self.world.mark(event.id, DeliveryState.FAILED)
            return []
        self.world.mark(event.id, DeliveryState.SUCCEEDED)
        sent = sent_event(event)
        # A thin event does not say that a Session was in setup mode: it makes a request, which sells nothing. One of a
        # charge does not say what it paid.
        can_be_thin = event.payment is None and event.order.mode is not Mode.SETUP
        thin = can_be_thin and self.chance.random() < 0.2
        copies = [delivery_of(bytes(sent.thin if thin else sent.snapshot))] * self.chance.randint(1, 3)
        late = self.chance.randint(0, len(copies))
        self.late += copies[:late]
        return copies[late:]

    def undo(self, session: Session) -> Event:
        """Let a payment be given back, or disputed."""
        return self.world.play_after_payment(
            session.id, self.chance.choice([AfterPayment.REFUNDED, AfterPayment.DISPUTED])
        )

    def shuffled(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        mixed = [*deliveries]
        self.chance.shuffle(mixed)
        return mixed


def end_by_the_books(world: StripeWorld, session: Session) -> str | None:
    """Tell how an order must end: from the stand-in's own state, and from no event."""
    if session.status is not SessionStatus.COMPLETE or session.order.mode is Mode.SETUP:
        return None  # nothing was sold
    intent = world.payment_of(session.id)
    if intent and (intent.refunded or intent.disputes):
        return "undone"
    if session.payment_status is not PaymentStatus.UNPAID:
        return "fulfilled"
    return "waiting" if intent and intent.status in WAITING else "failed"


async def ends(business: Business) -> dict[str, str]:
    """Tell how each order stands in the cluster."""
    shop = business.shop
    objects = client.CustomObjectsApi(shop.api)
    found: Any = await objects.list_namespaced_custom_object(**ADDRESS, namespace=shop.namespace)
    requests = msgspec.convert(found["items"], list[FulfillmentRequest])
    return {each.metadata.name: end_of(each.status) for each in requests}


def end_of(status: Status | None) -> str:
    """Tell how an order stands; one that was given back, or is disputed, shows that above all."""
    if status is None:
        return ""
    undone = [status.condition(each) for each in (ConditionType.REFUNDED, ConditionType.DISPUTED)]
    return "undone" if any(undone) else STATES.get(status.phase, "")


async def send(business: Business, deliveries: list[Delivery]) -> None:
    """Deliver events, and those again that came too soon for a slow machine: as Stripe does, to the end."""
    for _ in range(TRIES):
        answers = await business.webhook.post(deliveries, concurrency=16)
        assert {answer.status for answer in answers} <= {200, 503, None}
        deliveries = [answer.delivery for answer in answers if not answer.acknowledged]
        if not deliveries:
            return
    raise AssertionError(f"{len(deliveries)} events were never acknowledged")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [14, 43])
async def test_no_order_is_lost(control_plane: ControlPlane, namespace: str, seed: int) -> None:
    """Every order is in the state that Stripe's books say it has, and each that is paid was fulfilled exactly once."""
    await control_plane.grant(User.SERVICE, namespace, RULES)
    async with open_business(control_plane, namespace, recheck=RECHECK) as business:
        world = business.shop.stripe.world
        fate = Fate(world, random.Random(seed))

        first = []
        for _ in range(ORDERS):
            _, event = world.play(fate.order())
            assert event is not None
            first += fate.deliveries(event)
        await send(business, fate.shuffled(first))

        second = []
        for session in [*world.sessions.values()]:
            settlements = SETTLEMENTS.get(session.order.outcome)
            if settlements and fate.chance.random() < 0.8:
                event = world.settle(session.id, fate.chance.choice(settlements))
                second += fate.deliveries(event, swallow=True) if event else []
        paid = [each for each in world.sessions.values() if each.payment_status is PaymentStatus.PAID]
        for session in paid:
            if session.id in fate.unknown and world.payment_of(session.id) and fate.chance.random() < 0.3:
                second += fate.deliveries(fate.undo(session))
        await send(business, fate.shuffled([*second, *fate.late]))

        assert await recovered(business, fate) > 50
        books = the_books(world)
        await settled(business, books)
        fulfilled = Counter(name for name, end in books.items() if end == "fulfilled")
        assert business.fulfilled == fulfilled
        assert len(business.shop.mailbox.mails) == sum(map(is_declined, world.payment_intents.values()))
        assert min(Counter(books.values()).values()) > 7
        assert fate.swallowed > 5

        fate.late.clear()
        third = []
        for session in paid:
            if books[request_name(session.id)] == "fulfilled" and fate.chance.random() < 0.2:
                event = fate.undo(session)
                fulfilled[f"{request_name(session.id)}.{TOLD[event.type]}"] = 1  # the backend is told, once
                third += fate.deliveries(event)
        await send(business, fate.shuffled([*third, *fate.late]))
        assert await recovered(business, fate) > 2
        await settled(business, the_books(world))
        assert business.fulfilled == fulfilled


def is_declined(intent: PaymentIntent) -> bool:
    """Tell whether the buyer's payment failed, of which they are told; one that the seller canceled is none of it."""
    return intent.status is PaymentIntentStatus.REQUIRES_PAYMENT_METHOD


def the_books(world: StripeWorld) -> dict[str, str]:
    """Tell how every order must end, by its request's name."""
    ends = {request_name(each.id): end_by_the_books(world, each) for each in world.sessions.values()}
    return {name: end for name, end in ends.items() if end is not None}


async def recovered(business: Business, fate: Fate) -> int:
    """Run a recovery; it finds exactly what was lost, and tells how much that was."""
    shop = business.shop
    newest = max(event.created for event in fate.world.events.values())
    while time.time() < int(newest) + 1:  # noqa: ASYNC110 - a recovery sees to whole seconds that are over
        await asyncio.sleep(0.01)
    settings = recover_settings(shop.control_plane, shop.namespace, shop.stripe)
    summary = await recover(settings, EventRules(), RecoveryOptions())
    assert summary is not None
    assert (summary.found, summary.failed) == (fate.lost, 0)
    for event in fate.world.events.values():  # as in the Dashboard, where a recovered one can be marked so
        fate.world.mark(event.id, DeliveryState.SUCCEEDED)
    fate.lost = 0
    return summary.found


async def settled(business: Business, books: dict[str, str]) -> None:
    """Wait until every order stands as the books say."""
    until = time.monotonic() + WITHIN
    while (found := await ends(business)) != books and time.monotonic() < until:  # noqa: ASYNC110 - it is at work
        await asyncio.sleep(0.2)
    assert found == books
