"""One watch for all visitors: tells those who look at an order when it changed.

Only what somebody looks at is decoded, and nothing is kept but the names of what was deleted lately: so its cost grows
with neither orders nor visitors.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_page.metrics import PageMetrics
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.kubernetes.errors import KubernetesError, NotFoundError, UndecodableError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.list_watch import Change, WatchEventType

_log = structlog.get_logger(__name__)

_WATCH_SECONDS = 300.0
_DELETED = 10_000  # names that are remembered: a megabyte


class FeedEndedError(Exception):
    """This process is stopping: another one goes on."""


class Subscription:
    """What somebody hears of one order: the newest state alone, however slowly they listen."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._newest: FulfillmentRequest | None = None
        self._has_ended = False

    def put(self, request: FulfillmentRequest | None) -> None:
        """Tell of a newer state; None: the order is gone."""
        self._newest = request
        self._news.set()

    def end(self) -> None:
        """Tell nothing more."""
        self._has_ended = True
        self._news.set()

    async def next(self) -> FulfillmentRequest | None:
        """Wait for a newer state; None: the order is gone.

        Raises:
            FeedEndedError: this process is stopping.
        """
        await self._news.wait()
        self._news.clear()
        if self._has_ended:
            raise FeedEndedError
        return self._newest


class OrderFeed:
    """The watch, and who listens."""

    def __init__(self, requests: FulfillmentRequestClient, *, backoff: Backoff, metrics: PageMetrics) -> None:
        """Make it; nothing is watched yet.

        Args:
            requests: the API server's side.
            backoff: between two tries to watch.
            metrics: counts.
        """
        self._requests = requests
        self._backoff = backoff
        self._metrics = metrics
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._has_ended = False

    def has_seen_deleted(self, name: str) -> bool:
        """Tell whether this process saw a request being deleted; of very many, the latest."""
        return name in self._deleted

    @contextmanager
    def subscription(self, name: str) -> Iterator[Subscription]:
        """Listen to one request while the context lasts."""
        made = Subscription()
        if self._has_ended:
            made.end()
        self._subscriptions.setdefault(name, set()).add(made)
        try:
            yield made
        finally:
            self._subscriptions[name].discard(made)
            if not self._subscriptions[name]:
                del self._subscriptions[name]

    def end(self) -> None:
        """End every subscription."""
        self._has_ended = True
        for subscriptions in self._subscriptions.values():
            for each in subscriptions:
                each.end()

    async def run(self) -> None:
        """Watch until cancelled."""
        since, failures = "", 0
        while True:
            try:
                if not since:
                    since = await self._requests.current_version()
                    await self._read_again()
                self._metrics.watching.set(1)
                async for change in self._requests.changes(since, timeout=_WATCH_SECONDS):
                    failures, since = 0, change.metadata.resource_version
                    self._take(change)
            except (KubernetesError, msgspec.DecodeError) as error:
                since, failures = "", failures + 1
                delay = self._backoff.delay(failures).total_seconds()
                self._metrics.watching.set(0)
                _log.warning("page.watch_interrupted", message=str(error), again_after=delay)
                await asyncio.sleep(delay)

    async def _read_again(self) -> None:
        """Tell those who listen what a watch that was interrupted may have missed."""
        for name in list(self._subscriptions):
            try:
                self._tell(name, await self._requests.get(name))
            except NotFoundError:
                self._tell(name, None)
            except UndecodableError:
                continue

    def _take(self, change: Change) -> None:
        name = change.metadata.name
        if change.type is WatchEventType.DELETED:
            self._deleted[name] = None
            if len(self._deleted) > _DELETED:
                self._deleted.popitem(last=False)
            self._tell(name, None)
            return
        if name not in self._subscriptions or change.type is WatchEventType.BOOKMARK:
            return
        try:
            self._tell(name, msgspec.json.decode(change.raw, type=FulfillmentRequest))
        except msgspec.ValidationError as error:
            _log.warning("page.undecodable", request=name, message=str(error))

    def _tell(self, name: str, request: FulfillmentRequest | None) -> None:
        for each in self._subscriptions.get(name, ()):
            each.put(request)
