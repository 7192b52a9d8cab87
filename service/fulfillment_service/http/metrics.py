"""The metrics of both endpoints. No label is an object's name or an id; every label set exists from the start."""

from enum import StrEnum, unique
from http import HTTPStatus
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fulfillment_api.event_types import CheckoutType, PaymentType, ReversalType, StripeEventType
from fulfillment_service.events.event import Event, OtherEvent
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rejections import EventRejectReason
from fulfillment_service.http.callback_payload import CallbackRejectReason
from fulfillment_service.http.request_body import BodyRejectReason
from fulfillment_service.http.senders import SenderRejectReason
from fulfillment_service.request_store import NotRecordedReason, OperationResult

OTHER = "other"
"""Stands for every event type that does not concern this product."""

REJECTIONS = "fulfillment_webhook_rejections_total"
LAST_EVENT_AT = "fulfillment_webhook_last_event_timestamp_seconds"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STATUSES = (
    HTTPStatus.OK,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_ORIGIN = (Ignored.LIVEMODE, Ignored.ACCOUNT, Ignored.OLDER_THAN_RETENTION)
_CHECKOUT = (*OperationResult, *NotRecordedReason, *_ORIGIN, Ignored.SETUP_MODE, Ignored.PAYMENT_LINK, Ignored.METADATA)
_HINT = (OperationResult.UPDATED, OperationResult.UNCHANGED, *NotRecordedReason, *_ORIGIN)
_PAYMENT_HINT = (*_HINT, Ignored.NO_ORDER, Ignored.NO_PAYMENT_INTENT)
_OUTCOMES: dict[str, tuple[StrEnum, ...]] = {
    **dict.fromkeys(get_args(CheckoutType), _CHECKOUT),
    StripeEventType.EXPIRED: (*_HINT, Ignored.EXPIRED),
    **dict.fromkeys((*get_args(PaymentType), *get_args(ReversalType)), _PAYMENT_HINT),
    StripeEventType.REFUND_UPDATED: (*_PAYMENT_HINT, Ignored.REFUND_UPDATED),
    OTHER: (Ignored.EVENT_TYPE,),
}


@unique
class CallbackOutcome(StrEnum):
    """What became of a callback that was not rejected."""

    RECORDED = "recorded"
    UNCHANGED = "unchanged"
    """The cluster knew it already."""
    INTERNAL = "internal"
    """A defect kept it from being recorded."""


class WebhookMetrics:
    """The metrics of the webhook endpoint."""

    def __init__(self, registry: CollectorRegistry, *, started_at: float) -> None:
        self._events = Counter(
            "fulfillment_webhook_events_total",
            "Events that Stripe signed, by type and outcome.",
            ["type", "outcome"],
            registry=registry,
        )
        self._rejections = Counter(
            REJECTIONS,
            "Requests to the webhook that were rejected, by reason.",
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
        self.in_flight = Gauge(
            "fulfillment_webhook_in_flight", "Requests to the webhook that are being handled.", registry=registry
        )
        self._last_event_at = Gauge(
            LAST_EVENT_AT,
            "When the last event that Stripe signed came, in Unix time; until the first, when this process started.",
            registry=registry,
        )
        self._last_event_at.set(started_at)
        for kind, outcomes in _OUTCOMES.items():
            for outcome in outcomes:
                self._events.labels(kind, outcome)
        for reason in (*EventRejectReason, *BodyRejectReason, *SenderRejectReason):
            self._rejections.labels(reason)
        for status in _STATUSES:
            self._seconds.labels(status.value)

    def received(self, at: float) -> None:
        """Set when the last event that Stripe signed came, in Unix time."""
        self._last_event_at.set(at)

    def handled(self, event: Event, outcome: OperationResult | Ignored | NotRecordedReason) -> None:
        """Count an event."""
        self._events.labels(OTHER if isinstance(event, OtherEvent) else event.type, outcome).inc()

    def rejected(self, reason: EventRejectReason | BodyRejectReason | SenderRejectReason) -> None:
        """Count a rejection."""
        self._rejections.labels(reason).inc()

    def turned_away(self, reason: SenderRejectReason) -> None:
        """Count a request that the server itself answered at once, since the webhook never sees it."""
        self.rejected(reason)
        self.answered(reason.status, 0.0)

    def answered(self, status: HTTPStatus, seconds: float) -> None:
        """Observe how long an answer took."""
        self._seconds.labels(status.value).observe(seconds)


class CallbackMetrics:
    """The metrics of the callback endpoint."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._callbacks = Counter(
            "fulfillment_callbacks_total",
            "Callbacks of the http backend's endpoint, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "fulfillment_callback_duration_seconds",
            "Time from a callback's head to its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        for outcome in (*CallbackOutcome, *CallbackRejectReason, *BodyRejectReason, *NotRecordedReason):
            self._callbacks.labels(outcome)

    def handled(self, outcome: CallbackOutcome | CallbackRejectReason | BodyRejectReason | NotRecordedReason) -> None:
        """Count a callback."""
        self._callbacks.labels(outcome).inc()

    def answered(self, seconds: float) -> None:
        """Observe how long an answer took."""
        self._seconds.observe(seconds)
