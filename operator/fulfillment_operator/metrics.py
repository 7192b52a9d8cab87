"""The operator's metrics. No label is an object's name or an id; every label set exists from the start."""

from collections.abc import Callable, Iterable
from enum import StrEnum, unique

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Reason
from fulfillment_operator.after_sale import CONDITIONS

_REASONS: dict[Phase, tuple[Reason, ...]] = {
    Phase.AWAITING_PAYMENT: (
        Reason.PAYMENT_PROCESSING,
        Reason.PAYMENT_OVERDUE,
        Reason.PAUSED,
        Reason.STRIPE_UNAVAILABLE,
        Reason.STRIPE_MISCONFIGURED,
    ),
    Phase.FULFILLING: (
        Reason.BACKEND_UNAVAILABLE,
        Reason.HANDED_OVER,
        Reason.PAUSED,
        Reason.STRIPE_UNAVAILABLE,
        Reason.STRIPE_MISCONFIGURED,
    ),
    Phase.FULFILLED: (Reason.FULFILLED, Reason.COMPLETED_BY_HAND),
    Phase.FAILED: (
        Reason.REFUNDED,
        Reason.DISPUTED,
        Reason.PAYMENT_FAILED,
        Reason.FULFILLMENT_FAILED,
        Reason.FAILED_BY_HAND,
        Reason.NO_ROUTE,
        Reason.SESSION_NOT_FOUND,
        Reason.SESSION_EXPIRED,
        Reason.NOTHING_TO_FULFILL,
        Reason.LIVEMODE_MISMATCH,
        Reason.NAME_MISMATCH,
    ),
}
_OTHERS_ARE_AT_WORK = {Reason.HANDED_OVER, Reason.PAUSED}
"""In these the operator has nothing to do, however long it takes."""
_MAIL_REASONS = (
    Reason.MAIL_SENT,
    Reason.MAIL_UNAVAILABLE,
    Reason.MAIL_REFUSED,
    Reason.MAIL_NOT_CONFIGURED,
    Reason.NO_EMAIL_ADDRESS,
)
_SECONDS_OF_CALLS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SECONDS_TO_FULFILL = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400, 604800)


@unique
class Trouble(StrEnum):
    """What keeps a look at a request from its end."""

    STRIPE_UNAVAILABLE = "stripe-unavailable"
    STRIPE_MISCONFIGURED = "stripe-misconfigured"
    KUBERNETES = "kubernetes"
    UNDECODABLE = "undecodable"
    ODD_ANNOTATION = "odd-annotation"
    UNEXPECTED = "unexpected"


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
    REFUSED = "refused"


class OperatorMetrics:
    """Every metric that the operator writes itself."""

    def __init__(self, registry: CollectorRegistry, *backends: str) -> None:
        self.transitions = Counter(
            "fulfillment_transitions_total",
            "Requests that entered a phase for a reason.",
            ["phase", "reason"],
            registry=registry,
        )
        self.troubles = Counter(
            "fulfillment_reconcile_errors_total",
            "Looks at a request that could not be finished, by what was in the way.",
            ["error"],
            registry=registry,
        )
        self.reconcile_seconds = Histogram(
            "fulfillment_reconcile_duration_seconds",
            "Time of one look at a request, with every call it makes.",
            buckets=_SECONDS_OF_CALLS,
            registry=registry,
        )
        self.stripe_seconds = Histogram(
            "fulfillment_stripe_request_duration_seconds",
            "Time to retrieve one Session with all line items, waiting for a turn included.",
            buckets=_SECONDS_OF_CALLS,
            registry=registry,
        )
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
        self.watch_event_at = Gauge(
            "fulfillment_watch_last_event_timestamp_seconds",
            "When the watch last brought a request, in Unix time; until the first, when it began; 0 on a standby.",
            registry=registry,
        )
        self.leader = Gauge(
            "fulfillment_leader", "Whether this operator holds the Lease, and works: 1 or 0.", registry=registry
        )
        self.after_sale = Counter(
            "fulfillment_after_sale_total",
            "Fulfilled orders that were refunded or disputed afterwards.",
            ["kind"],
            registry=registry,
        )
        self.after_sale_requests = Gauge(
            "fulfillment_after_sale_requests",
            "Fulfilled requests in the cluster whose payment was refunded or is disputed; 0 on a standby. "
            "One is acknowledged when a person has said that it is dealt with.",
            ["kind", "acknowledged"],
            registry=registry,
        )
        self._start_at_zero(backends)

    def _start_at_zero(self, backends: Iterable[str]) -> None:
        for phase, reasons in _REASONS.items():
            for reason in reasons:
                self.transitions.labels(phase, reason)
        for trouble in Trouble:
            self.troubles.labels(trouble)
        for backend in backends:
            self.backend_seconds.labels(backend)
            for result in BackendResult:
                self.backend_attempts.labels(backend, result)
        for mail in MailKind:
            for reason in _MAIL_REASONS:
                self.mails.labels(mail, reason)
        for kind in CONDITIONS:
            self.after_sale.labels(kind)
            for acknowledged in ("false", "true"):
                self.after_sale_requests.labels(kind, acknowledged)


class RequestsCollector(Collector):
    """Tells at each scrape how the cluster's unfulfilled requests stand: a level, which no restart can hide."""

    def __init__(self, requests: Callable[[], Iterable[FulfillmentRequest]], queue_depth: Callable[[], int]) -> None:
        self._requests = requests
        self._queue_depth = queue_depth

    def collect(self) -> Iterable[Metric]:
        """Count the requests."""
        counts = {
            (str(phase), str(reason), acknowledged): 0
            for phase, reasons in _REASONS.items()
            if phase is not Phase.FULFILLED
            for reason in reasons
            for acknowledged in ((False, True) if phase is Phase.FAILED else (False,))
        }
        oldest: dict[str, float] = {}
        for request in self._requests():
            status = request.status
            phase, reason = (str(status.phase), status.reason) if status else ("", "")
            labels = (phase, reason, request.is_acknowledged)
            counts[labels] = counts.get(labels, 0) + 1
            if reason in _OTHERS_ARE_AT_WORK:
                continue
            created = request.metadata.creation_timestamp.timestamp()
            oldest[phase] = min(created, oldest.get(phase, created))
        requests = GaugeMetricFamily(
            "fulfillment_requests",
            "Requests in the cluster that are not fulfilled; phase and reason are empty before the first look. "
            "A failed one is acknowledged when a person has said that it is dealt with.",
            labels=["phase", "reason", "acknowledged"],
        )
        for (phase, reason, acknowledged), count in counts.items():
            requests.add_metric([phase, reason, str(acknowledged).lower()], count)
        yield requests
        ages = GaugeMetricFamily(
            "fulfillment_oldest_request_timestamp_seconds",
            "When the oldest request of a phase was created, in Unix time. "
            "Those that a person holds or a backend works on do not count.",
            labels=["phase"],
        )
        for phase, created in oldest.items():
            ages.add_metric([phase], created)
        yield ages
        yield GaugeMetricFamily(
            "fulfillment_queue_depth", "Requests that wait for a worker.", value=self._queue_depth()
        )
