"""The machines of the workloads: name resolution, log readers, disks, memory and clocks."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from faults.case import Case, NotPlayableError
from faults.ledger import failing
from faults.pod import Pod
from faults.world import Staging, World

_FOR = 15.0  # seconds
_MINUTES_APART = 600.0  # seconds
_FULL_FOR = 10.0
_KILLED_WITHIN = 30.0
_CGROUPS = Path("/sys/fs/cgroup")


async def no_names(world: World) -> None:
    """Let no name be found."""
    with world.names_unknown():
        await asyncio.sleep(_FOR)


async def service_log_stalls(world: World) -> None:
    """Let nobody read the service's log."""
    await _stall(world, world.service)


async def operator_log_stalls(world: World) -> None:
    """Let nobody read the operator's log."""
    await _stall(world, world.operators[0])


async def _stall(world: World, pod: Pod) -> None:
    with world.log_readers[pod.name].stalled():
        await asyncio.sleep(_FOR)


async def log_reader_gone(world: World) -> None:
    """Close the pipe that the operator's log goes to."""
    world.log_readers[world.operators[0].name].close()
    await asyncio.sleep(1)


async def disk_full(world: World) -> None:
    """Fill the disk that the operator's log is on, then make room."""
    filler = Path(f"/proc/{world.operators[0].pid}/root{world.log_disk}/filler")
    await asyncio.to_thread(_fill, filler)
    await asyncio.sleep(_FULL_FOR)
    with suppress(OSError):  # the operator was started again, on a new one
        await asyncio.to_thread(filler.unlink)


def _fill(filler: Path) -> None:
    with suppress(OSError), filler.open("wb", buffering=0) as file:  # until there is no room
        while file.write(b"\0" * 4096):
            pass


async def out_of_memory(world: World) -> None:
    """Give the operator no more memory than it has, and wait until the kernel kills it."""
    pod = world.operators[0]
    version_1 = _CGROUPS / "memory"
    parent = version_1 if version_1.is_dir() else _CGROUPS
    group = parent / f"faults-{os.getpid()}-{pod.pid}"
    restarts = pod.restarts
    try:
        group.mkdir()
    except OSError as error:
        raise NotPlayableError(f"no cgroup can be made here ({error.strerror})") from error
    try:
        limit = "memory.limit_in_bytes" if version_1.is_dir() else "memory.max"
        try:
            (group / limit).write_text(str(1 << 20))  # what it has already is not counted
            (group / "cgroup.procs").write_text(str(pod.pid))
        except OSError as error:
            raise NotPlayableError(f"no cgroup with a limit of memory can be made here ({error.strerror})") from error
        with suppress(TimeoutError):
            async with asyncio.timeout(_KILLED_WITHIN):
                while pod.restarts == restarts:  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.1)
        if pod.restarts == restarts:
            raise NotPlayableError("the operator took no more memory")
    finally:
        with suppress(OSError):
            (parent / "cgroup.procs").write_text(str(pod.pid))
        with suppress(OSError):
            group.rmdir()
    await world.leader()


async def clock_changes(world: World) -> None:
    """Let the backend fail, so that times to try again are written; then kill the leader: the next clock differs."""
    world.ledger.meet = failing
    await asyncio.sleep(5)
    leader = await world.leader()
    leader.kill()
    world.ledger.meet = None
    await world.next_leader(leader)


async def backend_fails(world: World) -> None:
    """Let the backend fail, so that times to try again are written and read."""
    world.ledger.meet = failing
    await asyncio.sleep(5)
    world.ledger.meet = None


CASES = (
    Case(name="no-names", what="no name is resolved for 15 s", play=no_names, staging=Staging(names=True)),
    Case(
        name="service-log-stalls",
        what="nobody reads the service's log for 15 s",
        play=service_log_stalls,
        staging=Staging(log_pipes=("service",)),
    ),
    Case(
        name="operator-log-stalls",
        what="nobody reads the operator's log for 15 s",
        play=operator_log_stalls,
        staging=Staging(log_pipes=("operator-0",)),
    ),
    Case(
        name="log-reader-gone",
        what="the reader of the operator's log ends",
        play=log_reader_gone,
        staging=Staging(log_pipes=("operator-0",)),
    ),
    Case(
        name="disk-full",
        what="the disk of the operator's log is full for 10 s",
        play=disk_full,
        staging=Staging(log_disk=True),
    ),
    Case(
        name="out-of-memory",
        what="the kernel kills the operator at its limit of memory",
        second_mails=1,
        play=out_of_memory,
    ),
    Case(
        name="clock-ahead",
        what="the leader's clock is 10 min ahead, the backend fails, and the next leader's clock is right",
        second_mails=1,
        play=clock_changes,
        staging=Staging(operators=2, clocks=(_MINUTES_APART, 0.0)),
    ),
    Case(
        name="clock-behind",
        what="the leader's clock is 10 min behind, the backend fails, and the next leader's clock is right",
        second_mails=1,
        play=clock_changes,
        staging=Staging(operators=2, clocks=(-_MINUTES_APART, 0.0)),
    ),
    Case(
        name="one-clock-ahead",
        what="the one operator's clock is 10 min ahead, and the backend fails",
        play=backend_fails,
        staging=Staging(clocks=(_MINUTES_APART,)),
    ),
    Case(
        name="one-clock-behind",
        what="the one operator's clock is 10 min behind, and the backend fails",
        play=backend_fails,
        staging=Staging(clocks=(-_MINUTES_APART,)),
    ),
)
