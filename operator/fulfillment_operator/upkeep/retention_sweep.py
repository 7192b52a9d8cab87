"""Trims finished orders, and deletes those that need no longer be kept, slowly, while this operator leads."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiolimiter
import structlog
from prometheus_client import CollectorRegistry, Counter

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Status
from fulfillment_operator.policy.retention import FINISHED, is_expired, trimmed
from fulfillment_runtime.backoff import jittered
from fulfillment_runtime.kubernetes.errors import ConflictError, KubernetesError, NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient

_log = structlog.get_logger(__name__)

_PAGE_TIMEOUT = 30.0  # seconds


class RetentionMetrics:
    """What became of finished orders. No label is an object's name; every label set exists from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.deleted = Counter(
            "fulfillment_requests_deleted_total",
            "Finished requests that were deleted because their retention was over.",
            ["phase"],
            registry=registry,
        )
        self.trimmed = Counter(
            "fulfillment_requests_trimmed_total",
            "Finished requests of which line items and repetitions were removed, since they ended long ago.",
            ["phase"],
            registry=registry,
        )
        self.failures = Counter(
            "fulfillment_retention_failures_total",
            "Sweeps for finished requests to trim or delete that the Kubernetes API ended early.",
            registry=registry,
        )
        for phase in FINISHED:
            self.deleted.labels(phase)
            self.trimmed.labels(phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSweep:
    """Lists all finished orders again and again, trims each once, and deletes those that are expired."""

    requests: FulfillmentRequestClient
    retention: timedelta
    """How long they are kept after their end; 0: for ever."""
    initial_delay: timedelta
    """Before the first sweep: soon, for an operator may lead for an hour only, again and again."""
    interval: timedelta
    """Between two sweeps. Each wait, the first as well, is between half of its time and all of it."""
    writes_per_second: float
    """Deletions and trimmings: one of each an order, and there is no hurry."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone."""
    random: Callable[[], float]
    """Draws from [0, 1)."""
    metrics: RetentionMetrics

    async def run(self) -> None:
        """Trim what is old and delete what is expired, for ever. What fails is logged, counted, and done next time."""
        for wait in itertools.chain([self.initial_delay], itertools.repeat(self.interval)):
            await asyncio.sleep(jittered(wait, self.random).total_seconds())
            try:
                await self.sweep()
            except KubernetesError as error:
                self.metrics.failures.inc()
                _log.warning("retention.sweep_failed", message=str(error))

    async def sweep(self) -> None:
        """Trim what is old by now, and delete what is expired.

        Raises:
            KubernetesError: the API server is away, or does not allow it.
        """
        rate = aiolimiter.AsyncLimiter(1, 1 / self.writes_per_second)
        for phase in FINISHED:
            deleted = shortened = 0
            async for page in self.requests.list_pages(phase=phase, timeout=_PAGE_TIMEOUT):
                for request in (listed.request for listed in page if listed.request is not None):
                    now = self.clock()
                    if self.retention and is_expired(request, now, self.retention):
                        async with rate:
                            deleted += await self._delete(request, phase)
                    elif (rest := trimmed(request, now)) is not None:
                        async with rate:
                            shortened += await self._trim(request, rest, phase)
            if deleted or shortened:
                _log.info("retention.swept", phase=phase, deleted=deleted, trimmed=shortened)

    async def _delete(self, request: FulfillmentRequest, phase: Phase) -> bool:
        try:
            await self.requests.delete_if_unchanged(request)
        except (ConflictError, NotFoundError):  # it changed, or someone else deleted it
            return False
        self.metrics.deleted.labels(phase).inc()
        return True

    async def _trim(self, request: FulfillmentRequest, rest: Status, phase: Phase) -> bool:
        try:
            await self.requests.patch_status_if_unchanged(request, rest)
        except (ConflictError, NotFoundError):  # likewise
            return False
        self.metrics.trimmed.labels(phase).inc()
        return True
