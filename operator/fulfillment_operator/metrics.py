"""The operator's metrics. No label is an object's name or an id; every label set exists from the start."""

import sys
from collections.abc import Callable, Iterable, Sized
from enum import StrEnum, unique
from itertools import product
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import WAITING_FOR_OTHERS, Phase, Reason
from fulfillment_operator.checkout.stripe_api import STRIPE_ENDPOINTS
from fulfillment_runtime.kubernetes.events import EventType
from fulfillment_runtime.stripe.client import StripeError, StripeUnavailableError

REASONS: dict[Phase, tuple[Reason, ...]] = {
    Phase.AWAITING_PAYMENT: (
        Reason.PAYMENT_PROCESSING,
        Reason.PAYMENT_REQUIRES_ACTION,
        Reason.PAYMENT_REQUIRES_CAPTURE,
        Reason.SESSION_OPEN,
        Reason.PAYMENT_OVERDUE,
        Reason.PAUSED,
        Reason.RESTORED,
        Reason.STRIPE_UNAVAILABLE,
        Reason.STRIPE_MISCONFIGURED,
    ),
    Phase.FULFILLING: (
        Reason.BACKEND_UNAVAILABLE,
        Reason.DISPATCHED,
        Reason.PAUSED,
        Reason.RESTORED,
        Reason.STRIPE_UNAVAILABLE,
        Reason.STRIPE_MISCONFIGURED,
    ),
    Phase.FULFILLED: (Reason.FULFILLED, Reason.MANUALLY_COMPLETED, Reason.NOTHING_TO_FULFILL),
    Phase.FAILED: (
        Reason.REFUNDED,
        Reason.REFUND_FAILED,
        Reason.DISPUTED,
        Reason.DISPUTE_LOST,
        Reason.DISPUTE_WON,
        Reason.DISPUTE_PREVENTED,
        Reason.PAYMENT_FAILED,
        Reason.PAYMENT_CANCELED,
        Reason.FULFILLMENT_FAILED,
        Reason.MANUALLY_FAILED,
        Reason.NO_ROUTE,
        Reason.SESSION_NOT_FOUND,
        Reason.SESSION_EXPIRED,
        Reason.SESSION_UNREADABLE,
        Reason.LIVEMODE_MISMATCH,
        Reason.NAME_MISMATCH,
    ),
}
_MAIL_REASONS = (
    Reason.MAIL_SENT,
    Reason.MAIL_UNAVAILABLE,
    Reason.MAIL_REJECTED,
    Reason.MAIL_NOT_CONFIGURED,
    Reason.NO_EMAIL_ADDRESS,
)
_SECONDS_OF_CALLS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SECONDS_TO_FULFILL = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400, 604800)


@unique
class ErrorKind(StrEnum):
    """Why a request was not reconciled."""

    STRIPE_UNAVAILABLE = "stripe-unavailable"
    STRIPE_MISCONFIGURED = "stripe-misconfigured"
    SESSION_UNREADABLE = "session-unreadable"
    KUBERNETES = "kubernetes"
    BACKEND_NOT_STOPPED = "backend-not-stopped"
    UNDECODABLE = "undecodable"
    INVALID_ANNOTATION = "invalid-annotation"
    UNEXPECTED = "unexpected"


def stripe_error_kind(error: StripeError) -> ErrorKind:
    """Return as what an error of Stripe's is counted."""
    is_passing = isinstance(error, StripeUnavailableError)
    return ErrorKind.STRIPE_UNAVAILABLE if is_passing else ErrorKind.STRIPE_MISCONFIGURED


@unique
class EventDropCause(StrEnum):
    """Why a Kubernetes Event was not written."""

    RATE = "rate"
    """It is of type Normal, and there were too many."""
    QUEUE_FULL = "queue-full"
    """The API server did not keep up."""
    SPAM = "spam"
    """There were too many of this request."""
    ERROR = "error"
    """The API server did not take it."""
    SHUTDOWN = "shutdown"
    """The operator ended."""


