"""Whether what the controller holds is what the API server has: compared whenever the watch has connected.

kopf resumes a watch that was cut, or lists again (410 Gone); of what was deleted or fulfilled meanwhile a list tells
nothing. So the unfulfilled requests are listed, by their metadata alone, and what is cached beyond them is forgotten.
The API server ends each watch after minutes: so this is done at a slow pace, too, however healthy the watch is.

An etcd that was put back to an older state is found by the same list. A watch that is resumed where the newer one was
is told nothing until the older one has come as far, and what is cached is not true any more.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Protocol

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.controller.cached_request import CachedRequest
from fulfillment_operator.metrics import ErrorKind, OperatorMetrics
from fulfillment_runtime.backoff import Backoff, jittered, retry
from fulfillment_runtime.kubernetes.errors import (
    ApiUnavailableError,
    ForbiddenError,
    KubernetesError,
    NotInstalledError,
)
from fulfillment_runtime.kubernetes.fulfillment_requests import UNFULFILLED, FulfillmentRequestClient

_log = structlog.get_logger(__name__)

_PASSING = (ApiUnavailableError, ForbiddenError, NotInstalledError)
_PAGE_TIMEOUT = 30.0  # seconds
_AT_MOST_EVERY = timedelta(seconds=5)  # a connection that is cut again and again makes no load


class OlderStateError(Exception):
    """The API server has an older state than it had: its etcd was put back."""

    def __init__(self, had: int, has: int) -> None:
        super().__init__(
            f"the API server was at the resource version {had}, and is at {has}: its etcd was put back to an older "
            "state, so all is read anew"
        )


class Cache(Protocol):
    """What the controller holds."""

    def requests(self) -> Iterable[CachedRequest]:
        """Return the requests that it holds."""

    def undecodable(self) -> Mapping[str, str]:
        """Return the requests that do not decode: name → uid."""

    def forget(self, name: str, uid: str, /) -> None:
        """Take in that a request is fulfilled or deleted."""


class CacheSync:
    """Knows whether the watch may have missed a deletion; while it may, an order's existence is asked of the server."""

    def __init__(
        self,
        requests: FulfillmentRequestClient,
        *,
        backoff: Backoff,
        random: Callable[[], float],
        metrics: OperatorMetrics,
    ) -> None:
        """Make it; the watch has not begun.

        Args:
            requests: the API server's side.
            backoff: between two tries to list them.
            random: draws from [0, 1).
            metrics: counts.
        """
        self._requests = requests
        self._backoff = backoff
        self._random = random
        self._metrics = metrics
        self._connected = asyncio.Event()
        self._listed = asyncio.Event()
        self._since = 0
        self._interruptions = 0
        self._has_synced = False

    def interrupted(self) -> None:
        """Take in that the watch is cut, or asks anew."""
        self._has_synced = False
        self._interruptions += 1
        self._connected.clear()

    def connected(self, since: int) -> None:
        """Take in that the watch tells of changes, again or for the first time.

        Args:
            since: those after this resource version.
        """
        self._since = since
        self._connected.set()
        self._listed.set()

    async def listed(self) -> None:
        """Wait until the watch has told of all that there was when it began."""
        await self._listed.wait()

    async def exists(self, request: FulfillmentRequest) -> bool:
        """Tell whether a request that is cached is in the cluster, and not fulfilled; ask only while that is unsure.

        Raises:
            KubernetesError: the API server does not say.
        """
        if self._has_synced:
            return True
        meta = request.metadata
        found = await self._requests.list_versions(f"metadata.name={meta.name},{UNFULFILLED}")
        return meta.uid in found.of_uid

    async def run(self, cache: Cache) -> None:
        """Compare what is cached with what the API server has, after each connection of the watch, until cancelled.

        Raises:
            OlderStateError: the API server has an older state than it had: begin anew.
        """
        while True:
            await self._connected.wait()
            interruptions = self._interruptions
            await self._compare(cache)
            if interruptions == self._interruptions:  # else something may have been missed since
                self._has_synced = True
                self._connected.clear()
            await asyncio.sleep(jittered(_AT_MOST_EVERY, self._random).total_seconds())

    async def _compare(self, cache: Cache) -> None:
        since, cached = self._since, list(cache.requests())  # what comes later stands
        known = {(each.name, each.uid) for each in cached}.union(cache.undecodable().items())
        existing = await retry(
            lambda: self._requests.list_versions(UNFULFILLED, timeout=_PAGE_TIMEOUT),
            on=_PASSING,
            backoff=self._backoff,
            scheduled=self._count,
        )
        # Of one history a later list is never the older one: neither as a whole nor in what it has of a request.
        if existing.resource_version < since:
            raise OlderStateError(since, existing.resource_version)
        for each in cached:
            has = existing.of_uid.get(each.uid)
            if has is not None and has < each.version:
                raise OlderStateError(each.version, has)
        missed = [(name, uid) for name, uid in known if uid not in existing.of_uid]
        for name, uid in missed:
            cache.forget(name, uid)
        if missed:
            _log.info("watch.deletions_missed", requests=len(missed))

    def _count(self, error: KubernetesError, delay: timedelta) -> None:
        self._metrics.errors.labels(ErrorKind.KUBERNETES).inc()
        _log.warning("watch.not_compared", message=str(error), again_after=delay.total_seconds())
