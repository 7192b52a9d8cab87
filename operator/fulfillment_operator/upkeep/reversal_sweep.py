"""Reconciles fulfilled orders that were refunded or disputed: nothing watches them. Only who leads does this."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Reversal, ReversalKind
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_operator.checkout.session_answer import SessionUnreadableError
from fulfillment_operator.checkout.stripe_api import StripeApi
from fulfillment_operator.controller.dispatcher import Dispatcher
from fulfillment_operator.controller.retry_policy import FAILURES_BEFORE_SHOWN, RetryPolicy
from fulfillment_operator.controller.status_writer import StatusWriter
from fulfillment_operator.metrics import ErrorKind, OperatorMetrics, stripe_error_kind
from fulfillment_operator.policy.notices import first_to_retry, with_problems
from fulfillment_operator.policy.reversals import (
    REASONS,
    ReversalChange,
    is_reversal_due,
    retry_lag,
    reversal_change,
    shown_reversals,
    unknown_change,
    with_reversals,
)
from fulfillment_runtime.kubernetes.errors import KubernetesError, NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.stripe.client import StripeError, StripeMisconfiguredError, without_request_id

_log = structlog.get_logger(__name__)

_PAGE_TIMEOUT = 30.0  # seconds
_CONCURRENCY = 8  # orders: there is no hurry
_HINTED = "spec.reversal.kind!="  # any
_OTHER_MODE = "the order is not of the mode of STRIPE_API_KEY, live or test"
_NOT_FOUND = "Stripe knows no such Session under this API key"


@dataclass(frozen=True, slots=True)
class _Wait:
    """When an order is looked at again that was kept from its end."""

    hint: Reversal | None
    """What it was about: of a newer one it says nothing."""
    failures: int
    """How often in a row it was kept from its end."""
    unreadable: int
    """How many answers of Stripe's in a row could not be read."""
    begun_at: datetime
    until: datetime

    def lasts(self, request: FulfillmentRequest, now: datetime) -> bool:
        """Tell whether it is not over; a clock that is set back ends it."""
        return self.hint == request.spec.reversal and self.begun_at <= now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalSweep:
    """Lists and reconciles such orders again and again."""

    requests: FulfillmentRequestClient
    stripe: StripeApi
    dispatcher: Dispatcher
    interval: timedelta
    """Between two sweeps."""
    retry_policy: RetryPolicy
    """Tells when an order is looked at again that its backend or Stripe kept from its end."""
    livemode: bool
    """Whether the API key is a live one."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone, in whole seconds."""
    metrics: OperatorMetrics
    writer: StatusWriter
    waits: dict[str, _Wait] = field(default_factory=dict)
    """By the order's uid."""

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
        due: dict[str, FulfillmentRequest] = {}
        counts = Counter[tuple[ReversalKind, bool]]()
        async for page in self.requests.list_pages(
            phase=Phase.FULFILLED, field_selector=_HINTED, timeout=_PAGE_TIMEOUT
        ):
            found = [each.request for each in page if each.request is not None]
            due |= {each.metadata.uid: each for each in found if is_reversal_due(each)}
            counts.update(
                (kind, REASONS[kind] in request.acknowledged_reasons)
                for request in found
                for kind in shown_reversals(request.status)
            )
        for kind in ReversalKind:
            for acknowledged in (False, True):
                gauge = self.metrics.reversed_requests.labels(kind, str(acknowledged).lower())
                gauge.set(counts[kind, acknowledged])
        for uid in self.waits.keys() - due.keys():
            del self.waits[uid]
        now = self.clock()
        semaphore = asyncio.Semaphore(_CONCURRENCY)
        async with asyncio.TaskGroup() as group:
            for uid, request in due.items():
                wait = self.waits.get(uid)
                if wait is None or not wait.lasts(request, now):
                    group.create_task(self._reconcile_within(semaphore, request))

    async def _reconcile_within(self, semaphore: asyncio.Semaphore, request: FulfillmentRequest) -> None:
        async with semaphore:
            about = {"request": request.metadata.name, "session": request.spec.session.id}
            with structlog.contextvars.bound_contextvars(**about):
                try:
                    await self._reconcile(request)
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
        if request.spec.session.livemode is not self.livemode:  # this key knows no such order; another one may come
            await self._write(
                request, status, unknown_change(request, Reason.LIVEMODE_MISMATCH, _OTHER_MODE, handled=False)
            )
            return
        try:
            session = await self.stripe.retrieve_for(request)
        except StripeError as error:
            self.metrics.errors.labels(stripe_error_kind(error)).inc()
            _log.warning("reversals.stripe_error", message=str(error))
            self._retry(request, self.retry_policy.stripe_delay(self._failures(request), error))
            if isinstance(error, StripeMisconfiguredError):  # for a person to mend, and then it is asked again
                problem = without_request_id(str(error))  # which is another one each time: a write for each look
                unknown = unknown_change(request, Reason.STRIPE_MISCONFIGURED, problem, handled=False)
                await self._write(request, status, unknown)
            return
        except SessionUnreadableError as error:
            self.metrics.errors.labels(ErrorKind.SESSION_UNREADABLE).inc()
            _log.warning("reversals.session_unreadable", message=str(error))
            delay = self.retry_policy.error_delay(self._failures(request))
            if self._retry(request, delay, is_unreadable=True) >= FAILURES_BEFORE_SHOWN:
                await self._write(request, status, unknown_change(request, Reason.SESSION_UNREADABLE, str(error)))
            return
        if session is None:
            await self._write(request, status, unknown_change(request, Reason.SESSION_NOT_FOUND, _NOT_FOUND))
            return
        change = reversal_change(request, session, self.clock())
        problems = await self.dispatcher.notify(request, session, change.notices)
        away = first_to_retry(problems)
        if away is not None:
            _log.warning("reversals.backend_error", message=away.error)
            delay = self.retry_policy.backend.delay(self._failures(request) + 1)
            self._retry(request, max(delay, away.after or delay))
        elif change.lags:
            self._retry(request, retry_lag(request, self.clock()))
        await self._write(request, status, with_problems(change, problems))

    def _waited(self, request: FulfillmentRequest) -> _Wait | None:
        """Return how its last look went; None: it came to its end, or was about another hint."""
        wait = self.waits.get(request.metadata.uid)
        return wait if wait is not None and wait.hint == request.spec.reversal else None

    def _failures(self, request: FulfillmentRequest) -> int:
        wait = self._waited(request)
        return wait.failures if wait is not None else 0

    def _retry(self, request: FulfillmentRequest, delay: timedelta, *, is_unreadable: bool = False) -> int:
        """Let one wait before it is looked at again; return how many answers in a row could not be read."""
        before, now = self._waited(request), self.clock()
        unreadable = (before.unreadable if before else 0) + 1 if is_unreadable else 0
        failures = self._failures(request) + 1
        self.waits[request.metadata.uid] = _Wait(request.spec.reversal, failures, unreadable, now, now + delay)
        return unreadable

    async def _write(self, request: FulfillmentRequest, status: Status, change: ReversalChange) -> None:
        after = with_reversals(request, status, change, self.clock())
        if after == status:
            return
        written = await self.writer.until_taken(lambda: self.requests.patch_status(request.metadata.name, after))
        self.writer.recorder.record(status, written, after)
