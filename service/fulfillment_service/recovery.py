"""Brings in the events that the webhook did not: lists them at Stripe, and puts each through the webhook's own code."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import structlog

from fulfillment_api.recovery import RunResult
from fulfillment_service.event import Event
from fulfillment_service.record import NotRecordedError, Outcome, Trouble
from fulfillment_service.refusals import RefusedError
from fulfillment_service.stripe_events import Page
from fulfillment_service.time_window import Window
from fulfillment_service.translate import Filters, Ignored, Wanted, translate

_log = structlog.get_logger(__name__)

Result = Outcome | Ignored | Trouble
"""What became of an event. `Trouble.BLOCKED` waits for a person."""


class EventList(Protocol):
    """Lists events, newest first."""

    async def page(self, window: Window, after: str | None = None) -> Page:
        """List the newest events of a stretch of time, or the newest that are older than one."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The events of a thin stretch of time."""

    window: Window
    events: tuple[Event, ...]
    """Oldest first."""


async def oldest_first(listing: EventList, window: Window) -> AsyncIterator[Slice]:
    """List the events of a window, oldest first, no more than a slice in memory.

    A slice that is more than one page is cut in two, and the page forgotten; only one of a second is read page by
    page, since it cannot be cut. So a quiet window is one request, and a full one at most two for each page, beside
    some for the way down to it.
    """
    ahead = [window] if window.start < window.end else []
    while ahead:
        now = ahead.pop()
        page = await listing.page(now)
        if page.has_more and (halves := now.halves()):
            ahead += reversed(halves)
            continue
        events = list(page.events)
        while page.has_more:
            page = await listing.page(now, after=events[-1].id)
            events += page.events
        yield Slice(now, tuple(reversed(events)))


@dataclass(slots=True)
class Tally:
    """What a run found, and what became of it."""

    results: Counter[StrEnum] = field(default_factory=Counter)

    @property
    def found(self) -> int:
        """How many events Stripe listed."""
        return self.results.total()

    @property
    def failed(self) -> int:
        """How many wait for a person."""
        return self.results[Trouble.BLOCKED]

    @property
    def result(self) -> RunResult:
        """The same without reasons."""
        return RunResult(
            created=self.results[Outcome.CREATED],
            updated=self.results[Outcome.UPDATED],
            unchanged=self.results[Outcome.UNCHANGED],
            ignored=sum(self.results[reason] for reason in Ignored),
            failed=self.failed,
        )

    def __str__(self) -> str:
        """Say it in a line."""
        reasons = ", ".join(f"{self.results[each]} {each}" for each in Ignored if self.results[each])
        ignored = f"{self.result.ignored} ignored" + (f" ({reasons})" if reasons else "")
        made = ", ".join(f"{self.results[each]} {each}" for each in Outcome)
        return f"{self.found} found: {made}, {ignored}, {self.failed} failed"


@dataclass(slots=True, kw_only=True)
class Recovery:
    """One run over the events of one account."""

    listing: EventList
    filters: Filters
    put: Callable[[Wanted], Awaitable[Outcome | Ignored]]
    """Records what an event asks for, or only tells what recording it would change; may raise NotRecordedError."""
    reached: Callable[[int], Awaitable[None]]
    """Is told, after each slice, up to when all events are seen to. Once one failed it is told no more: the next run
    begins there."""
    tally: Tally
    """Is added to."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone."""

    async def run(self, window: Window) -> bool:
        """See to all events of a window, oldest first.

        Returns:
            Whether nothing is left behind.

        Raises:
            StripeUnavailableError: Stripe cannot be asked.
            StripeMisconfiguredError: Stripe refuses the API key.
            NotRecordedError: the API server does not take them now.
        """
        whole = True
        async for part in oldest_first(self.listing, window):
            for event in part.events:
                result = await self._handle(event)
                self.tally.results[result] += 1
                whole = whole and result is not Trouble.BLOCKED
            if part.events:
                _log.info("recovery.progress", window=str(part.window), tally=str(self.tally))
            if whole:
                await self.reached(part.window.end)
        return whole

    async def _handle(self, event: Event) -> Result:
        log = _log.bind(event_id=event.id, type=event.type)
        try:
            wanted = translate(event, self.filters, observed_at=self.clock())
            if isinstance(wanted, Ignored):
                log.info("recovery.ignored", reason=wanted, session=event.session.id)
                return wanted
            log = log.bind(**wanted.names)
            outcome = await self.put(wanted)
        except RefusedError as error:
            log.error("recovery.failed", message=str(error))  # noqa: TRY400 - the message says it all
            return Trouble.BLOCKED
        except NotRecordedError as error:
            if error.trouble is Trouble.UNAVAILABLE:
                raise
            log.error("recovery.failed", message=str(error))  # noqa: TRY400 - likewise
            return error.trouble
        log.info("recovery.handled", outcome=outcome)
        return outcome
