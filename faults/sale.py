"""A steady sale: orders of every kind, whose events come doubled, late and in disorder, and are sent until taken."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import click

from fulfillment_local.fake_stripe.control import sent_event
from fulfillment_local.fake_stripe.model import AfterPayment, DeliveryState, Event, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.world import StripeWorld
from fulfillment_local.webhook_sender import Delivery, Webhook, delivery_of

_KINDS = {  # what is sold, in percent, and what comes of it
    (Outcome.PAID, None): 55,
    (Outcome.FREE, None): 10,
    (Outcome.UNPAID, Settlement.SUCCEEDED): 15,
    (Outcome.UNPAID, Settlement.FAILED): 12,
    (Outcome.PAID, AfterPayment.REFUNDED): 8,
}
_DOUBLED, _AGAIN = 0.05, 0.5
_LATE, _VERY_LATE = (0.0, 2.0), (4.0, 8.0)  # seconds that an event takes
_OFTEN_VERY_LATE = 0.2  # so that the second event of an order overtakes the first
_SETTLED_AFTER = (0.5, 6.0)
_WHOLE, _LEAST_SHARE = 20.0, 0.2  # a sale of so many seconds has these times whole, a shorter one a share
# Stripe waits minutes, then hours, for up to three days: here a bench's seconds.
_SENT_AGAIN_AFTER = (0.5, 1.0, 2.0, 4.0)


@dataclass
class Sale:
    """What is sold, and what became of its events."""

    world: StripeWorld
    webhook: Webhook
    chance: random.Random
    orders: int
    seconds: float
    """That the sending takes."""
    acknowledged: set[str] = field(default_factory=set)
    """The Sessions of which an event was acknowledged."""
    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    """Seconds that an answer took."""
    sold: int = 0

    async def run(self) -> None:
        """Sell at a steady rate, until the last event is taken."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(self.orders):
                await asyncio.sleep(start + number * self.seconds / self.orders - loop.time())
                group.create_task(self._sell())

    async def _sell(self) -> None:
        (outcome, later), *_ = self.chance.choices([*_KINDS], [*_KINDS.values()])
        session, event = self.world.play(Order(outcome=outcome))
        self.sold += 1
        async with asyncio.TaskGroup() as group:
            if event is not None:
                group.create_task(self._tell(event))
            if later is not None:
                await self._pass(_SETTLED_AFTER)
                next_event = (
                    self.world.settle(session.id, later)
                    if isinstance(later, Settlement)
                    else self.world.play_after_payment(session.id, later)
                )
                if next_event is not None:
                    again = event if self.chance.random() < _AGAIN else None
                    group.create_task(self._tell(next_event, again))

    async def _tell(self, event: Event, again: Event | None = None) -> None:
        """Deliver an event, and then an older one once more, if there is one."""
        await self._pass(_VERY_LATE if self.chance.random() < _OFTEN_VERY_LATE else _LATE)
        delivery = delivery_of(bytes(sent_event(event).snapshot))
        times = 2 if self.chance.random() < _DOUBLED else 1
        await asyncio.gather(*(self._until_taken(event, delivery) for _ in range(times)))
        if again is not None:
            await self._until_taken(again, delivery_of(bytes(sent_event(again).snapshot)))

    async def _pass(self, seconds: tuple[float, float]) -> None:
        """Let some time pass: all that a sale's length allows, for a short one is to be over soon."""
        share = min(1.0, max(_LEAST_SHARE, self.seconds / _WHOLE))
        await asyncio.sleep(share * self.chance.uniform(*seconds))

    async def _until_taken(self, event: Event, delivery: Delivery) -> None:
        """Send an event as Stripe does: signed anew each time, until it is answered with 2xx."""
        for number in range(10_000):
            with suppress(click.ClickException):  # nobody listens
                (answer,) = await self.webhook.post([delivery])
                self.answers[str(answer.status)] += 1
                self.slowest = max(self.slowest, answer.seconds)
                if answer.acknowledged:
                    self.acknowledged.add(event.session.id)
                    self.world.mark(event.id, DeliveryState.SUCCEEDED)
                    return
            self.world.mark(event.id, DeliveryState.FAILED)
            pause = _SENT_AGAIN_AFTER[min(number, len(_SENT_AGAIN_AFTER) - 1)]
            await asyncio.sleep(pause * self.chance.uniform(0.75, 1.25))
