"""Writes Events in the background, while there is room: no order waits for one, nor for the API server's sake.

As client-go's EventBroadcaster. A backlog would make an Event of each order, a third write beside its create and its
status, and nobody reads thousands. So those of type Normal are written within a rate that a shop does not reach;
Warnings always, unless the API server cannot keep up. What is not written stands in the log and the metrics.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from fulfillment_operator.controller.event_correlator import EventCorrelator, RecordedEvent
from fulfillment_operator.controller.event_queue import EventQueue
from fulfillment_operator.metrics import EventDropCause, OperatorMetrics
from fulfillment_runtime.backoff import Backoff, retry
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError, KubernetesError
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.events import EventType
from fulfillment_runtime.token_bucket import TokenBucket

_log = structlog.get_logger(__name__)

NORMAL_EVENTS_PER_SECOND = 5.0
"""More than two orders a second that go through two phases each; a twentieth of a backlog at 100 orders a second."""
NORMAL_EVENTS_BURST = 10
_QUEUE_CAPACITY = 1000  # as client-go's


class EventBroadcaster:
    """Takes Events in at once, and writes them one after the other."""

    def __init__(
        self,
        sink: EventSink,
        *,
        backoff: Backoff,
        clock: Callable[[], float],
        random: Callable[[], float],
        metrics: OperatorMetrics,
    ) -> None:
        """Make a broadcaster that writes nothing yet.

        Args:
            sink: writes them.
            backoff: between two tries while the API server is away; it says how many there are.
            clock: tells seconds from any moment on; it never goes back.
            random: draws from [0, 1).
            metrics: counts what is dropped.
        """
        self._sink = sink
        self._backoff = backoff
        self._metrics = metrics
        self._room = TokenBucket(burst=NORMAL_EVENTS_BURST, per_second=NORMAL_EVENTS_PER_SECOND, clock=clock)
        self._queue = EventQueue(_QUEUE_CAPACITY)
        self._correlator = EventCorrelator(clock=clock, random=random)
        self._changed = asyncio.Event()
        self._ending = False

    def enqueue(self, event: RecordedEvent) -> None:
        """Take an Event in, to be written soon if there is room."""
        if event.type is EventType.NORMAL and not self._room.try_accept():
            self._drop(event, EventDropCause.RATE)
            return
        dropped = self._queue.put(event)
        if dropped is not None:
            self._drop(dropped, EventDropCause.QUEUE_FULL)
        self._changed.set()

    @asynccontextmanager
    async def writing(self, grace: timedelta) -> AsyncIterator[None]:
        """Write what is taken in while the context lasts; at its end, what waits has `grace` to be written."""
        task = asyncio.create_task(self._write_all())
        try:
            yield
        finally:
            self._ending = True
            self._changed.set()
            await asyncio.wait({task}, timeout=grace.total_seconds())
            if task.cancel():
                await asyncio.wait({task})
            while self._queue:
                self._drop(self._queue.pop(), EventDropCause.SHUTDOWN)

    async def _write_all(self) -> None:
        while True:
            while self._queue:
                await self._write(self._queue.pop())
            if self._ending:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _write(self, recorded: RecordedEvent) -> None:
        event = self._correlator.correlate(recorded)
        if event is None:
            self._drop(recorded, EventDropCause.SPAM)
            return
        try:
            await retry(lambda: self._sink.write(event), on=ApiUnavailableError, backoff=self._backoff)
        except KubernetesError as error:  # an Event is for people; the status has the fact
            self._drop(recorded, EventDropCause.ERROR)
            _log.warning("order.event_not_written", request=event.request, reason=event.reason, message=str(error))
        except Exception:  # noqa: BLE001 - likewise: no Event must stop the others
            self._drop(recorded, EventDropCause.ERROR)
            _log.exception("order.event_not_written", request=event.request, reason=event.reason)
        except asyncio.CancelledError:
            self._drop(recorded, EventDropCause.SHUTDOWN)
            raise

    def _drop(self, event: RecordedEvent, cause: EventDropCause) -> None:
        self._metrics.events_dropped.labels(event.type, cause).inc()
