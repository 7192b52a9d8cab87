"""Makes one Event of many that say the same, and keeps one request from filling the cluster with them.

By the rules of client-go's EventCorrelator (tools/record/events_cache.go). What is other here: a series ends when
nothing similar came for ten minutes, as in its tools/events, so that what is remembered of a request is bounded.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from fulfillment_runtime.kubernetes.events import Event, EventType
from fulfillment_runtime.token_bucket import TokenBucket

_SIMILAR_WITHIN = 600.0  # seconds: what comes later begins anew
_MESSAGES = 9  # of one reason that are told each by itself; more are combined
_SPAM_BURST = 25  # Events of one request at once
_SPAM_PER_SECOND = 1 / 300
_REQUESTS = 1024  # whose Events are remembered; client-go has 4096, a key each
_COMBINED = "(combined from similar events): "
_ACTION = "Reconcile"
_NAME_BITS = 53  # of randomness, which a float holds exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """What happened to a request, once."""

    request: str
    uid: str
    resource_version: str
    type: EventType
    reason: str
    message: str
    at: datetime


@dataclass(slots=True)
class _Series:
    """The same Event again and again."""

    name: str
    first_timestamp: datetime
    count: int = 0


@dataclass(slots=True)
class _Similar:
    """Events of one request that differ by their message alone."""

    last_at: float
    series: dict[str | None, _Series] = field(default_factory=dict)
    """By message; under None those that are combined."""


_SimilarKey: TypeAlias = tuple[EventType, str]
"""Type and reason."""


@dataclass(slots=True)
class _History:
    """What is remembered of one request."""

    spam: TokenBucket
    similar: dict[_SimilarKey, _Similar] = field(default_factory=dict)


class EventCorrelator:
    """Remembers the Events of the requests that it was last told of."""

    def __init__(self, *, clock: Callable[[], float], random: Callable[[], float]) -> None:
        """Make a correlator that remembers nothing.

        Args:
            clock: tells seconds from any moment on; it never goes back.
            random: draws from [0, 1), for names.
        """
        self._clock = clock
        self._random = random
        self._histories: OrderedDict[str, _History] = OrderedDict()  # by uid, the one told of last at the end

    def correlate(self, event: RecordedEvent) -> Event | None:
        """Tell what is to be written of something that happened; None: nothing, for this request has too many."""
        history = self._history(event.uid)
        series, message = self._series(history, event)
        series.count += 1
        if not history.spam.try_accept():
            return None
        return Event(
            name=series.name,
            request=event.request,
            uid=event.uid,
            resource_version=event.resource_version,
            type=event.type,
            reason=event.reason,
            action=_ACTION,
            message=message,
            first_timestamp=series.first_timestamp,
            last_timestamp=event.at,
            count=series.count,
        )

    def _history(self, uid: str) -> _History:
        history = self._histories.get(uid)
        if history is None:
            bucket = TokenBucket(burst=_SPAM_BURST, per_second=_SPAM_PER_SECOND, clock=self._clock)
            history = self._histories[uid] = _History(bucket)
            if len(self._histories) > _REQUESTS:
                self._histories.popitem(last=False)
        self._histories.move_to_end(uid)
        return history

    def _series(self, history: _History, event: RecordedEvent) -> tuple[_Series, str]:
        """Find the series of an Event, or begin one, and tell what its message is there."""
        now, key = self._clock(), (event.type, event.reason)
        similar = history.similar.get(key)
        if similar is None or now - similar.last_at > _SIMILAR_WITHIN:
            similar = history.similar[key] = _Similar(now)
        similar.last_at = now
        combined = event.message not in similar.series and len(similar.series) >= _MESSAGES
        series = similar.series.setdefault(
            None if combined else event.message, _Series(self._name(event.request), event.at)
        )
        return series, _COMBINED + event.message if combined else event.message

    def _name(self, request: str) -> str:
        return f"{request}.{int(self._random() * 2**_NAME_BITS):x}"
