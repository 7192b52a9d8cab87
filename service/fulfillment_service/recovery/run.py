"""One run of a recovery: where it starts, over which accounts it goes, and what it leaves for the next run."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from fulfillment_api.recovery import LAST_RESULT, LAST_SUCCESS, format_result
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.fatal_errors import SettingsError, UnavailableError
from fulfillment_runtime.kubernetes.access import fatal_error
from fulfillment_runtime.kubernetes.configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes.errors import KubernetesError
from fulfillment_runtime.stripe.client import StripeMisconfiguredError, StripeUnavailableError
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_service.api_retry import until_answered
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.translate import SpecChange
from fulfillment_service.recovery.backfill import Backfill, Summary
from fulfillment_service.recovery.checkpoint import (
    format_progress,
    parse_last_success,
    parse_progress,
    progress_key,
    success_key,
)
from fulfillment_service.recovery.dry_run import DryRun
from fulfillment_service.recovery.event_list import StripeEvents
from fulfillment_service.recovery.time_window import Progress, Window, format_time, start_point
from fulfillment_service.request_store import NotRecordedError, OperationResult, RequestStore
from fulfillment_service.settings import RecoverSettings

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_A_MINUTE = Backoff(timedelta(seconds=1), timedelta(seconds=32), random.random, attempts=7)

RESUMES = "the next run goes on where this one stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryOptions:
    """What a run does, and how long it waits for Stripe and for the API server."""

    look_back: timedelta = timedelta(hours=72)
    """How far back events are listed: as long as Stripe sends them again by itself."""
    undelivered: bool = True
    """Whether only those are listed that Stripe could not deliver, or not yet."""
    dry_run: bool = False
    """Whether nothing is written."""
    timeout: timedelta = timedelta(minutes=1)
    """How long the API server may be away before the run ends."""
    backoff: Backoff = _A_MINUTE
    """How often one request to Stripe is tried."""
    handled: Callable[[int], None] = lambda _count: None
    """Is told of how many events more something became."""


@dataclass(frozen=True, slots=True)
class RecoveryRun:
    """One run over the events of every account."""

    settings: RecoverSettings
    rules: EventRules
    options: RecoveryOptions
    stripe: StripeReader
    store: RequestStore
    checkpoint: ConfigMapApi
    """How far recoveries came, and what they found."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone."""
    summary: Summary = field(default_factory=Summary)

    async def run(self) -> Summary:
        """Handle the events of the key's own account, then those of each connected account whose events count.

        Raises:
            SettingsError: Stripe denies the API key. Where that is for a connected account, the others are handled.
            AccessDeniedError: RBAC forbids to note how far it came.
            UnavailableError: Stripe or the API server is away for longer than the timeout.
        """
        with bound_contextvars(dry_run=True) if self.options.dry_run else nullcontext():
            return await self._run()

    async def _run(self) -> Summary:
        denied: list[StripeMisconfiguredError] = []
        try:
            data = await self._retry(self.checkpoint.read)
            started = self.clock()
            finished = [await self._account(None, data, started)]
            for account in self.rules.filters.accounts or ():
                try:
                    finished.append(await self._account(account, data, started))
                except StripeMisconfiguredError as error:
                    denied.append(error)
            complete = not denied and not self.summary.failed
            await self._finish([key for key in finished if key], started, complete=complete)
        except StripeMisconfiguredError as error:
            raise SettingsError(str(error)) from error
        except (StripeUnavailableError, NotRecordedError) as error:
            raise UnavailableError(f"{error}; {RESUMES}") from error
        except KubernetesError as error:
            raise fatal_error(error, advice=f"; {RESUMES}") from error
        if denied:
            raise SettingsError("; ".join(map(str, denied)))
        return self.summary

    async def _account(self, account: str | None, data: dict[str, str], started: datetime) -> str | None:
        """Handle the events of one account; return the key of its progress, if nothing is left that needs it."""
        options = self.options
        key = progress_key(account, live=self.settings.key_is_live, undelivered=options.undelivered)
        point = start_point(options.look_back, parse_progress(data, key), parse_last_success(data, key), now=started)
        window = Window(point.reached, int(started.timestamp()))
        _log.info("recovery.started", window=str(window), account=account, undelivered=options.undelivered)
        backfill = Backfill(
            event_list=StripeEvents(
                self.stripe,
                account,
                undelivered=options.undelivered,
                backoff=options.backoff,
            ),
            rules=self.rules,
            record=DryRun(self._preview).record if options.dry_run else self._record,
            save_progress=partial(self._save_progress, key, point.start),
            summary=self.summary,
            handled=options.handled,
            clock=self.clock,
        )
        # Should the first event fail, the next run starts there.
        await self._save_progress(key, point.start, window.start)
        return key if await backfill.run(window) else None

    async def _finish(self, keys: list[str], started: datetime, *, complete: bool) -> None:
        """Write that the run came to its end: of lists that are handled, the next one starts at its look-back."""
        at = format_time(int(started.timestamp()))
        changes: dict[str, str | None] = dict.fromkeys(keys)
        changes |= dict.fromkeys(map(success_key, keys), at)
        changes[LAST_RESULT] = format_result(self.summary.result)
        if complete:
            changes[LAST_SUCCESS] = at
        await self._write(changes)
        _log.info("recovery.finished", **msgspec.structs.asdict(self.summary.result))

    async def _save_progress(self, key: str, start: int, reached: int) -> None:
        await self._write({key: format_progress(Progress(start, reached))})

    async def _write(self, changes: dict[str, str | None]) -> None:
        if not self.options.dry_run:
            await self._retry(partial(self.checkpoint.write, changes))

    async def _record(self, change: SpecChange) -> OperationResult | Ignored:
        return await self.store.record(change, deadline=self._deadline())

    async def _preview(self, change: SpecChange) -> OperationResult | Ignored:
        return await self.store.preview(change, deadline=self._deadline())

    async def _retry(self, attempt: Callable[[], Awaitable[T]]) -> T:
        return await until_answered(attempt, deadline=self._deadline(), random=random.random)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.options.timeout.total_seconds()
