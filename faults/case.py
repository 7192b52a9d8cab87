"""What a case is, and how it is played to its end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from kubernetes.aio import client

from faults.verdict import Verdict
from faults.world import Staging, World, open_world
from fulfillment_local.control_plane import ControlPlane

_LOOK_EVERY = 0.5  # seconds
_SETTLED_WITHIN = 180.0  # seconds after the last event was taken
_NOT_THERE = (client.ApiException, OSError, TimeoutError)


class NotPlayableError(Exception):
    """This machine does not allow what the case needs; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A fault, and what it is played on."""

    name: str
    what: str
    """What happens, for the table."""
    play: Callable[[World], Awaitable[None]]
    """Lets it happen while orders come in; returns when it is over."""
    staging: Staging = field(default_factory=Staging)
    failover_within: float | None = None
    """Seconds within which another operator must lead; None: nobody asks."""
    two_may_lead: bool = False
    """Whether two operators may lead for a while."""
    second_mails: int | None = 0
    """How many mails may go twice: one for each time that an operator is killed; None: as many as a recovery brings in
    again, or two at work send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is sold."""

    orders: int
    seconds: float
    """In which they come in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of a case."""

    case: Case
    orders: int = 0
    verdict: Verdict | None = None
    """None: it was not played."""
    settled: float | None = None
    """Seconds from the fault's end until every order stood as it must; None: they never did."""
    failover: float | None = None
    """The longest time without a leader, in seconds."""
    two_led: bool = False
    """Whether two operators led at once."""
    restarts: int = 0
    note: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled or wrong, and another led in time; what could not be played is no fault."""
        if self.verdict is None:
            return self.note.startswith("not played")
        within = self.case.failover_within
        led = within is None or (self.failover is not None and self.failover <= within)
        most = self.case.second_mails
        once = most is None or self.verdict.second_mails <= most
        alone = self.case.two_may_lead or not self.two_led
        return self.verdict.is_clean and self.settled is not None and led and once and alone


async def play(case: Case, control_plane: ControlPlane, scale: Scale, *, seed: int = 1) -> Row:
    """Play a case to its end, in a namespace of its own."""
    async with open_world(
        control_plane, case.staging, f"shop-{case.name}", orders=scale.orders, seconds=scale.seconds, seed=seed
    ) as world:
        loop = asyncio.get_running_loop()
        selling = asyncio.create_task(world.sale.run())
        watching = asyncio.create_task(world.watch_leaders())
        try:
            await asyncio.sleep(scale.seconds / 4)
            try:
                await case.play(world)
            except NotPlayableError as error:
                return Row(case=case, note=f"not played: {error}")
            over = loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(scale.seconds + _SETTLED_WITHIN):
                    await selling
                    settled_at = await _settled(world, loop)
                    return _row(case, world, await world.verdict(), max(0.0, settled_at - over))
            return _row(case, world, await world.verdict(), None)
        finally:
            selling.cancel()
            watching.cancel()
            await asyncio.gather(selling, watching, return_exceptions=True)


async def _settled(world: World, loop: asyncio.AbstractEventLoop) -> float:
    while True:
        with suppress(*_NOT_THERE):
            verdict = await world.verdict()
            if verdict.is_clean or verdict.doubled:  # what is doubled stays so
                return loop.time()
        await asyncio.sleep(_LOOK_EVERY)


def _row(case: Case, world: World, verdict: Verdict, settled: float | None) -> Row:
    led = ["two operators led at once"] if world.two_led else []
    note = "; ".join([*led, *sorted(set(verdict.wrong.values()))[:3]])
    return Row(
        case=case,
        orders=world.sale.sold,
        verdict=verdict,
        settled=settled,
        two_led=world.two_led,
        failover=max(world.failovers, default=None),
        restarts=sum(pod.restarts for pod in [world.service, *world.operators]),
        note=note,
    )
