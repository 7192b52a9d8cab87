"""A flood of what nobody signed: how much longer signed events take meanwhile, and how much the service grows by."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.bench import Bench, percentile
from benchmarks.builds import ROOT
from benchmarks.orders import play
from benchmarks.sender import Report
from benchmarks.table import Figure, Row, measured
from fulfillment_local.fake_stripe.model import Order

_WARM_UP = 50
_EVENTS_PER_SECOND = 20
"""Of the signed events: a busy shop's."""


async def measure(bench: Bench) -> list[Figure]:
    """Send signed events at a steady rate, alone and then through the flood."""
    count = max(10, bench.scale.orders // 10)
    async with bench.world() as world:
        orders = await play(world.stripe, Order(), _WARM_UP + 2 * count)
        async with world.service() as service:
            await world.send(service.shots(orders[:_WARM_UP]))
            alone = await world.send(service.shots(orders[_WARM_UP : _WARM_UP + count]), rate=_EVENTS_PER_SECOND)
            before = service.resident_mib()
            rejected = await service.metric("fulfillment_webhook_rejections_total")
            async with _flood(service.webhook_url):
                flooded = await world.send(service.shots(orders[_WARM_UP + count :]), rate=_EVENTS_PER_SECOND)
                grown = service.resident_mib() - before
            rejected = await service.metric("fulfillment_webhook_rejections_total") - rejected
    parts = {
        "p99 of a signed event alone, ms": _p99(alone) * 1000,
        "p99 of a signed event in the flood, ms": _p99(flooded) * 1000,
        "unsigned requests/s": rejected / flooded.seconds,
        "signed events/s": len(flooded.outcomes) / flooded.seconds,
    }
    note = f"{parts['unsigned requests/s']:,.0f} unsigned requests/s, small and large, from this machine as well"
    return [
        measured(Row.FLOOD_RATIO, _p99(flooded) / _p99(alone), note, parts=parts),
        measured(Row.FLOOD_P99, _p99(flooded), note, parts=parts),
        measured(Row.FLOOD_MEMORY, grown, note, parts=parts),
    ]


def _p99(report: Report) -> float:
    return percentile([each.seconds for each in report.outcomes], 0.99)


@asynccontextmanager
async def _flood(url: str) -> AsyncIterator[None]:
    """Let a process of its own send unsigned requests, as many as are answered, while the context lasts."""
    flooder = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.flooder", url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert flooder.stdout is not None
        await flooder.stdout.readline()  # it has begun
        yield
    finally:
        flooder.terminate()
        await flooder.wait()
