"""Backfills the events that the webhook missed: lists them at Stripe, and handles each as the webhook does."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import structlog

from fulfillment_api.recovery import RunResult
from fulfillment_service.events.event import parse_event
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rejections import EventRejectedError
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.translate import PaymentHint, ReversalHint, SpecChange, translate
from fulfillment_service.recovery.event_list import Listed, Page
from fulfillment_service.recovery.time_window import Window
from fulfillment_service.request_store import NotRecordedError, NotRecordedReason, OperationResult

_log = structlog.get_logger(__name__)

EventResult = OperationResult | Ignored | NotRecordedReason
"""What became of an event. `NotRecordedReason.BLOCKED` waits for a person."""


class EventList(Protocol):
    """Lists events, newest first."""

    async def page(self, window: Window, after: str | None = None) -> Page:
        """List the newest events of a stretch of time, or the newest that are older than one."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The events of a thin stretch of time."""

    window: Window
    events: tuple[Listed, ...]
    """Oldest first."""


async def oldest_first(event_list: EventList, window: Window) -> AsyncIterator[Slice]:
    """List the events of a window, oldest first, no more than a slice in memory.

    A slice that is more than one page is cut in two, and the page forgotten; only one of a second is read page by
    page, since it cannot be cut. So a quiet window is one request, and a full one at most two for each page, beside
    some for the way down to it.
    """
    ahead = [window] if window.start < window.end else []
    while ahead:
        now = ahead.pop()
        page = await event_list.page(now)
        if page.has_more and (halves := now.halves()):
            ahead += reversed(halves)
            continue
        events = list(page.events)
        while page.has_more:
            page = await event_list.page(now, after=page.last_id)
            events += page.events
        yield Slice(now, tuple(reversed(events)))


@dataclass(slots=True)
class Summary:
    """What a run found, and what became of it."""

    results: Counter[StrEnum] = field(default_factory=Counter)

    @property
    def found(self) -> int:
        """How many events Stripe listed."""
        return self.results.total()

    @property
    def failed(self) -> int:
        """How many wait for a person."""
        return self.results[NotRecordedReason.BLOCKED]

    @property
    def result(self) -> RunResult:
        """The same without the reasons to ignore events."""
        return RunResult(
            created=self.results[OperationResult.CREATED],
            updated=self.results[OperationResult.UPDATED],
            unchanged=self.results[OperationResult.UNCHANGED],
            ignored=sum(self.results[reason] for reason in Ignored),
            failed=self.failed,
        )

    def __str__(self) -> str:
        """Format it as the line that a run ends with."""
        reasons = ", ".join(f"{self.results[each]} {each}" for each in Ignored if self.results[each])
        ignored = f"{self.result.ignored} ignored" + (f" ({reasons})" if reasons else "")
        made = ", ".join(f"{self.results[each]} {each}" for each in OperationResult)
        return f"{self.found} found: {made}, {ignored}, {self.failed} failed"


@dataclass(slots=True, kw_only=True)
class Backfill:
    """Handles the events of one account."""

    event_list: EventList
    rules: EventRules
    record: Callable[[SpecChange], Awaitable[OperationResult | Ignored]]
    """Records what an event changes, or only returns what that would change; may raise NotRecordedError."""
    save_progress: Callable[[int], Awaitable[None]]
    """Saves, after each slice, up to when all events are handled, in Unix time. Once one failed it is called no more:
    the next run starts there."""
    summary: Summary
    """Is added to."""
    handled: Callable[[int], None] = lambda _count: None
    """Is told of how many events more something became."""
    clock: Callable[[], datetime]
    """Returns the time, with its zone."""

    async def run(self, window: Window) -> bool:
        """Handle all events of a window, oldest first.

        Returns:
            Whether nothing is left behind.

        Raises:
            StripeUnavailableError: Stripe cannot be asked.
            StripeMisconfiguredError: Stripe denies the API key.
            NotRecordedError: the API server does not take them now.
        """
        complete = True
        async for part in oldest_first(self.event_list, window):
            for event in part.events:
                result = await self._handle(event)
                self.summary.results[result] += 1
                self.handled(1)
                complete = complete and result is not NotRecordedReason.BLOCKED
            if part.events:
                _log.info("recovery.progress", window=str(part.window), events=self.summary.found)
            if complete:
                await self.save_progress(part.window.end)
        return complete

    async def _handle(self, listed: Listed) -> EventResult:
        log = _log if isinstance(listed, EventRejectedError) else _log.bind(event_id=listed.id, type=listed.type)
        try:
            if isinstance(listed, EventRejectedError):
                raise listed
            event = parse_event(listed)
            log = log.bind(**event.subject)
            change = translate(event, self.rules, observed_at=self.clock())
            if isinstance(change, Ignored):
                log.info("recovery.ignored", reason=change)
                return change
            if not isinstance(change, PaymentHint | ReversalHint):
                log = log.bind(request=change.name)
            result = await self.record(change)
        except EventRejectedError as error:
            log.error("recovery.failed", message=str(error))  # noqa: TRY400 - the message says it all
            return NotRecordedReason.BLOCKED
        except NotRecordedError as error:
            if error.reason is NotRecordedReason.UNAVAILABLE:
                raise
            log.error("recovery.failed", message=str(error))  # noqa: TRY400 - likewise
            return error.reason
        log.info("recovery.handled", outcome=result)
        return result
