"""What the operator that leads does: it watches, reconciles, and keeps up what nobody watches."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from kubernetes.aio import client
from prometheus_client import CollectorRegistry
from stripe import StripeClient

from fulfillment_operator.checkout.stripe_api import StripeApi
from fulfillment_operator.controller.cache_sync import CacheSync
from fulfillment_operator.controller.controller import Controller
from fulfillment_operator.controller.decision_executor import DecisionExecutor
from fulfillment_operator.controller.dispatcher import Dispatcher
from fulfillment_operator.controller.event_broadcaster import EventBroadcaster
from fulfillment_operator.controller.event_recorder import EventRecorder
from fulfillment_operator.controller.health import Health
from fulfillment_operator.controller.payment_walk import PaymentWalk
from fulfillment_operator.controller.reconciler import Reconciler
from fulfillment_operator.controller.retry_policy import RetryPolicy
from fulfillment_operator.controller.status_writer import StatusWriter
from fulfillment_operator.controller.watch import watching
from fulfillment_operator.factory import open_stripe_api
from fulfillment_operator.mail.interface import CustomerMail
from fulfillment_operator.metrics import OperatorMetrics, RequestsCollector
from fulfillment_operator.policy.next_step import next_step
from fulfillment_operator.settings import OperatorSettings
from fulfillment_operator.upkeep.recovery_metrics import RecoveryCollector, RecoveryMetrics
from fulfillment_operator.upkeep.retention_sweep import RetentionMetrics, RetentionSweep
from fulfillment_operator.upkeep.reversal_sweep import ReversalSweep
from fulfillment_operator.upkeep.webhook_endpoint_check import WebhookEndpointCheck, WebhookEndpointMetrics
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.kubernetes.configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.leader_election import LeaderElectionConfig, LeaderElector, unique_identity
from fulfillment_runtime.kubernetes.leases import LeaseApi
from fulfillment_runtime.stripe.client import stripe_client

_log = structlog.get_logger(__name__)

KUBERNETES_TIMEOUT = 5.0
"""Seconds that one request to the API server may take."""

_BETWEEN_TRIES = Backoff(timedelta(seconds=0.2), timedelta(seconds=5), random.random)
_BETWEEN_EVENT_TRIES = replace(_BETWEEN_TRIES, attempts=12)  # as often as client-go
# Together below a pod's default terminationGracePeriodSeconds of 30, and below the least that the chart allows, 26.
_GRACE = timedelta(seconds=22)  # of the orders that are worked on
_EVENTS_GRACE = timedelta(seconds=3)
_RETENTION_DELAY = timedelta(minutes=10)  # the orders that wait are more urgent
_RETENTION_INTERVAL = timedelta(hours=6)  # a day more or less does not matter to what is kept for weeks
_SWEEP_WRITES_PER_SECOND = 10.0  # the API server has more urgent things to do
_ENDPOINT_CHECK_DELAY = timedelta(seconds=30)  # likewise
_ENDPOINT_CHECK_INTERVAL = timedelta(days=1)
_RECOVERY_INTERVAL = timedelta(minutes=1)


class LeaderMetrics:
    """Those of orders, and those of what the leader keeps up beside them; on a standby they stay at 0."""

    def __init__(self, registry: CollectorRegistry, *backends: str) -> None:
        """Make them.

        Args:
            registry: where they are registered, and those that come with the Lease.
            backends: the names of the backends that an order may go to.
        """
        self.registry = registry
        self.operator = OperatorMetrics(registry, *backends)
        self.retention = RetentionMetrics(registry)
        self.webhook_endpoints = WebhookEndpointMetrics(registry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """What an operator does while it holds the Lease."""

    settings: OperatorSettings
    api: client.ApiClient
    requests: FulfillmentRequestClient
    events: EventSink
    dispatcher: Dispatcher
    mail: CustomerMail
    retry_policy: RetryPolicy
    metrics: LeaderMetrics
    health: Health
    monotonic: Callable[[], float]
    """Tells seconds from any moment on; it never goes back."""

    async def lead(self, election: LeaderElectionConfig, ended: Callable[[UnavailableError], None]) -> None:
        """Wait for the Lease, then work until cancelled; finish what was begun, and free the Lease."""
        settings = self.settings
        leases = LeaseApi(self.api, settings.namespace, settings.lease_name, timeout=KUBERNETES_TIMEOUT)
        elector = LeaderElector(leases, unique_identity(), config=election, clock=lambda: datetime.now(UTC))
        broadcaster = EventBroadcaster(
            self.events,
            backoff=_BETWEEN_EVENT_TRIES,
            clock=self.monotonic,
            random=random.random,
            metrics=self.metrics.operator,
        )
        await elector.acquire()

        def lost(error: UnavailableError) -> None:
            self.metrics.operator.leader.set(0)
            ended(error)

        async with (
            broadcaster.writing(_EVENTS_GRACE),  # the next leader does not wait until the last Event is written
            elector.held(lost),
            open_stripe_api(settings, self._count_wait) as stripe,
            stripe_client(settings) as endpoints,  # which are asked for once a day, beside the pace of orders
        ):
            recorder = EventRecorder(broadcaster.enqueue, self.metrics.operator, utc_now)
            writer = StatusWriter(
                self.requests, recorder, _BETWEEN_TRIES, self.metrics.operator, waits=self.health.must_wait
            )
            sync = CacheSync(self.requests, backoff=_BETWEEN_TRIES, random=random.random, metrics=self.metrics.operator)
            controller = self._controller(stripe, writer, sync)
            stripe.serve(controller)
            recoveries = settings.recovery_configmap
            async with (
                controller.working(settings.workers, lambda: timedelta() if elector.has_lost else _GRACE),
                watching(
                    controller=controller,
                    sync=sync,
                    configuration=self.api.configuration,
                    namespace=settings.namespace,
                    permitted=self.requests.check_list,
                    health=self.health,
                    clock=utc_now,
                    metrics=self.metrics.operator,
                    ended=ended,
                ),
                in_background(sync.run(controller), ended),
                in_background(self._payment_walk(stripe, controller).run(), ended),
                in_background(self._retention_sweep().run(), ended),
                in_background(self._reversal_sweep(stripe, writer).run(), ended),
                in_background(self._endpoint_check(endpoints).run(), ended),
                in_background(self._recovery_metrics(recoveries).run(), ended) if recoveries else nullcontext(),
            ):
                self.metrics.operator.leader.set(1)
                _log.info("operator.leading", livemode=settings.key_is_live)
                await sync.listed()  # before that it would count too few, and each alert of a level would end
                self.metrics.registry.register(
                    RequestsCollector(controller.levels, controller.queue_depth, controller.undecodable)
                )
                try:
                    await asyncio.Event().wait()
                finally:  # before the watch ends: from then on nobody tells what is deleted or paused
                    controller.shut_down()
                    sync.interrupted()

    def _controller(self, stripe: StripeApi, writer: StatusWriter, sync: CacheSync) -> Controller:
        policy = self.retry_policy
        executor = DecisionExecutor(
            dispatcher=self.dispatcher,
            mail=self.mail,
            retry_policy=policy,
            clock=utc_now,
            metrics=self.metrics.operator,
        )
        reconciler = Reconciler(
            stripe=stripe,
            executor=executor,
            writer=writer,
            retry_policy=policy,
            clock=utc_now,
            metrics=self.metrics.operator,
        )
        decides = partial(
            next_step,
            livemode=self.settings.key_is_live,
            recheck=policy.recheck,
            retry_max=policy.backend.longest,
        )
        return Controller(
            reconciler,
            exists=sync.exists,
            next_step=decides,
            backoff=policy.errors,
            health=self.health,
            clock=lambda: datetime.now(UTC),
            metrics=self.metrics.operator,
        )

    def _payment_walk(self, stripe: StripeApi, controller: Controller) -> PaymentWalk:
        return PaymentWalk(
            orders=controller,
            stripe=stripe,
            interval=self.retry_policy.recheck,
            backoff=self.retry_policy.errors,
            misconfigured=self.retry_policy.misconfigured,
            clock=lambda: datetime.now(UTC),
            metrics=self.metrics.operator,
        )

    def _count_wait(self, endpoint: str, seconds: float) -> None:
        self.metrics.operator.stripe_wait_seconds.labels(endpoint).observe(seconds)

    def _reversal_sweep(self, stripe: StripeApi, writer: StatusWriter) -> ReversalSweep:
        return ReversalSweep(
            requests=self.requests,
            stripe=stripe,
            dispatcher=self.dispatcher,
            interval=self.settings.reversal_interval,
            retry_policy=self.retry_policy,
            livemode=self.settings.key_is_live,
            clock=utc_now,
            metrics=self.metrics.operator,
            writer=writer,
        )

    def _retention_sweep(self) -> RetentionSweep:
        return RetentionSweep(
            requests=self.requests,
            retention=self.settings.retention,
            initial_delay=_RETENTION_DELAY,
            interval=_RETENTION_INTERVAL,
            writes_per_second=_SWEEP_WRITES_PER_SECOND,
            clock=utc_now,
            random=random.random,
            metrics=self.metrics.retention,
        )

    def _recovery_metrics(self, name: str) -> RecoveryMetrics:
        configmap = ConfigMapApi(self.api, self.settings.namespace, name, timeout=KUBERNETES_TIMEOUT)
        collector = RecoveryCollector()
        self.metrics.registry.register(collector)
        return RecoveryMetrics(configmap=configmap, interval=_RECOVERY_INTERVAL, collector=collector)

    def _endpoint_check(self, stripe: StripeClient) -> WebhookEndpointCheck:
        return WebhookEndpointCheck(
            client=stripe,
            livemode=self.settings.key_is_live,
            initial_delay=_ENDPOINT_CHECK_DELAY,
            interval=_ENDPOINT_CHECK_INTERVAL,
            backoff=Backoff(timedelta(minutes=1), timedelta(hours=6), random.random),
            metrics=self.metrics.webhook_endpoints,
        )


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
