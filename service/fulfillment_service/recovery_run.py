"""One run of a recovery: where it begins, over which accounts it goes, and what it leaves for the next run."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import stripe
import structlog

from fulfillment_api.recovery import LAST_RESULT, LAST_SUCCESS, result_line
from fulfillment_runtime.exits import SettingsError, UnavailableError
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_configmaps import ConfigMapApi
from fulfillment_runtime.stripe_connection import StripeMisconfiguredError, StripeUnavailableError
from fulfillment_service.record import NotRecordedError, Outcome, foresee, record, until_taken
from fulfillment_service.recovery import Recovery, Tally
from fulfillment_service.recovery_progress import progress_in, progress_key, progress_line, success_in
from fulfillment_service.rehearsal import Rehearsal
from fulfillment_service.settings import RecoverSettings
from fulfillment_service.stripe_events import PAUSES, StripeEvents
from fulfillment_service.time_window import Progress, Window, beginning, time_line
from fulfillment_service.translate import Filters, Ignored, Wanted

_log = structlog.get_logger(__name__)

GOES_ON = "the next run goes on where this one stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a run is asked to do, and how patiently."""

    look_back: timedelta = timedelta(hours=72)
    """How far back events are listed: as long as Stripe sends them again by itself."""
    undelivered: bool = True
    """Whether only those are listed that Stripe could not deliver, or not yet."""
    dry_run: bool = False
    """Whether nothing is written."""
    patience: timedelta = timedelta(minutes=1)
    """How long the API server may be away before the run ends."""
    pauses: tuple[float, ...] = PAUSES
    """Seconds between the tries of one request to Stripe."""


@dataclass(frozen=True, slots=True)
class RecoveryRun:
    """One run over the events of every account."""

    settings: RecoverSettings
    filters: Filters
    wish: Wish
    stripe: stripe.StripeClient
    requests: KubernetesApi
    lines: ConfigMapApi
    """How far recoveries came, and what they found."""
    tally: Tally = field(default_factory=Tally)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def through(self) -> Tally:
        """See to the events of the key's own account, then to those of each connected account that is asked for.

        Raises:
            SettingsError: Stripe refuses the API key. Where that is for a connected account, the others are seen to.
            UnavailableError: Stripe or the API server is away for longer than patience lasts.
        """
        refused: list[StripeMisconfiguredError] = []
        try:
            lines = await self._patiently(self.lines.read)
            started = datetime.now(UTC)
            ended = [await self._account(None, lines, started)]
            for account in self.filters.accounts or ():
                try:
                    ended.append(await self._account(account, lines, started))
                except StripeMisconfiguredError as error:
                    refused.append(error)
            await self._finish([key for key in ended if key], started, whole=not refused and not self.tally.failed)
        except StripeMisconfiguredError as error:
            raise SettingsError(str(error)) from error
        except (StripeUnavailableError, NotRecordedError) as error:
            raise UnavailableError(f"{error}; {GOES_ON}") from error
        if refused:
            raise SettingsError("; ".join(map(str, refused)))
        return self.tally

    async def _account(self, account: str | None, lines: dict[str, str], started: datetime) -> str | None:
        """See to the events of one account; return the key of its progress, if nothing is left that needs it."""
        wish = self.wish
        key = progress_key(account, live=self.settings.key_is_live, undelivered=wish.undelivered)
        begin = beginning(wish.look_back, progress_in(lines, key), success_in(lines), now=started)
        window = Window(begin.reached, int(started.timestamp()))
        _log.info("recovery.started", window=str(window), account=account, undelivered=wish.undelivered)
        recovery = Recovery(
            listing=StripeEvents(
                self.stripe,
                account,
                undelivered=wish.undelivered,
                per_second=self.settings.stripe_requests_per_second,
                pauses=wish.pauses,
            ),
            filters=self.filters,
            put=Rehearsal(self._foresee).put if wish.dry_run else self._record,
            reached=partial(self._reached, key, begin.start),
            tally=self.tally,
            clock=lambda: datetime.now(UTC),
        )
        await self._reached(key, begin.start, window.start)  # should the first event fail, the next run begins there
        return key if await recovery.run(window) else None

    async def _finish(self, keys: list[str], started: datetime, *, whole: bool) -> None:
        """Note that the run came to its end: of lists that are seen to, the next one begins at its look-back."""
        changes: dict[str, str | None] = dict.fromkeys(keys)
        changes[LAST_RESULT] = result_line(self.tally.result)
        if whole:
            changes[LAST_SUCCESS] = time_line(int(started.timestamp()))
        await self._write(changes)
        _log.info("recovery.finished", tally=str(self.tally))

    async def _reached(self, key: str, start: int, reached: int) -> None:
        await self._write({key: progress_line(Progress(start, reached))})

    async def _write(self, changes: dict[str, str | None]) -> None:
        if not self.wish.dry_run:
            await self._patiently(partial(self.lines.write, changes))

    async def _record(self, wanted: Wanted) -> Outcome | Ignored:
        return await record(self.requests, wanted, turns=self.turns, deadline=self._deadline(), random=random.random)

    async def _foresee(self, wanted: Wanted) -> Outcome | Ignored:
        return await foresee(self.requests, wanted, turns=self.turns, deadline=self._deadline(), random=random.random)

    async def _patiently(self, attempt: Callable[[], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401 - as the attempt
        return await until_taken(attempt, turns=self.turns, deadline=self._deadline(), random=random.random)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.wish.patience.total_seconds()
