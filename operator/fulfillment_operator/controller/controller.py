"""Keeps what the watch brings, and lets workers reconcile what is due: each request by one worker at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import HELD, Manual, Phase
from fulfillment_operator.checkout.session_list import Due
from fulfillment_operator.controller.cached_request import CachedRequest
from fulfillment_operator.controller.deleted_unfinished import tell_deleted_unfinished
from fulfillment_operator.controller.health import Health
from fulfillment_operator.controller.reconciler import Reconciler, Result, Standing
from fulfillment_operator.controller.workqueue import WorkQueue
from fulfillment_operator.metrics import ErrorKind, OperatorMetrics, RequestLevel
from fulfillment_operator.policy.next_step import (
    EndManually,
    RequeueState,
    Settled,
    ShowPaused,
    Step,
    Wait,
    is_urgent,
)
from fulfillment_operator.policy.retention import FINISHED
from fulfillment_runtime.backoff import Backoff

_log = structlog.get_logger(__name__)


class NextStep(Protocol):
    """`next_step` of `policy`, with the settings bound."""

    def __call__(self, request: FulfillmentRequest, now: datetime, state: RequeueState, /) -> Step:
        """Tell what a request needs next."""


@dataclass(slots=True)
class _Entry:
    cached: CachedRequest
    state: RequeueState


class Controller:
    """The requests that are not fulfilled, by name, and the queue of those that are due.

    A status that the operator wrote comes back from the watch; it has the version that was written, so it is
    known and calls for nothing.
    """

    def __init__(  # noqa: PLR0913 - what decides, what acts, and what makes it exact
        self,
        reconciler: Reconciler,
        *,
        next_step: NextStep,
        exists: Callable[[FulfillmentRequest], Awaitable[bool]],
        backoff: Backoff,
        health: Health,
        clock: Callable[[], datetime],
        metrics: OperatorMetrics,
    ) -> None:
        """Make a controller.

        Args:
            reconciler: executes the steps.
            next_step: tells them.
            exists: tells whether a request is in the cluster, should the watch have missed that it was deleted.
            backoff: between two reconciles that failed in a way that nobody foresaw.
            health: is told when a worker begins with an order, and ends.
            clock: tells the time, with its zone and its fractions of a second.
            metrics: counts.
        """
        self._reconciler = reconciler
        self._next_step = next_step
        self._exists = exists
        self._backoff = backoff
        self._health = health
        self._clock = clock
        self._metrics = metrics
        self._entries: dict[str, _Entry] = {}
        self._undecodable: dict[str, str] = {}
        self._queue = WorkQueue()

    def requests(self) -> Iterable[CachedRequest]:
        """Return the requests that are not fulfilled."""
        return (entry.cached for entry in self._entries.values())

    def levels(self) -> Iterable[RequestLevel]:
        """Tell as what each of them is counted."""
        return (entry.cached.level for entry in self._entries.values())

    def undecodable(self) -> Mapping[str, str]:
        """Return the requests that do not decode, and that nothing is done for: name → uid."""
        return self._undecodable

    def awaiting_payment(self) -> list[CachedRequest]:
        """Return those that await their payment, and that nobody holds."""
        return [
            cached
            for cached in self.requests()
            if cached.level.phase == Phase.AWAITING_PAYMENT and cached.level.reason not in HELD
        ]

    def get(self, name: str) -> CachedRequest | None:
        """Return one of them; None: it is gone, or fulfilled."""
        entry = self._entries.get(name)
        return entry.cached if entry is not None else None

    def recheck(self, name: str) -> None:
        """Take in that Stripe says something else of an order that awaits its payment than it shows."""
        entry = self._entries.get(name)
        if entry is not None and not self._queue.is_working(name):  # else it is asked about right now
            entry.state = replace(entry.state, is_recheck_due=True)
            self._schedule(entry, entry.cached.unpack())

    def queue_depth(self) -> int:
        """Count the requests that wait for a worker."""
        return len(self._queue)

    def queued(self) -> Iterable[Due]:
        """Tell what those that wait for a worker need of Stripe, in their order."""
        return (self._entries[name].cached.due for name in self._queue if name in self._entries)

    def prefer(self, names: Iterable[str]) -> None:
        """Let some of those go first: what they need of Stripe is there."""
        self._queue.prefer(names)

    def observe(self, request: FulfillmentRequest) -> None:
        """Take in a request as the watch brought it."""
        meta = request.metadata
        self._undecodable.pop(meta.name, None)
        entry = self._entries.get(meta.name)
        if entry is not None and entry.cached.version >= int(meta.resource_version):
            return
        cached = CachedRequest.pack(request)
        if entry is None or entry.cached.uid != cached.uid:
            entry = self._entries[cached.name] = _Entry(cached, RequeueState(self._clock()))
        entry.cached = cached
        if not self._queue.is_working(cached.name):  # else the worker sees it when it is done
            self._schedule(entry, request)

    def observe_undecodable(self, name: str, uid: str, version: int) -> None:
        """Take in that a request does not decode: its name is all that is kept, so that a person is told.

        What was known of it would be worked on without end, since what is written of it does not come back.
        """
        entry = self._entries.get(name)
        if entry is not None and entry.cached.version > version:
            return
        self._undecodable[name] = uid
        self._entries.pop(name, None)
        self._queue.cancel(name)

    def forget(self, name: str, uid: str) -> None:
        """Take in that a request is fulfilled or deleted. One that was made anew under its name is another one."""
        if self._undecodable.get(name) == uid:
            del self._undecodable[name]
        entry = self._entries.get(name)
        if entry is not None and entry.cached.uid != uid:
            return
        if entry is not None and entry.cached.level.phase not in FINISHED and not self._queue.is_working(name):
            # Of one that is worked on the reconciler learns whether it is gone, or was fulfilled just now.
            tell_deleted_unfinished(entry.cached.unpack(), self._metrics)
        self._entries.pop(name, None)
        self._queue.cancel(name)

    @asynccontextmanager
    async def working(self, workers: int, grace: Callable[[], timedelta]) -> AsyncIterator[None]:
        """Let workers reconcile what is due while the context lasts.

        Should a worker fail in a way that nobody foresaw, the context is cancelled, and ends with an ExceptionGroup.

        Args:
            workers: how many.
            grace: tells, at its end, how long what they began has to end.
        """
        async with asyncio.TaskGroup() as group:
            tasks = {group.create_task(self._work()) for _ in range(workers)}
            try:
                yield
            finally:
                self.shut_down()
                _, unfinished = await asyncio.wait(tasks, timeout=grace().total_seconds())
                for task in unfinished:  # its idempotency key makes another try safe
                    _log.warning("controller.interrupted")
                    task.cancel()

    def shut_down(self) -> None:
        """Let workers end what they began, and begin nothing more."""
        self._queue.shut_down()

    async def _work(self) -> None:
        while (name := await self._queue.get()) is not None:
            try:
                entry = self._entries.get(name)
                if entry is not None:
                    self._health.begins()
                    request = entry.cached.unpack()
                    with structlog.contextvars.bound_contextvars(request=name, session=request.spec.session.id):
                        await self._process(entry, request)
            finally:
                self._health.ends()
                self._queue.done(name)

    async def _process(self, entry: _Entry, request: FulfillmentRequest) -> None:
        before = entry.state
        step = self._step(entry, request)
        if isinstance(step, Wait | Settled):  # since it was due, it may have been paused, or be about to be deleted
            self._schedule(entry, request)
            return
        try:
            result = await self._reconciler.reconcile(request, step, before, partial(self._stands, request))
        except Exception:  # noqa: BLE001 - one order must never stop the others
            self._metrics.errors.labels(ErrorKind.UNEXPECTED).inc()
            delay = self._backoff.delay(before.failures + 1)
            _log.exception("controller.reconcile_failed", again_after=delay.total_seconds())
            result = Result(request, retry_after=delay)
        self._settle(request, before, result)

    async def _stands(self, request: FulfillmentRequest) -> Standing:
        """Tell what became of a request that is worked on."""
        if self._undecodable.get(request.metadata.name) == request.metadata.uid:
            return Standing.SUPERSEDED
        entry = self._entries.get(request.metadata.name)
        if entry is None or entry.cached.uid != request.metadata.uid or entry.cached.is_deleted:
            return Standing.GONE
        changed = entry.cached.version > int(request.metadata.resource_version)
        if changed and isinstance(self._step(entry, entry.cached.unpack()), ShowPaused | EndManually):
            return Standing.SUPERSEDED
        return Standing.STANDS if await self._exists(request) else Standing.GONE

    def _settle(self, reconciled: FulfillmentRequest, before: RequeueState, result: Result) -> None:
        """Remember what a reconcile left, unless the request changed meanwhile."""
        name, uid, left = reconciled.metadata.name, reconciled.metadata.uid, result.request
        if left is None:
            self.forget(name, uid)
        entry = self._entries.get(name)
        is_gone = entry is None or entry.cached.uid != uid
        if is_gone and left is not None and self._undecodable.get(name) != uid:
            tell_deleted_unfinished(left, self._metrics)
        if entry is None:
            return
        if left is not None and entry.cached.version <= int(left.metadata.resource_version):
            entry.cached = CachedRequest.pack(left)
            entry.state = result.requeue_state(before, self._clock())
            if _was_changed(reconciled, left):  # and the status was written over that: it is not as it was left
                entry.state = replace(entry.state, resource_version="")
            self._schedule(entry, left)
        else:
            self._schedule(entry, entry.cached.unpack())

    def _schedule(self, entry: _Entry, request: FulfillmentRequest) -> None:
        name = entry.cached.name
        match self._step(entry, request):
            case Settled():
                self._queue.cancel(name)
                if entry.cached.level.phase != Phase.FULFILLED:  # such a one is forgotten at once
                    entry.cached = entry.cached.compressed()
            case Wait(until):
                entry.cached = entry.cached.compressed()
                self._queue.add_after(name, (until - self._clock()).total_seconds(), urgent=is_urgent(request))
            case _:
                self._queue.add(name, urgent=is_urgent(request))

    def _step(self, entry: _Entry, request: FulfillmentRequest) -> Step:
        return self._next_step(request, self._clock(), entry.state)


def _was_changed(reconciled: FulfillmentRequest, left: FulfillmentRequest) -> bool:
    """Tell whether anybody else changed a request while it was reconciled."""
    return (reconciled.metadata.generation, reconciled.metadata.annotations, _manual(reconciled)) != (
        left.metadata.generation,
        left.metadata.annotations,
        _manual(left),
    )


def _manual(request: FulfillmentRequest) -> Manual | None:
    return request.status.manual if request.status else None
