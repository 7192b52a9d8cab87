"""The webhook service's metrics. No label is an object's name or an id; every label set exists from the start."""

from enum import StrEnum
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fulfillment_service.callback_word import CallbackOutcome
from fulfillment_service.record import Outcome, Trouble
from fulfillment_service.refusals import Refusal
from fulfillment_service.translate import EventType, Ignored

OTHER = "other"
"""Stands for every event type that does not concern this product."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STATUSES = (
    HTTPStatus.OK,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_ORIGIN = (Ignored.LIVEMODE, Ignored.ACCOUNT, Ignored.OLDER_THAN_RETENTION)
_SALE = (*Outcome, *Trouble, *_ORIGIN, Ignored.SETUP_MODE, Ignored.PAYMENT_LINK, Ignored.METADATA)
_AFTER_SALE = (Outcome.UPDATED, Outcome.UNCHANGED, *Trouble, *_ORIGIN)
_OF_A_PAYMENT = (*_AFTER_SALE, Ignored.NO_ORDER, Ignored.NO_PAYMENT_INTENT)
_OUTCOMES: dict[str, tuple[StrEnum, ...]] = {
    EventType.COMPLETED: _SALE,
    EventType.ASYNC_PAYMENT_SUCCEEDED: _SALE,
    EventType.ASYNC_PAYMENT_FAILED: _SALE,
    EventType.EXPIRED: (*_AFTER_SALE, Ignored.EXPIRED),
    EventType.REFUNDED: (*_OF_A_PAYMENT, Ignored.PARTIAL_REFUND),
    EventType.DISPUTED: _OF_A_PAYMENT,
    OTHER: (Ignored.EVENT_TYPE,),
}


class WebhookMetrics:
    """Every metric that the webhook service writes."""

    def __init__(self, registry: CollectorRegistry, *, started_at: float) -> None:
        self._events = Counter(
            "fulfillment_webhook_events_total",
            "Events that Stripe signed, by type and what became of them.",
            ["type", "outcome"],
            registry=registry,
        )
        self._refusals = Counter(
            "fulfillment_webhook_refusals_total",
            "Requests that were not taken for an event of Stripe's, by reason.",
            ["reason"],
            registry=registry,
        )
        self._seconds = Histogram(
            "fulfillment_webhook_duration_seconds",
            "Time from a request's head to its answer, by HTTP status.",
            ["status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("fulfillment_webhook_in_flight", "Requests that are being worked on.", registry=registry)
        self._last_event_at = Gauge(
            "fulfillment_webhook_last_event_timestamp_seconds",
            "When the last event that Stripe signed came, in Unix time; until the first, when this process started.",
            registry=registry,
        )
        self._last_event_at.set(started_at)
        for kind, outcomes in _OUTCOMES.items():
            for outcome in outcomes:
                self._events.labels(kind, outcome)
        for reason in Refusal:
            self._refusals.labels(reason)
        for status in _STATUSES:
            self._seconds.labels(status.value)

    def came(self, at: float) -> None:
        """Note that Stripe sent an event, at this Unix time."""
        self._last_event_at.set(at)

    def handled(self, event_type: EventType | None, outcome: Outcome | Ignored | Trouble) -> None:
        """Count an event."""
        self._events.labels(event_type or OTHER, outcome).inc()

    def refused(self, reason: Refusal) -> None:
        """Count a refusal."""
        self._refusals.labels(reason).inc()

    def answered(self, status: HTTPStatus, seconds: float) -> None:
        """Note how long an answer took."""
        self._seconds.labels(status.value).observe(seconds)


class CallbackMetrics:
    """Every metric of the callback endpoint."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._callbacks = Counter(
            "fulfillment_callbacks_total",
            "Callbacks of the http backend's endpoint, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "fulfillment_callback_duration_seconds",
            "Time from a callback's head to its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        for outcome in CallbackOutcome:
            self._callbacks.labels(outcome)

    def answered(self, outcome: CallbackOutcome, seconds: float) -> None:
        """Count a callback, and note how long its answer took."""
        self._callbacks.labels(outcome).inc()
        self._seconds.observe(seconds)