@unique
class MailKind(StrEnum):
    """What a customer is mailed about."""

    PAYMENT_FAILED = "payment-failed"
    RECEIPT = "receipt"


@unique
class BackendResult(StrEnum):
    """What a backend made of an order."""

    DONE = "done"
    IN_PROGRESS = "in-progress"
    TRY_AGAIN = "try-again"
    REJECTED = "rejected"


class OperatorMetrics:
    """Every metric that the operator writes itself."""

    def __init__(self, registry: CollectorRegistry, *backends: str) -> None:
        self.transitions = Counter(
            "fulfillment_transitions_total",
            "Requests that entered a phase for a reason.",
            ["phase", "reason"],
            registry=registry,
        )
        self.errors = Counter(
            "fulfillment_reconcile_errors_total",
            "Reconciles of a request that failed, by the kind of error.",
            ["error"],
            registry=registry,
        )
        self.deleted_unfinished = Counter(
            "fulfillment_unfinished_requests_deleted_total",
            "Requests that were deleted before they were fulfilled or failed, but for those of a self-test.",
            registry=registry,
        )
        self.reconcile_seconds = Histogram(
            "fulfillment_reconcile_duration_seconds",
            "Time of one reconcile of a request, with every call it makes.",
            buckets=_SECONDS_OF_CALLS,
            registry=registry,
        )
        self.stripe_seconds = Histogram(
            "fulfillment_stripe_request_duration_seconds",
            "Time to retrieve one Session with all line items, waiting within the rate limit included.",
            buckets=_SECONDS_OF_CALLS,
            registry=registry,
        )
        self.stripe_wait_seconds = Histogram(
            "fulfillment_stripe_wait_seconds",
            "Time that a request to Stripe waited for its turn within the limits, by its endpoint.",
            ["endpoint"],
            buckets=_SECONDS_OF_CALLS,
            registry=registry,
        )
        for endpoint in STRIPE_ENDPOINTS:
            self.stripe_wait_seconds.labels(endpoint)
        self.backend_seconds = Histogram(
            "fulfillment_backend_duration_seconds",
            "Time of one try of the fulfillment backend.",
            ["backend"],
            buckets=_SECONDS_OF_CALLS,
            registry=registry,
        )
        self.backend_attempts = Counter(
            "fulfillment_backend_attempts_total",
            "Tries of the fulfillment backend, by what came of them.",
            ["backend", "result"],
            registry=registry,
        )
        self.mails = Counter(
            "fulfillment_mails_total",
            "Mails to customers, by what they are about and what came of them.",
            ["mail", "reason"],
            registry=registry,
        )
        self.seconds_to_fulfill = Histogram(
            "fulfillment_time_to_fulfill_seconds",
            "Time from the creation of a request to its fulfillment; delayed payments take days.",
            buckets=_SECONDS_TO_FULFILL,
            registry=registry,
        )
        self.events_dropped = Counter(
            "fulfillment_kubernetes_events_dropped_total",
            "Kubernetes Events about requests that were not written, by their type and why.",
            ["type", "cause"],
            registry=registry,
        )
        self.watch_event_at = Gauge(
            "fulfillment_watch_last_event_timestamp_seconds",
            "When the watch last brought a request, in Unix time; until the first, when it began; 0 on a standby.",
            registry=registry,
        )
        self.watch_heard_at = Gauge(
            "fulfillment_watch_last_heard_timestamp_seconds",
            "When the API server last said anything to the watch, a bookmark or a refusal too, in Unix time; "
            "0 on a standby.",
            registry=registry,
        )
        self.watch_refused = Gauge(
            "fulfillment_watch_refused", "Whether the API server refuses the watch: 1 or 0.", registry=registry
        )
        self.leader = Gauge(
            "fulfillment_leader", "Whether this operator holds the Lease, and works: 1 or 0.", registry=registry
        )
        self.reversals = Counter(
            "fulfillment_reversals_total",
            "Refunds and disputes, and how they went on, by kind; those that ended an order are its reason instead.",
            ["kind"],
            registry=registry,
        )
        self.reversed_requests = Gauge(
            "fulfillment_reversed_requests",
            "Fulfilled requests in the cluster by what became of their refunds and disputes; 0 on a standby. "
            "One is acknowledged when a person has said that it is dealt with.",
            ["kind", "acknowledged"],
            registry=registry,
        )
        self._start_at_zero(backends)

    def _start_at_zero(self, backends: tuple[str, ...]) -> None:
        for phase, reason in ((phase, reason) for phase, reasons in REASONS.items() for reason in reasons):
            self.transitions.labels(phase, reason)
        for error in ErrorKind:
            self.errors.labels(error)
        for backend in backends:
            self.backend_seconds.labels(backend)
        for backend, result in product(backends, BackendResult):
            self.backend_attempts.labels(backend, result)
        for mail, reason in product(MailKind, _MAIL_REASONS):
            self.mails.labels(mail, reason)
        for event_type, cause in product(EventType, EventDropCause):
            self.events_dropped.labels(event_type, cause)
        for kind in ReversalKind:
            self.reversals.labels(kind)
            for acknowledged in ("false", "true"):
                self.reversed_requests.labels(kind, acknowledged)


