"""Runs in the pod of Stripe's stand-in: sells at a steady rate, each event sent once, until its standard input ends.

Half of the events come over connections that are kept, as Stripe keeps them, half over fresh ones. What came of them is
written as one line of JSON.
"""

import asyncio
import itertools
import os
import sys
import time

import aiohttp
import msgspec

from fulfillment_local.fake_stripe.client import WorldClient
from fulfillment_local.webhook_sender import Plan, Webhook, carry_out
from fulfillment_runtime.fatal_errors import UnavailableError


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the load."""

    sessions: list[str]
    """The ids of the Sessions whose event was acknowledged."""
    failures: list[str]
    """What happened to the others."""
    milliseconds: list[float]
    """How long each acknowledged event waited for its answer."""
    seconds: float
    """How long it took in all."""


class Load:
    """Events that are sent, and what came of them."""

    def __init__(self) -> None:
        self.sessions: list[str] = []
        self.failures: list[str] = []
        self.milliseconds: list[float] = []

    async def sell(self, world: WorldClient, webhook: Webhook) -> None:
        """Play one paid order, and send its event."""
        sent = time.strftime("%H:%M:%S")
        try:
            (answer,) = await carry_out(Plan(), world, webhook)
        except UnavailableError as error:
            self.failures.append(f"{sent} {error.message}")
            return
        if answer.acknowledged:
            self.sessions.append(answer.delivery.session)
            self.milliseconds.append(answer.seconds * 1000)
        else:
            self.failures.append(f"{sent} {answer.status} {answer.text}")


async def run(webhook_url: str, rate: float) -> Report:
    """Sell until the standard input ends.

    Args:
        webhook_url: where the events go.
        rate: how many a second.
    """
    told_to_end = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    load, start = Load(), time.monotonic()
    secret = os.environ["STRIPE_WEBHOOK_SECRETS"].replace(",", " ").split()[0]
    async with (
        WorldClient.connect(os.environ["STRIPE_API_BASE"]) as world,
        aiohttp.ClientSession() as kept,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as fresh,
        asyncio.TaskGroup() as group,
    ):
        webhooks = itertools.cycle(Webhook(url=webhook_url, secrets=(secret,), http=http) for http in (kept, fresh))
        for number, webhook in enumerate(webhooks):
            await asyncio.wait([told_to_end], timeout=max(0.0, start + number / rate - time.monotonic()))
            if told_to_end.done():
                break
            group.create_task(load.sell(world, webhook))
    return Report(
        sessions=load.sessions,
        failures=load.failures,
        milliseconds=load.milliseconds,
        seconds=time.monotonic() - start,
    )


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(run(sys.argv[1], float(sys.argv[2])))).decode())  # noqa: T201 - it is asked for
