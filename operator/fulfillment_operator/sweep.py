"""Deletes the finished orders that need no longer be kept, slowly, while this operator leads."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiolimiter
import structlog
from kubernetes.aio import client
from prometheus_client import CollectorRegistry, Counter

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_operator.retention import FINISHED, may_go
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_errors import KubernetesError, RequestChangedError, RequestGoneError
from fulfillment_runtime.kubernetes_listing import pages

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
        self.failures = Counter(
            "fulfillment_retention_failures_total",
            "Looks for finished requests to delete that the Kubernetes API cut short.",
            registry=registry,
        )
        for phase in FINISHED:
            self.deleted.labels(phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Looks through all finished orders again and again."""

    api: client.ApiClient
    kubernetes: KubernetesApi
    namespace: str
    retention: timedelta
    first_after: timedelta
    """Before the first look: soon, for an operator may lead for an hour only, again and again."""
    every: timedelta
    """Between two looks. Each wait, the first as well, is between half of its time and all of it."""
    deletions_per_second: float
    clock: Callable[[], datetime]
    """Tells the time, with its zone."""
    random: Callable[[], float]
    """Draws from [0, 1)."""
    metrics: RetentionMetrics

    async def run(self) -> None:
        """Delete what may go, for ever. What fails is logged, counted, and done at the next look."""
        for wait in itertools.chain([self.first_after], itertools.repeat(self.every)):
            await asyncio.sleep(wait.total_seconds() * (0.5 + self.random() / 2))
            try:
                await self.once()
            except KubernetesError as error:
                self.metrics.failures.inc()
                _log.warning("retention.cut_short", message=str(error))

    async def once(self) -> None:
        """Delete what may go now.

        Raises:
            KubernetesError: the API server is away, or does not allow it.
        """
        rate = aiolimiter.AsyncLimiter(1, 1 / self.deletions_per_second)
        for phase in FINISHED:
            deleted = 0
            async for page in pages(self.api, self.namespace, phase=phase, patience=_PAGE_TIMEOUT):
                for listed in page:
                    if listed.request is None or not may_go(listed.request, self.clock(), self.retention):
                        continue
                    async with rate:
                        deleted += await self._delete(listed.request, phase)
            if deleted:
                _log.info("retention.deleted", phase=phase, requests=deleted)

    async def _delete(self, request: FulfillmentRequest, phase: Phase) -> bool:
        try:
            await self.kubernetes.delete_as_read(request)
        except (RequestChangedError, RequestGoneError):  # there is news of it, or someone else deleted it
            return False
        self.metrics.deleted.labels(phase).inc()
        return True
