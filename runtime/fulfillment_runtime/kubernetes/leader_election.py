"""Which of several processes works: the one that holds the Lease, as client-go's leaderelection has it.

A Lease fences nothing: for a moment two may believe to lead. That is why every effect has an idempotency key.
"""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.kubernetes.errors import ConflictError, KubernetesError
from fulfillment_runtime.kubernetes.leases import Lease, LeaseApi

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LeaderElectionConfig:
    """How long a Lease holds, and how it is renewed: client-go's LeaderElectionConfig.

    Shorter than its defaults, so that another leads within 15 seconds after the last renewal: a candidate sees that
    one up to a second late, waits for the duration, and looks again up to a second later.
    """

    lease_duration: timedelta = timedelta(seconds=13)
    """After which one that is not renewed is free."""
    renew_deadline: timedelta = timedelta(seconds=9)
    """After which a leader that could not renew leads no more: before anyone else may."""
    renew_period: timedelta = timedelta(seconds=2)
    """Between two renewals, which are writes."""
    retry_period: timedelta = timedelta(seconds=1)
    """Between two looks of a candidate, which are reads."""


def unique_identity() -> str:
    """Name this process as a holder of Leases, and no other."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class LeaderElector:
    """One candidate for the Lease."""

    def __init__(
        self, leases: LeaseApi, identity: str, *, config: LeaderElectionConfig, clock: Callable[[], datetime]
    ) -> None:
        """Make a candidate.

        Args:
            leases: the Lease.
            identity: this process, and no other.
            config: how long it holds, and how it is renewed.
            clock: tells the time that is written into the Lease. What others wrote there is compared with nothing:
                clocks differ, so a Lease is free when it was not seen to change for its duration.
        """
        self._leases = leases
        self._identity = identity
        self._config = config
        self._clock = clock
        self._observed: Lease | None = None
        self._observed_at = 0.0
        self._held_by_another = False
        self.has_lost = False
        """Whether the Lease could not be renewed in time: what is done from now on, another may do as well."""

    async def acquire(self) -> None:
        """Wait until this process leads."""
        while not await self._try_acquire_or_renew():  # noqa: ASYNC110 - others hold the Lease: there is no event to wait for
            await asyncio.sleep(self._config.retry_period.total_seconds())

    async def acquire_unless_held(self) -> bool:
        """Lead, or tell that another process does: it was seen to renew the Lease. One that died is waited for."""
        while not await self._try_acquire_or_renew():
            if self._held_by_another:
                return False
            await asyncio.sleep(self._config.retry_period.total_seconds())
        return True

    @asynccontextmanager
    async def held(self, lost: Callable[[UnavailableError], None]) -> AsyncIterator[None]:
        """Renew the Lease while the context lasts, and release it in the end, unless it was lost.

        Should renewing fail in a way that nobody foresaw, the context is cancelled, and ends with an ExceptionGroup.

        Args:
            lost: is called when it could not be renewed in time: the process must end at once.
        """
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew(lost))
                yield
                renewing.cancel()
        finally:
            if not self.has_lost:
                await self._release()

    async def _renew(self, lost: Callable[[UnavailableError], None]) -> None:
        renew_deadline, time = self._config.renew_deadline.total_seconds(), asyncio.get_running_loop().time
        with suppress(TimeoutError):
            async with asyncio.timeout(renew_deadline) as timeout:
                while True:
                    await asyncio.sleep(self._config.renew_period.total_seconds())
                    began = time()  # others may see the Lease renewed as early as that
                    if await self._try_acquire_or_renew():
                        timeout.reschedule(began + renew_deadline)
        self.has_lost = True
        lost(UnavailableError("the Lease could not be renewed in time: another may lead now"))

    async def _try_acquire_or_renew(self) -> bool:
        """Take or renew the Lease, if it is ours to take; tell whether this process leads."""
        now = self._clock()
        try:
            found = await self._leases.read()
            if found is not None and found.holder not in {"", self._identity} and not self._expired(found):
                return False
            ours = found is not None and found.holder == self._identity
            lease = Lease(
                holder=self._identity,
                duration=self._config.lease_duration,
                acquired=found.acquired if found is not None and ours else now,
                renewed=now,
                transitions=0 if found is None else found.transitions + (not ours),
                version=None if found is None else found.version,
            )
            await self._leases.write(lease)
        except KubernetesError as error:  # someone was quicker, or the API server is away: the next try tells
            _log.warning("leader_election.attempt_failed", message=str(error))
            return False
        return True

    def _expired(self, found: Lease) -> bool:
        now = asyncio.get_running_loop().time()
        if self._observed is None or self._observed.version != found.version:
            self._held_by_another = self._observed is not None
            self._observed, self._observed_at = found, now
        return now - self._observed_at >= found.duration.total_seconds()

    async def _release(self) -> None:
        """Let the next one lead at once, instead of after the duration."""
        try:
            while (found := await self._leases.read()) is not None and found.holder == self._identity:
                with suppress(ConflictError):  # a renewal that was under way came first: read it again
                    await self._leases.write(replace(found, holder="", duration=timedelta(seconds=1)))
                    return
        except KubernetesError as error:
            _log.warning("leader_election.release_failed", message=str(error))
