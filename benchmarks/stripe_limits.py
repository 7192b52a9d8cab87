"""A backlog within Stripe's limits, among Sessions of other apps: how often Stripe is asked, how soon it is done."""

import time
from dataclasses import dataclass

from benchmarks.bench import NEEDS_BASE, Bench
from benchmarks.builds import Build
from benchmarks.orders import PlayedOrder, play
from benchmarks.table import Figure, Row, measured, unmeasured
from benchmarks.world import World
from fulfillment_local.fake_stripe.model import Order

_WAVES = 10
"""Orders of ours and of other apps are placed in turns, so that both are of the same time."""
_BASE_SECONDS = 30.0
"""For so long the other build is looked at, unless FULL is set: from then on its rate is taken to go on."""
_SLOWEST_RATE = 10  # orders a second


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    orders: int
    """How many were settled within the time."""
    seconds: float
    requests: int
    """To Stripe."""
    rejected: int
    """How many of them were answered 429."""

    def seconds_for(self, backlog: int) -> float:
        """Return how long all of it takes, at the rate that there was."""
        return self.seconds * backlog / max(1, self.orders)


async def measure(bench: Bench) -> list[Figure]:
    """Settle it by this build, and for as long as need be by the other."""
    backlog = bench.scale.limited_backlog
    mine = await _settle(bench, bench.build, seconds=60 + backlog / _SLOWEST_RATE)
    if mine.orders < backlog:
        text = f"{mine.orders:,} of {backlog:,} orders were settled within {mine.seconds:.0f} s"
        return [unmeasured(Row.STRIPE_REQUESTS, text), unmeasured(Row.STRIPE_SOONER, text)]
    note = bench.scale_note(f"a backlog of {backlog:,}, {bench.scale.other_apps:,} of other apps")
    parts = {"requests": mine.requests, "requests answered 429": mine.rejected, "seconds": mine.seconds}
    requests = measured(Row.STRIPE_REQUESTS, mine.requests / backlog, note, parts=parts)
    if bench.base is None:
        return [requests, unmeasured(Row.STRIPE_SOONER, NEEDS_BASE)]
    longest = 60 + backlog / _SLOWEST_RATE if bench.options.full else _BASE_SECONDS
    base = await _settle(bench, bench.base, seconds=longest)
    if base.orders < backlog:
        note = f"BASE was looked at for {base.seconds:.0f} s, in which it settled {base.orders:,} of {backlog:,}"
    parts = {
        "seconds": mine.seconds,
        "seconds of BASE": base.seconds_for(backlog),
        "requests an order of BASE": base.requests / max(1, base.orders),
    }
    return [requests, measured(Row.STRIPE_SOONER, base.seconds_for(backlog) / mine.seconds, note, parts=parts)]


async def _settle(bench: Bench, build: Build, *, seconds: float) -> _Settled:
    backlog = bench.scale.limited_backlog
    async with bench.world(build, limited=True) as world:
        await _place_orders(world, backlog, bench.scale.other_apps)
        await world.stripe.clear_traffic()
        async with world.operator(within_limits=True) as operator:
            led = time.perf_counter()

            async def is_over() -> bool:
                return await operator.fulfilled() >= backlog or time.perf_counter() - led >= seconds

            await operator.until(is_over, within=seconds + 60)
            took, settled = time.perf_counter() - led, round(await operator.fulfilled())
            traffic = (await world.stripe.traffic()).requests
    return _Settled(
        orders=settled,
        seconds=took,
        requests=len(traffic),
        rejected=sum(each.status == 429 for each in traffic),  # noqa: PLR2004 - too many requests
    )


async def _place_orders(world: World, mine: int, others: int) -> None:
    orders: list[PlayedOrder] = []
    for wave in range(_WAVES):
        orders += await play(world.stripe, Order(), _part(mine, wave))
        await play(world.stripe, Order(metadata={"app": "another"}), _part(others, wave))
    async with world.service() as service:
        await world.send(service.shots(orders))


def _part(count: int, wave: int) -> int:
    return count * (wave + 1) // _WAVES - count * wave // _WAVES
