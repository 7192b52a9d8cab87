"""Whoever guesses ids of Sessions at the order page does not slow the webhook down: real processes, side by side."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain, count
from statistics import median

import pytest

from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from support import guesser
from support.running_operator import Shop
from support.running_page import PAGE_RULES
from support.service_process import Sender, connected, running, service_environ
from support.stripe_events import snapshot

ROUNDS = int(os.environ.get("ORDER_PAGE_GUESS_SECONDS", "4"))
"""Seconds of guesses, each after one without; 60 are 10,000 guesses."""
GUESSES = round(guesser.PER_SECOND)
EVENTS = 20
"""In each second: of a busy shop."""
LOOKUPS_AT_ONCE, LOOKUPS_PER_SECOND = 20, 2
"""As docs/order-page.md says."""
MOST = 3.0
"""Times the latency of the second before, in a quarter of the seconds at least: guesses that slow the webhook down do
so in each, what else the machine does only in some."""


async def page_environ(shop: Shop) -> dict[str, str]:
    """Allow the page what the chart does, and return the whole environment of its process."""
    await shop.control_plane.grant(User.PAGE, shop.namespace, [PAGE_RULES])
    return {
        "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.PAGE]),
        "FULFILLMENT_NAMESPACE": shop.namespace,
        "FULFILLMENT_PAGE_PORT": "0",
        "FULFILLMENT_PAGE_TRUSTED_PROXIES": "127.0.0.1",
        "FULFILLMENT_MANAGEMENT_PORT": "0",
        "STRIPE_API_KEY": TEST_KEY,
        "STRIPE_API_BASE": shop.stripe.url,
    }


@asynccontextmanager
async def guessing(url: str) -> AsyncIterator[Process]:
    """Start who guesses; it waits to be told how often."""
    process = await asyncio.create_subprocess_exec(sys.executable, guesser.__file__, url, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        await process.wait()


async def a_second_of_events(sender: Sender, numbers: Iterator[int]) -> list[float]:
    """Send events at a steady rate, and return how long each waited for its 200, in seconds."""
    began, waited = time.monotonic(), []
    for place in range(EVENTS):
        await asyncio.sleep(began + place / EVENTS - time.monotonic())
        body = json.dumps(snapshot(session={"id": f"cs_test_paid{next(numbers)}"}))
        sent = time.perf_counter()
        status, _ = await sender.post(body)
        waited.append(time.perf_counter() - sent)
        assert status == 200
    return waited


@pytest.mark.usefixtures("crd")
@pytest.mark.xdist_group("busy")
async def test_ten_thousand_guesses_a_minute_leave_the_webhooks_latency_alone(shop: Shop) -> None:
    """Each second with guesses follows one without; and Stripe is asked as often as the page may, whoever guesses."""
    alone, guessed, statuses = list[list[float]](), list[list[float]](), Counter[str]()
    numbers = count()
    began = time.monotonic()
    async with (
        running(await service_environ(shop.control_plane, shop.namespace)) as (service, at),
        running(await page_environ(shop), "page") as (_, page_at),
        guessing(f"http://127.0.0.1:{page_at['page_port']}/order") as guesses,
        connected(at["webhook_port"]) as sender,
    ):
        assert service.stderr is not None
        assert guesses.stdin is not None
        assert guesses.stdout is not None
        reading = asyncio.create_task(service.stderr.read())  # a line for each event
        await a_second_of_events(sender, numbers)  # the first ones open connections
        for _ in range(ROUNDS):
            alone.append(await a_second_of_events(sender, numbers))
            guesses.stdin.write(f"{GUESSES}\n".encode())
            guessed.append(await a_second_of_events(sender, numbers))
            statuses.update(json.loads(await guesses.stdout.readline()))
        service.terminate()
        await reading
    took = time.monotonic() - began
    asked = sum(each.path.startswith("/v1/checkout/sessions/") for each in shop.stripe.traffic.requests)
    ratios = sorted(median(some) / median(others) for some, others in zip(guessed, alone, strict=True))
    before, after = (median(chain.from_iterable(each)) * 1000 for each in (alone, guessed))
    figures = f"{before:.1f} ms alone, {after:.1f} ms with guesses: {median(ratios):.2f} times"
    print(f"{figures}; {statuses.total():,} guesses, Stripe asked {asked} times in {took:.0f} s")  # noqa: T201 - the figures

    assert statuses.keys() <= {"404", "429", "503"}  # the last on a machine that is too slow to read so many orders
    assert statuses["503"] < statuses.total() / 2
    assert statuses.total() == ROUNDS * GUESSES
    assert 0 < asked <= LOOKUPS_AT_ONCE + LOOKUPS_PER_SECOND * took
    assert ratios[ROUNDS // 4] < MOST, ratios