class RequestLevel(NamedTuple):
    """As what a request that is not fulfilled is counted."""

    phase: str
    """Empty before the first reconcile."""
    reason: str
    """Likewise."""
    is_acknowledged: bool
    since: float
    """When it was created, or paid if it is being fulfilled, in Unix time."""


def request_level(request: FulfillmentRequest) -> RequestLevel:
    """Tell as what a request is counted."""
    status = request.status
    phase, reason = (str(status.phase), sys.intern(str(status.reason))) if status else ("", "")
    paid_at = status.paid_at if status and status.phase is Phase.FULFILLING else None
    since = paid_at or request.metadata.creation_timestamp
    return RequestLevel(phase, reason, request.is_acknowledged, since.timestamp())


class RequestsCollector(Collector):
    """Tells at each scrape how the cluster's unfulfilled requests stand: a level, which no restart can hide."""

    def __init__(
        self,
        levels: Callable[[], Iterable[RequestLevel]],
        queue_depth: Callable[[], int],
        undecodable: Callable[[], Sized],
    ) -> None:
        self._levels = levels
        self._queue_depth = queue_depth
        self._undecodable = undecodable

    def collect(self) -> Iterable[Metric]:
        """Count the requests."""
        counts = {
            (str(phase), str(reason), acknowledged): 0
            for phase, reasons in REASONS.items()
            if phase is not Phase.FULFILLED
            for reason in reasons
            for acknowledged in ((False, True) if phase is Phase.FAILED else (False,))
        }
        oldest: dict[str, float] = {}
        for phase, reason, is_acknowledged, since in self._levels():
            labels = (phase, reason, is_acknowledged)
            counts[labels] = counts.get(labels, 0) + 1
            if reason in WAITING_FOR_OTHERS:
                continue
            oldest[phase] = min(since, oldest.get(phase, since))
        requests = GaugeMetricFamily(
            "fulfillment_requests",
            "Requests in the cluster that are not fulfilled; phase and reason are empty before the first reconcile. "
            "A failed one is acknowledged when a person has said that it is dealt with.",
            labels=["phase", "reason", "acknowledged"],
        )
        for (phase, reason, acknowledged), count in counts.items():
            requests.add_metric([phase, reason, str(acknowledged).lower()], count)
        yield requests
        ages = GaugeMetricFamily(
            "fulfillment_oldest_request_timestamp_seconds",
            "When the oldest request of a phase was created, or paid if the phase is fulfilling, in Unix time. "
            "Those that a person holds or a backend works on do not count.",
            labels=["phase"],
        )
        for phase, since in oldest.items():
            ages.add_metric([phase], since)
        yield ages
        yield GaugeMetricFamily(
            "fulfillment_undecodable_requests",
            "Requests in the cluster that are not fulfilled and do not decode: nothing is done for them.",
            value=len(self._undecodable()),
        )
        yield GaugeMetricFamily(
            "fulfillment_queue_depth", "Requests that wait for a worker.", value=self._queue_depth()
        )
