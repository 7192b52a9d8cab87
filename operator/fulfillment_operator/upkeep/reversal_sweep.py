"""Reconciles fulfilled orders that were refunded or disputed: nothing watches them. Only who leads does this."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import Phase, Status
from fulfillment_operator.backends.outcome import Rejected, TryAgain
from fulfillment_operator.checkout.session_answer import SessionUnreadableError
from fulfillment_operator.checkout.stripe_api import StripeApi
from fulfillment_operator.controller.dispatcher import Dispatcher
from fulfillment_operator.controller.paid_order import paid_order
from fulfillment_operator.controller.status_writer import StatusWriter
from fulfillment_operator.metrics import ErrorKind, OperatorMetrics
from fulfillment_operator.policy.reversals import (
    REASONS,
    ReversalChange,
    is_reversal_due,
    notified_until,
    reversal_change,
    shown_reversals,
    unreadable_change,
    with_reversals,
)
from fulfillment_runtime.kubernetes.errors import KubernetesError, NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.stripe.client import StripeError, StripeUnavailableError

_log = structlog.get_logger(__name__)

_PAGE_TIMEOUT = 30.0  # seconds
_CONCURRENCY = 8  # orders: there is no hurry
_HINTED = "spec.reversal.kind!="  # any


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalSweep:
    """Lists and reconciles such orders again and again."""

    requests: FulfillmentRequestClient
    stripe: StripeApi
    dispatcher: Dispatcher
    interval: timedelta
    """Between two sweeps."""
    deadline: timedelta
    """How long a backend's passing faults are retried, from the event on."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone, in whole seconds."""
    metrics: OperatorMetrics
    writer: StatusWriter

    async def run(self) -> None:
        """Reconcile them, for ever. What fails is logged, counted, and done in the next sweep."""
        while True:
            try:
                await self.sweep()
            except KubernetesError as error:
                self.metrics.errors.labels(ErrorKind.KUBERNETES).inc()
                _log.warning("reversals.sweep_failed", message=str(error))
            await asyncio.sleep(self.interval.total_seconds())

    async def sweep(self) -> None:
        """Reconcile those of which an event tells by now.

        Raises:
            KubernetesError: the API server is away, or does not allow it.
        """
        due: list[FulfillmentRequest] = []
        counts = Counter[tuple[ReversalKind, bool]]()
        async for page in self.requests.list_pages(
            phase=Phase.FULFILLED, field_selector=_HINTED, timeout=_PAGE_TIMEOUT
        ):
            found = [each.request for each in page if each.request is not None]
            due += filter(is_reversal_due, found)
            counts.update(
                (kind, REASONS[kind] in request.acknowledged_reasons)
                for request in found
                for kind in shown_reversals(request.status)
            )
        for kind in ReversalKind:
            for acknowledged in (False, True):
                gauge = self.metrics.reversed_requests.labels(kind, str(acknowledged).lower())
                gauge.set(counts[kind, acknowledged])
        semaphore = asyncio.Semaphore(_CONCURRENCY)
        async with asyncio.TaskGroup() as group:
            for request in due:
                group.create_task(self._reconcile_within(semaphore, request))

    async def _reconcile_within(self, semaphore: asyncio.Semaphore, request: FulfillmentRequest) -> None:
        async with semaphore:
            about = {"request": request.metadata.name, "session": request.spec.session.id}
            with structlog.contextvars.bound_contextvars(**about):
                try:
                    await self._reconcile(request)
                except StripeError as error:
                    passing = isinstance(error, StripeUnavailableError)
                    kind = ErrorKind.STRIPE_UNAVAILABLE if passing else ErrorKind.STRIPE_MISCONFIGURED
                    self.metrics.errors.labels(kind).inc()
                    _log.warning("reversals.stripe_error", message=str(error))
                except NotFoundError:
                    _log.info("reversals.request_gone")
                except KubernetesError as error:
                    self.metrics.errors.labels(ErrorKind.KUBERNETES).inc()
                    _log.warning("reversals.status_not_written", message=str(error))
                except Exception:  # noqa: BLE001 - one order must never stop the others
                    self.metrics.errors.labels(ErrorKind.UNEXPECTED).inc()
                    _log.exception("reversals.failed")

    async def _reconcile(self, request: FulfillmentRequest) -> None:
        status = request.status
        if status is None:
            return
        try:
            session = await self.stripe.retrieve_for(request)
        except SessionUnreadableError as error:  # asking again would not help
            self.metrics.errors.labels(ErrorKind.SESSION_UNREADABLE).inc()
            _log.warning("reversals.session_unreadable", message=str(error))
            await self._write(request, status, unreadable_change(request, str(error)))
            return
        change = ReversalChange()
        problem: TryAgain | Rejected | None = None
        if session is not None:
            change = reversal_change(request, session)
            if status.fulfillment is not None:
                order = paid_order(request, session, status.fulfillment)
                problem = await self.dispatcher.notify(status.fulfillment, order, change.notices)
        now = self.clock()
        if isinstance(problem, TryAgain) and now <= notified_until(request, self.deadline):
            _log.warning("reversals.backend_error", message=problem.error)
            return
        await self._write(request, status, change.with_problem(problem.error if problem else None))

    async def _write(self, request: FulfillmentRequest, status: Status, change: ReversalChange) -> None:
        after = with_reversals(request, status, change, self.clock())
        written = await self.writer.until_taken(lambda: self.requests.patch_status(request.metadata.name, after))
        self.writer.recorder.record(status, written, after)
