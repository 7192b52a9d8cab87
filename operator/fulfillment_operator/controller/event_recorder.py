"""Records what became of orders, for people: as log lines, metrics, and Events on their requests."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Status
from fulfillment_operator.controller.event_correlator import RecordedEvent
from fulfillment_operator.metrics import ErrorKind, OperatorMetrics
from fulfillment_operator.policy.status_events import StatusChange, StatusEvent, status_change
from fulfillment_runtime.kubernetes.events import EventType

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EventRecorder:
    """Records what was written: log lines and metrics at once, Events as there is room for them."""

    enqueue: Callable[[RecordedEvent], None]
    """Has an Event written."""
    metrics: OperatorMetrics
    clock: Callable[[], datetime]
    """Tells the time, with its zone, in whole seconds."""

    def record(self, before: Status | None, written: FulfillmentRequest, status: Status) -> None:
        """Record what a status tells that the one before it did not.

        Args:
            before: the status that stood before.
            written: the object with the new one.
            status: the new one.
        """
        change = status_change(before, status)
        self._count(change, written, status)
        for event in change.events:
            self._tell(written, event, status)

    def _count(self, change: StatusChange, written: FulfillmentRequest, status: Status) -> None:
        if change.has_transitioned:
            self.metrics.transitions.labels(status.phase, status.reason).inc()
        if change.is_fulfilled:
            age = self.clock() - written.metadata.creation_timestamp
            self.metrics.seconds_to_fulfill.observe(max(age.total_seconds(), 0))
        if change.has_invalid_annotation:
            self.metrics.errors.labels(ErrorKind.INVALID_ANNOTATION).inc()
        for kind in change.reversals:
            self.metrics.reversals.labels(kind).inc()

    def _tell(self, request: FulfillmentRequest, event: StatusEvent, status: Status) -> None:
        log = _log.warning if event.warning else _log.info
        log("order.event", reason=event.reason, message=event.message, phase=status.phase)
        meta = request.metadata
        self.enqueue(
            RecordedEvent(
                request=meta.name,
                uid=meta.uid,
                resource_version=meta.resource_version,
                type=EventType.WARNING if event.warning else EventType.NORMAL,
                reason=event.reason,
                message=event.message,
                at=self.clock(),
            )
        )
