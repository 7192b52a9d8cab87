"""The service and the operator are killed, stopped, and at work twice."""

import asyncio

from aiohttp import web

from faults.case import Case
from faults.world import Staging, World

_FAILOVER_WITHIN = 15.0  # seconds
"""As docs/reliability.md promises it."""
_ENDS_WITHIN = 40.0  # seconds: a pod has 30


async def nothing(_world: World) -> None:
    """Let nothing happen."""


async def service_killed(world: World) -> None:
    """Kill the service, again as soon as it is back."""
    for _ in range(3):
        world.service.kill()
        await asyncio.sleep(0.1)
        await world.service.ready()
        await asyncio.sleep(0.5)


async def operator_killed(world: World) -> None:
    """Kill the one operator; it comes back, and waits until its former Lease runs out."""
    (await world.leader()).kill()
    await asyncio.sleep(1)
    await world.leader()


async def leader_killed(world: World) -> None:
    """Kill the leader of two."""
    leader = await world.leader()
    leader.kill()
    await world.next_leader(leader)


async def leader_stopped(world: World) -> None:
    """Stop the leader of two in good order."""
    leader = await world.leader()
    leader.terminate()
    await world.next_leader(leader)
    async with asyncio.timeout(_ENDS_WITHIN):
        while not leader.restarts:  # noqa: ASYNC110 - the process tells nobody
            await asyncio.sleep(0.1)


async def killed_before_the_note(world: World) -> None:
    """Kill the operator when the shop has an order, and before it has heard so."""
    has_it = asyncio.Event()

    async def meet(_request: web.Request, _key: str) -> web.Response | None:
        world.ledger.meet = None
        (await world.leader()).kill()
        has_it.set()
        await asyncio.sleep(0.5)
        return None

    world.ledger.meet = meet
    await has_it.wait()
    await asyncio.sleep(1)
    await world.leader()


async def two_leaders(world: World) -> None:
    """Stop the leader's clock until another one leads, and let both go on."""
    leader = await world.leader()
    leader.suspend()
    await world.next_leader(leader)
    leader.resume()
    await asyncio.sleep(3)


CASES = (
    Case(name="baseline", what="nothing", play=nothing),
    Case(name="service-killed", what="the service is killed three times (SIGKILL)", play=service_killed),
    Case(name="operator-killed", what="the one operator is killed (SIGKILL)", second_mails=1, play=operator_killed),
    Case(
        name="leader-killed",
        what="the leader of two operators is killed (SIGKILL)",
        second_mails=1,
        play=leader_killed,
        staging=Staging(operators=2),
        failover_within=_FAILOVER_WITHIN,
    ),
    Case(
        name="leader-stopped",
        what="the leader of two operators is stopped in good order (SIGTERM)",
        play=leader_stopped,
        staging=Staging(operators=2),
        failover_within=3.0,
    ),
    Case(
        name="killed-before-the-note",
        what="the operator is killed when the shop has an order, before its status is written",
        second_mails=1,
        play=killed_before_the_note,
    ),
    Case(
        name="two-leaders",
        what="the leader's clock stands still (SIGSTOP) until another leads; then both go on",
        two_may_lead=True,
        second_mails=None,
        play=two_leaders,
        staging=Staging(operators=2),
    ),
)
