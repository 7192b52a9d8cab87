"""The metrics of a recovery. A run is short and each begins anew, so they tell of one run: levels, no counters."""

from prometheus_client import CollectorRegistry, Gauge

from fulfillment_service.record import Outcome, Trouble
from fulfillment_service.translate import EventType, Ignored


class RecoveryMetrics:
    """Every metric that a recovery writes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Gauge(
            "fulfillment_recovery_events",
            "Events that this run found at Stripe, by type and what became of them.",
            ["type", "outcome"],
            registry=registry,
        )
        self._reached = Gauge(
            "fulfillment_recovery_reached_timestamp_seconds",
            "Up to when this run has seen to all events, in Unix time.",
            registry=registry,
        )
        self._last_success = Gauge(
            "fulfillment_recovery_last_success_timestamp_seconds",
            "When a run last ended with nothing left behind, in Unix time; 0 before the first.",
            registry=registry,
        )
        for kind in EventType:
            for outcome in (*Outcome, Trouble.BLOCKED):
                self._events.labels(kind, outcome)

    def handled(self, event_type: EventType | None, outcome: Outcome | Ignored | Trouble) -> None:
        """Count an event."""
        self._events.labels(event_type or "other", outcome).inc()

    def reached(self, at: int) -> None:
        """Note up to when events are seen to."""
        self._reached.set(at)

    def succeeded(self, at: float) -> None:
        """Note when a run left nothing behind."""
        self._last_success.set(at)
