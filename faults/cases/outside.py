"""Stripe, the shop's backend and the mail server fail."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from aiohttp import web

from faults.case import Case
from faults.ledger import Meet, dropping, failing, stalling
from faults.world import World
from fulfillment_local.fake_stripe.traffic import Drop, Fail, Fault, Hang

_FOR = 10.0  # seconds


def stripe(*faults: Fault) -> Callable[[World], Awaitable[None]]:
    """Make what lets Stripe fail for a while."""

    async def play(world: World) -> None:
        world.stripe.faults.set(faults)
        await asyncio.sleep(_FOR)
        world.stripe.faults.set([])

    return play


def backend(meet: Meet) -> Callable[[World], Awaitable[None]]:
    """Make what lets the backend fail for a while, after its effect."""

    async def play(world: World) -> None:
        world.ledger.meet = meet
        await asyncio.sleep(_FOR)
        world.ledger.meet = None

    return play


def mixed() -> Meet:
    """Fail in every way, one after the other."""
    turns = itertools.cycle((failing, dropping, stalling))

    async def meet(request: web.Request, key: str) -> web.Response | None:
        return await next(turns)(request, key)

    return meet


async def mail_down(world: World) -> None:
    """Let nobody listen where the mail server is."""
    with world.mail_proxy.cut():
        await asyncio.sleep(_FOR)


async def mail_hangs(world: World) -> None:
    """Let the mail server take mails, and not answer."""
    world.mailbox.trouble.hang = True
    await asyncio.sleep(_FOR)
    world.mailbox.trouble.hang = False


CASES = (
    Case(name="stripe-500", what="Stripe answers 500 for 10 s", play=stripe(Fail(status=500))),
    Case(name="stripe-429", what="Stripe answers 429 for 10 s", play=stripe(Fail(status=429))),
    Case(name="stripe-stalls", what="Stripe answers nothing for 10 s", play=stripe(Hang(seconds=30))),
    Case(name="stripe-drops", what="Stripe drops connections for 10 s", play=stripe(Drop())),
    Case(name="backend-500", what="the backend answers 500 after its effect, for 10 s", play=backend(failing)),
    Case(name="backend-stalls", what="the backend answers nothing after its effect, for 10 s", play=backend(stalling)),
    Case(name="backend-drops", what="the backend drops connections after its effect, for 10 s", play=backend(dropping)),
    Case(name="backend-mixed", what="the backend does each of these in turn, for 10 s", play=backend(mixed())),
    Case(name="mail-down", what="nobody listens at the mail server's port for 10 s", play=mail_down),
    Case(name="mail-hangs", what="the mail server takes mails, and answers nothing for 10 s", play=mail_hangs),
)
