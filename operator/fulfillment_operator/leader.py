"""What the operator that leads does: it watches, works on orders, and sees to what nobody watches."""

import asyncio
import random
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from kubernetes.aio import client
from prometheus_client import CollectorRegistry

from fulfillment_operator.aftercare import Aftercare
from fulfillment_operator.announcer import Announcer
from fulfillment_operator.backoff import Backoff
from fulfillment_operator.controller import Controller
from fulfillment_operator.dispatch import Dispatch
from fulfillment_operator.endpoint_check import EndpointCheck, EndpointMetrics
from fulfillment_operator.from_settings import pace_of, stripe_api, whole_seconds
from fulfillment_operator.metrics import OperatorMetrics, RequestsCollector
from fulfillment_operator.reconcile import CustomerMail, Reconciler
from fulfillment_operator.recovery_watch import RecoveryCollector, RecoveryWatch
from fulfillment_operator.settings import OperatorSettings
from fulfillment_operator.status_writer import StatusWriter
from fulfillment_operator.stripe_api import StripeApi
from fulfillment_operator.sweep import RetentionMetrics, Sweep
from fulfillment_operator.watch import watching
from fulfillment_runtime.exits import UnavailableError
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes_leases import LeaseApi
from fulfillment_runtime.leadership import Leadership, Terms
from fulfillment_runtime.stripe_connection import stripe_client

_log = structlog.get_logger(__name__)

KUBERNETES_TIMEOUT = 5.0
"""Seconds that one request to the API server may take."""

_BETWEEN_WRITES = Backoff(timedelta(seconds=0.2), timedelta(seconds=5), random.random)
_GRACE_SECONDS = 25.0  # below a pod's default terminationGracePeriodSeconds of 30
_FIRST_SWEEP_AFTER = timedelta(minutes=10)  # the orders that wait are more urgent
_SWEEP_EVERY = timedelta(hours=6)  # a day more or less does not matter to what is kept for weeks
_DELETIONS_PER_SECOND = 10.0  # the API server has more urgent things to do
_FIRST_ENDPOINT_CHECK_AFTER = timedelta(seconds=30)  # likewise
_ENDPOINT_CHECK_EVERY = timedelta(days=1)
_LOOK_AT_RECOVERIES_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Leader:
    """What a leading operator works with."""

    settings: OperatorSettings
    api: client.ApiClient
    kubernetes: KubernetesApi
    dispatch: Dispatch
    mail: CustomerMail
    registry: CollectorRegistry
    metrics: OperatorMetrics
    retention_metrics: RetentionMetrics
    endpoint_metrics: EndpointMetrics

    async def lead(self, terms: Terms, ended: Callable[[UnavailableError], None]) -> None:
        """Wait for the Lease, then work until cancelled; finish what was begun, and free the Lease."""
        settings = self.settings
        leases = LeaseApi(self.api, settings.namespace, settings.lease_name, timeout=KUBERNETES_TIMEOUT)
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        leadership = Leadership(leases, identity, terms=terms, clock=lambda: datetime.now(UTC))
        await leadership.acquire()
        async with leadership.kept(ended), stripe_api(settings) as stripe:
            pace = pace_of(settings)
            reconciler = Reconciler(
                stripe=stripe,
                dispatch=self.dispatch,
                mail=self.mail,
                writer=StatusWriter(self.kubernetes, self._announcer(), _BETWEEN_WRITES, self.metrics),
                pace=pace,
                livemode=settings.livemode,
                clock=whole_seconds,
                metrics=self.metrics,
            )
            controller = Controller(reconciler, pace, whole_seconds, self.metrics)
            self.registry.register(RequestsCollector(controller.requests, controller.queue_depth))
            async with (
                controller.working(settings.workers, timedelta(seconds=_GRACE_SECONDS)),
                watching(
                    controller=controller,
                    configuration=self.api.configuration,
                    namespace=settings.namespace,
                    clock=whole_seconds,
                    metrics=self.metrics,
                    ended=ended,
                ),
                self._sweeping(ended),
                in_background(self._aftercare(stripe).run(), ended),
                self._checking_endpoints(ended),
                self._watching_recoveries(ended),
            ):
                self.metrics.leader.set(1)
                _log.info("operator.leading", livemode=settings.livemode)
                await asyncio.Event().wait()

    def _aftercare(self, stripe: StripeApi) -> Aftercare:
        return Aftercare(
            api=self.api,
            kubernetes=self.kubernetes,
            namespace=self.settings.namespace,
            stripe=stripe,
            dispatch=self.dispatch,
            every=self.settings.after_sale_interval,
            deadline=self.settings.backend_deadline,
            clock=whole_seconds,
            metrics=self.metrics,
            announcer=self._announcer(),
        )

    def _announcer(self) -> Announcer:
        return Announcer(self.kubernetes, self.metrics, whole_seconds, socket.gethostname())

    def _sweeping(self, ended: Callable[[UnavailableError], None]) -> AbstractAsyncContextManager[None]:
        if not self.settings.retention:
            return nullcontext()
        sweep = Sweep(
            api=self.api,
            kubernetes=self.kubernetes,
            namespace=self.settings.namespace,
            retention=self.settings.retention,
            first_after=_FIRST_SWEEP_AFTER,
            every=_SWEEP_EVERY,
            deletions_per_second=_DELETIONS_PER_SECOND,
            clock=whole_seconds,
            random=random.random,
            metrics=self.retention_metrics,
        )
        return in_background(sweep.run(), ended)

    def _watching_recoveries(self, ended: Callable[[UnavailableError], None]) -> AbstractAsyncContextManager[None]:
        settings = self.settings
        if settings.recovery_configmap is None:
            return nullcontext()
        lines = ConfigMapApi(self.api, settings.namespace, settings.recovery_configmap, timeout=KUBERNETES_TIMEOUT)
        metrics = RecoveryCollector()
        self.registry.register(metrics)
        watch = RecoveryWatch(lines=lines, every=_LOOK_AT_RECOVERIES_EVERY, metrics=metrics)
        return in_background(watch.run(), ended)

    @asynccontextmanager
    async def _checking_endpoints(self, ended: Callable[[UnavailableError], None]) -> AsyncIterator[None]:
        async with stripe_client(self.settings) as stripe:
            check = EndpointCheck(
                client=stripe,
                livemode=self.settings.key_is_live,
                first_after=_FIRST_ENDPOINT_CHECK_AFTER,
                every=_ENDPOINT_CHECK_EVERY,
                backoff=Backoff(timedelta(minutes=1), timedelta(hours=6), random.random),
                metrics=self.endpoint_metrics,
            )
            async with in_background(check.run(), ended):
                yield


@asynccontextmanager
async def in_background(
    work: Coroutine[Any, Any, None], failed: Callable[[UnavailableError], None]
) -> AsyncIterator[None]:
    """Do some work while the context lasts. Should it end by itself, that is a failure."""

    async def run() -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, the process must end
            _log.exception("operator.failed")
            failed(UnavailableError(f"the operator failed: {error!r}"))

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
