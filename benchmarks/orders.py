"""How many orders a second: from Stripe's signed events to fulfilled requests, all of it on this machine.

The sender, the stand-in for Stripe, etcd and the API server share the processors with the product, so the figures are
a lower bound of what the product itself can do. Run it by `make bench`; ORDERS and SENDERS set its size.
"""

import asyncio
import os
import time

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from fulfillment_local.deliveries import Plan, Webhook, carry_out
from fulfillment_local.machine import SECRET, Machine, running_machine
from fulfillment_local.programs import find_programs
from fulfillment_local.stripe_world.client import WorldClient
from fulfillment_local.trigger import summary

ORDERS = int(os.environ.get("ORDERS", "2000"))
SENDERS = int(os.environ.get("SENDERS", "64"))
_LOOK_EVERY = 0.1  # seconds
_WITHIN = 300.0  # seconds


async def measure() -> None:
    """Play the orders, and print the figures."""
    async with running_machine(find_programs(os.environ)) as machine, aiohttp.ClientSession() as http:
        assert machine.stripe is not None
        world = WorldClient(machine.stripe.url, http)
        webhook = Webhook(url=machine.webhook_url, secrets=(SECRET,), http=http)
        await carry_out(Plan(count=20), world, webhook)  # warms it up
        fulfilled = await _fulfilled(machine, http)
        started = time.perf_counter()
        answers = await carry_out(Plan(count=ORDERS, concurrency=SENDERS), world, webhook)
        sent = time.perf_counter() - started
        async with asyncio.timeout(_WITHIN):
            while await _fulfilled(machine, http) < fulfilled + ORDERS:  # noqa: ASYNC110 - a counter is no event
                await asyncio.sleep(_LOOK_EVERY)
        ended = time.perf_counter() - started
        print(f"{ORDERS} orders, {SENDERS} senders: {summary(answers)}")
        print(f"acknowledged: {ORDERS / sent:.0f} events/s")
        print(f"fulfilled:    {ORDERS / ended:.0f} orders/s, the last after {ended:.1f} s")
        for workload, url in (("service", machine.service_url), ("operator", machine.operator_url)):
            samples = await _samples(http, url)
            memory, cpu = samples["process_resident_memory_bytes"], samples["process_cpu_seconds_total"]
            print(f"{workload + ':':<13} {memory / 2**20:.0f} MiB, {cpu / ORDERS * 1000:.2f} ms CPU an order")


async def _fulfilled(machine: Machine, http: aiohttp.ClientSession) -> float:
    return (await _samples(http, machine.operator_url))["fulfillment_time_to_fulfill_seconds_count"]


async def _samples(http: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with http.get(f"{url}/metrics") as response:
        text = await response.text()
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


if __name__ == "__main__":
    asyncio.run(measure())
