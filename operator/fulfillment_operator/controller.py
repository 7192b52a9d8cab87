"""Keeps what the watch brings, and lets workers look at what is due: each request by one worker at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.decide import LookAt, LookNow, Settled, is_urgent, when_to_look
from fulfillment_operator.metrics import OperatorMetrics, Trouble
from fulfillment_operator.reconcile import Looked, Pace, Reconciler
from fulfillment_operator.workqueue import WorkQueue

_log = structlog.get_logger(__name__)


class Controller:
    """The requests that are not fulfilled, by name, and the queue of those that are due.

    A status that the operator wrote comes back from the watch; it has the version that was written, so it is
    known and calls for nothing.
    """

    def __init__(
        self, reconciler: Reconciler, pace: Pace, clock: Callable[[], datetime], metrics: OperatorMetrics
    ) -> None:
        self._reconciler = reconciler
        self._pace = pace
        self._clock = clock
        self._metrics = metrics
        self._requests: dict[str, FulfillmentRequest] = {}
        self._failures: dict[str, int] = {}
        self._queue = WorkQueue()

    def requests(self) -> Iterable[FulfillmentRequest]:
        """Return the requests that are not fulfilled."""
        return self._requests.values()

    def queue_depth(self) -> int:
        """Count the requests that wait for a worker."""
        return len(self._queue)

    def observe(self, request: FulfillmentRequest) -> None:
        """Take in a request as the watch brought it."""
        name = request.metadata.name
        known = self._requests.get(name)
        if known is not None and _version(known) >= _version(request):
            return
        self._requests[name] = request
        if not self._queue.is_working(name):  # else the worker sees it when it is done
            self._schedule(request)

    def forget(self, name: str, uid: str) -> None:
        """Take in that a request is fulfilled or deleted. One that was made anew under its name is another one."""
        known = self._requests.get(name)
        if known is not None and known.metadata.uid != uid:
            return
        self._requests.pop(name, None)
        self._failures.pop(name, None)
        self._queue.cancel(name)

    @asynccontextmanager
    async def working(self, workers: int, grace: timedelta) -> AsyncIterator[None]:
        """Let workers look at what is due while the context lasts; at its end, what they began has `grace` to end.

        Should a worker fail in a way that nobody foresaw, the context is cancelled, and ends with an ExceptionGroup.
        """
        async with asyncio.TaskGroup() as group:
            tasks = {group.create_task(self._work()) for _ in range(workers)}
            try:
                yield
            finally:
                self._queue.close()
                _, unfinished = await asyncio.wait(tasks, timeout=grace.total_seconds())
                for task in unfinished:  # its idempotency key makes another try safe
                    _log.warning("controller.interrupted")
                    task.cancel()

    async def _work(self) -> None:
        while (name := await self._queue.take()) is not None:
            try:
                request = self._requests.get(name)
                if request is not None and not self._is_settled(request):
                    session = request.spec.session.id
                    with structlog.contextvars.bound_contextvars(request=name, session=session):
                        await self._look(request)
            finally:
                self._queue.finish(name)

    def _is_settled(self, request: FulfillmentRequest) -> bool:
        """Tell whether nothing is left to do: since it was due, it may have been held, or be about to be deleted."""
        return when_to_look(request, self._clock(), self._pace.recheck) == Settled()

    async def _look(self, request: FulfillmentRequest) -> None:
        name = request.metadata.name
        failures = self._failures.get(name, 0)
        try:
            looked = await self._reconciler.look(request, failures)
        except Exception:  # noqa: BLE001 - one order must never stop the others
            self._metrics.troubles.labels(Trouble.UNEXPECTED).inc()
            delay = self._pace.trouble.delay(failures + 1)
            _log.exception("controller.look_failed", again_after=delay.total_seconds())
            looked = Looked(request, delay, failures + 1)
        self._settle(request, looked)

    def _settle(self, request: FulfillmentRequest, looked: Looked) -> None:
        name = request.metadata.name
        if looked.request is None:
            self.forget(name, request.metadata.uid)
        known = self._requests.get(name)
        if known is None:
            return
        if looked.request is None or _version(known) > _version(looked.request):  # it changed meanwhile
            self._schedule(known)
            return
        self._requests[name] = looked.request
        self._failures[name] = looked.failures
        if looked.again_after is not None:
            self._queue.add_after(name, looked.again_after.total_seconds(), urgent=is_urgent(looked.request))

    def _schedule(self, request: FulfillmentRequest) -> None:
        name = request.metadata.name
        now = self._clock()
        match when_to_look(request, now, self._pace.recheck):
            case LookNow():
                self._queue.add(name, urgent=is_urgent(request))
            case LookAt(at):
                self._queue.add_after(name, (at - now).total_seconds(), urgent=is_urgent(request))
            case Settled():
                self._queue.cancel(name)


def _version(request: FulfillmentRequest) -> int:
    """Resource versions of one resource can be compared (Kubernetes, "Resource versions")."""
    return int(request.metadata.resource_version)
