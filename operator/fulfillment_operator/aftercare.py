"""Sees to fulfilled orders that were refunded or disputed: nothing watches them any more. Only who leads does this."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from kubernetes.aio import client

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import SaleKind
from fulfillment_api.status import Phase, Status
from fulfillment_operator.after_sale import CONDITIONS, is_due, news, noted, shown
from fulfillment_operator.announcements import Announcement
from fulfillment_operator.announcer import Announcer
from fulfillment_operator.backends.interface import Refused, TryAgain
from fulfillment_operator.dispatch import Dispatch
from fulfillment_operator.metrics import OperatorMetrics, Trouble
from fulfillment_operator.orders import order_of
from fulfillment_operator.stripe_api import StripeApi
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_errors import KubernetesError, RequestGoneError
from fulfillment_runtime.kubernetes_listing import pages
from fulfillment_runtime.stripe_connection import StripeError, StripeUnavailableError

_log = structlog.get_logger(__name__)

_PAGE_TIMEOUT = 30.0  # seconds
_AT_ONCE = 8  # orders: there is no hurry
_HINTED_AT = "spec.sale.kind!="  # any


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftercare:
    """Looks for such orders again and again."""

    api: client.ApiClient
    kubernetes: KubernetesApi
    namespace: str
    stripe: StripeApi
    dispatch: Dispatch
    every: timedelta
    """Between two looks."""
    deadline: timedelta
    """How long a backend's passing faults are retried, from the event on."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone, in whole seconds."""
    metrics: OperatorMetrics
    announcer: Announcer
    """Tells people."""

    async def run(self) -> None:
        """See to what came after the sale, for ever. What fails is logged, counted, and done at the next look."""
        while True:
            try:
                await self.once()
            except KubernetesError as error:
                self.metrics.troubles.labels(Trouble.KUBERNETES).inc()
                _log.warning("aftercare.cut_short", message=str(error))
            await asyncio.sleep(self.every.total_seconds())

    async def once(self) -> None:
        """See to what came after the sale by now.

        Raises:
            KubernetesError: the API server is away, or does not allow it.
        """
        due: list[FulfillmentRequest] = []
        level = Counter[tuple[SaleKind, bool]]()
        async for page in pages(
            self.api, self.namespace, phase=Phase.FULFILLED, also=_HINTED_AT, patience=_PAGE_TIMEOUT
        ):
            found = [each.request for each in page if each.request is not None]
            due += filter(is_due, found)
            level.update((kind, request.is_acknowledged) for request in found for kind in shown(request.status))
        for kind in CONDITIONS:
            for acknowledged in (False, True):
                gauge = self.metrics.after_sale_requests.labels(kind, str(acknowledged).lower())
                gauge.set(level[kind, acknowledged])
        slots = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for request in due:
                group.create_task(self._when_there_is_room(slots, request))

    async def _when_there_is_room(self, slots: asyncio.Semaphore, request: FulfillmentRequest) -> None:
        async with slots:
            about = {"request": request.metadata.name, "session": request.spec.session.id}
            with structlog.contextvars.bound_contextvars(**about):
                try:
                    await self._see_to(request)
                except StripeError as error:
                    passing = isinstance(error, StripeUnavailableError)
                    trouble = Trouble.STRIPE_UNAVAILABLE if passing else Trouble.STRIPE_MISCONFIGURED
                    self.metrics.troubles.labels(trouble).inc()
                    _log.warning("aftercare.stripe_trouble", message=str(error))
                except RequestGoneError:
                    _log.info("aftercare.request_gone")
                except KubernetesError as error:
                    self.metrics.troubles.labels(Trouble.KUBERNETES).inc()
                    _log.warning("aftercare.status_not_written", message=str(error))
                except Exception:  # noqa: BLE001 - one order must never stop the others
                    self.metrics.troubles.labels(Trouble.UNEXPECTED).inc()
                    _log.exception("aftercare.failed")

    async def _see_to(self, request: FulfillmentRequest) -> None:
        status = request.status
        if status is None:
            return
        session = await self.stripe.session_of(request)
        kinds: tuple[SaleKind, ...] = ()
        problem: TryAgain | Refused | None = None
        if session is not None:
            kinds = news(request, session)
            order = order_of(request, session, status.fulfillment)
            backend = status.fulfillment.backend if status.fulfillment else ""
            problem = await self.dispatch.tell(backend, order, kinds)
        now = self.clock()
        if isinstance(problem, TryAgain) and not self._is_too_late(request, now):
            _log.warning("aftercare.backend_trouble", message=problem.error)
            return
        await self._write(request, noted(request, status, kinds, problem.error if problem else None, now), kinds)

    def _is_too_late(self, request: FulfillmentRequest, now: datetime) -> bool:
        sale = request.spec.sale
        heard = sale.observed_at if sale else None
        return now > (heard or request.metadata.creation_timestamp) + self.deadline

    async def _write(self, request: FulfillmentRequest, status: Status, kinds: Iterable[SaleKind]) -> None:
        written = await self.kubernetes.write_status(request.metadata.name, status)
        for kind in kinds:
            condition = status.condition(CONDITIONS[kind])
            if condition is None:
                continue
            self.metrics.after_sale.labels(kind).inc()
            told = Announcement(condition.reason, condition.message, warning=kind is SaleKind.DISPUTED)
            await self.announcer.post(written, told)
