"""Which of several processes works: the one that holds the Lease, as client-go's leaderelection has it.

A Lease fences nothing: for a moment two may believe to lead. That is why every effect has an idempotency key.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from fulfillment_runtime.exits import UnavailableError
from fulfillment_runtime.kubernetes_errors import KubernetesError
from fulfillment_runtime.kubernetes_leases import Lease, LeaseApi

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a Lease holds, and how it is kept. The defaults are client-go's."""

    duration: timedelta = timedelta(seconds=15)
    """After which one that is not renewed is free."""
    give_up: timedelta = timedelta(seconds=10)
    """After which a leader that could not renew leads no more: before anyone else may."""
    every: timedelta = timedelta(seconds=2)
    """Between two tries."""


class Leadership:
    """One candidate for the Lease."""

    def __init__(self, leases: LeaseApi, identity: str, *, terms: Terms, clock: Callable[[], datetime]) -> None:
        """Make a candidate.

        Args:
            leases: the Lease.
            identity: this process, and no other.
            terms: how long it holds.
            clock: tells the time that is written into the Lease. What others wrote there is compared with nothing:
                clocks differ, so a Lease is free when it was not seen to change for its duration.
        """
        self._leases = leases
        self._identity = identity
        self._terms = terms
        self._clock = clock
        self._seen: Lease | None = None
        self._seen_at = 0.0
        self._kept_by_another = False

    async def acquire(self) -> None:
        """Wait until this process leads."""
        while not await self._try():  # noqa: ASYNC110 - others hold the Lease: there is no event to wait for
            await asyncio.sleep(self._terms.every.total_seconds())

    async def acquire_unless_kept(self) -> bool:
        """Lead, or tell that another process does: it was seen to renew the Lease. One that died is waited for."""
        while not await self._try():
            if self._kept_by_another:
                return False
            await asyncio.sleep(self._terms.every.total_seconds())
        return True

    @asynccontextmanager
    async def kept(self, lost: Callable[[UnavailableError], None]) -> AsyncIterator[None]:
        """Renew the Lease while the context lasts, and free it in the end.

        Should renewing fail in a way that nobody foresaw, the context is cancelled, and ends with an ExceptionGroup.

        Args:
            lost: is called when it could not be renewed in time: the process must end at once.
        """
        try:
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(self._keep(lost))
                yield
                keeping.cancel()
        finally:
            await self._free()

    async def _keep(self, lost: Callable[[UnavailableError], None]) -> None:
        give_up, time = self._terms.give_up.total_seconds(), asyncio.get_running_loop().time
        with suppress(TimeoutError):
            async with asyncio.timeout(give_up) as patience:
                while True:
                    await asyncio.sleep(self._terms.every.total_seconds())
                    began = time()  # others may see the Lease renewed as early as that
                    if await self._try():
                        patience.reschedule(began + give_up)
        lost(UnavailableError("the Lease could not be renewed in time: another may lead now"))

    async def _try(self) -> bool:
        """Take or renew the Lease, if it is ours to take; tell whether this process leads."""
        now = self._clock()
        try:
            found = await self._leases.read()
            if found is not None and found.holder not in {"", self._identity} and not self._expired(found):
                return False
            ours = found is not None and found.holder == self._identity
            lease = Lease(
                holder=self._identity,
                duration=self._terms.duration,
                acquired=found.acquired if found is not None and ours else now,
                renewed=now,
                transitions=0 if found is None else found.transitions + (not ours),
                version=None if found is None else found.version,
            )
            await self._leases.write(lease)
        except KubernetesError as error:  # someone was quicker, or the API server is away: the next try tells
            _log.warning("leadership.try_failed", message=str(error))
            return False
        return True

    def _expired(self, found: Lease) -> bool:
        now = asyncio.get_running_loop().time()
        if self._seen is None or self._seen.version != found.version:
            self._kept_by_another = self._seen is not None
            self._seen, self._seen_at = found, now
        return now - self._seen_at >= found.duration.total_seconds()

    async def _free(self) -> None:
        """Let the next one lead at once, instead of after the duration."""
        try:
            found = await self._leases.read()
            if found is not None and found.holder == self._identity:
                await self._leases.write(replace(found, holder="", duration=timedelta(seconds=1)))
        except KubernetesError as error:
            _log.warning("leadership.not_freed", message=str(error))
