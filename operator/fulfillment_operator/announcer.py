"""Tells people what became of orders: as log lines, metrics, and Events on their requests."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_operator.announcements import Announcement, announcements, has_moved
from fulfillment_operator.metrics import OperatorMetrics, Trouble
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_errors import KubernetesError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Announcer:
    """Tells what was written; that it was is never undone by a fault here."""

    kubernetes: KubernetesApi
    metrics: OperatorMetrics
    clock: Callable[[], datetime]
    """Tells the time, with its zone, in whole seconds."""
    reporter: str
    """The name of this process, on Events."""

    async def tell(self, before: Status | None, written: FulfillmentRequest, status: Status) -> None:
        """Tell of a status.

        Args:
            before: the status that stood before.
            written: the object with the new one.
            status: the new one.
        """
        if has_moved(before, status):
            self.metrics.transitions.labels(status.phase, status.reason).inc()
            if status.phase is Phase.FULFILLED:
                age = self.clock() - written.metadata.creation_timestamp
                self.metrics.seconds_to_fulfill.observe(max(age.total_seconds(), 0))
        for each in announcements(before, status):
            if each.reason == Reason.ODD_ANNOTATION:
                self.metrics.troubles.labels(Trouble.ODD_ANNOTATION).inc()
            await self.post(written, each, phase=status.phase)

    async def post(self, request: FulfillmentRequest, announcement: Announcement, **about: str) -> None:
        """Log an announcement, and post it as an Event.

        Args:
            request: the object that it is about.
            announcement: what is told.
            about: what else stands in the log line.
        """
        log = _log.warning if announcement.warning else _log.info
        log("order.told", reason=announcement.reason, message=announcement.message, **about)
        try:
            await self.kubernetes.post_event(
                request,
                kind="Warning" if announcement.warning else "Normal",
                reason=announcement.reason,
                action="Reconcile",
                note=announcement.message,
                at=self.clock(),
                reporter=self.reporter,
            )
        except KubernetesError as error:  # an Event is told to people; the status has the fact
            _log.warning("order.event_not_posted", message=str(error))
