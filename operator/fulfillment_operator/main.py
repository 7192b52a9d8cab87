"""`fulfillment operator`: wires settings, clients, the watch and the workers together."""

import asyncio
import os
import random
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import structlog
import uvloop
from kubernetes.aio import client
from prometheus_client import CollectorRegistry

from fulfillment_api import names
from fulfillment_operator.aftercare import Aftercare
from fulfillment_operator.announcer import Announcer
from fulfillment_operator.backoff import Backoff
from fulfillment_operator.controller import Controller
from fulfillment_operator.dispatch import Dispatch
from fulfillment_operator.endpoint_check import EndpointCheck, EndpointMetrics
from fulfillment_operator.from_settings import backends_of, mail_of, pace_of, stripe_api, whole_seconds
from fulfillment_operator.metrics import OperatorMetrics, RequestsCollector
from fulfillment_operator.reconcile import CustomerMail, Reconciler
from fulfillment_operator.recovery_watch import RecoveryCollector, RecoveryWatch
from fulfillment_operator.settings import OperatorSettings
from fulfillment_operator.status_writer import StatusWriter
from fulfillment_operator.stripe_api import StripeApi
from fulfillment_operator.sweep import RetentionMetrics, Sweep
from fulfillment_operator.watch import watching
from fulfillment_runtime import kubernetes_jobs
from fulfillment_runtime.exits import UnavailableError
from fulfillment_runtime.kubernetes_access import Rule, check_access
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes_connection import connect
from fulfillment_runtime.kubernetes_leases import LeaseApi
from fulfillment_runtime.leadership import Leadership, Terms
from fulfillment_runtime.logs import configure_logs
from fulfillment_runtime.management import management_server
from fulfillment_runtime.metrics import process_registry
from fulfillment_runtime.reload import settings_changes
from fulfillment_runtime.settings import load_settings
from fulfillment_runtime.stripe_connection import stripe_client

_log = structlog.get_logger(__name__)

_KUBERNETES_TIMEOUT = 5.0
_BETWEEN_WRITES = Backoff(timedelta(seconds=0.2), timedelta(seconds=5), random.random)
_GRACE_SECONDS = 25.0  # below a pod's default terminationGracePeriodSeconds of 30
_LOOK_AT_FILES_EVERY = 5.0  # seconds; the kubelet itself takes a minute or so
_SWEEP_EVERY = timedelta(hours=6)  # a day more or less does not matter to what is kept for weeks
_DELETIONS_PER_SECOND = 10.0  # the API server has more urgent things to do
_FIRST_ENDPOINT_CHECK_AFTER = timedelta(seconds=30)  # the orders that wait are more urgent
_ENDPOINT_CHECK_EVERY = timedelta(days=1)
_LOOK_AT_RECOVERIES_EVERY = timedelta(minutes=1)


@click.command()
def command() -> None:
    """Bring every FulfillmentRequest to fulfilled or failed."""
    settings = load_settings(OperatorSettings, os.environ)
    configure_logs(settings.log_level, settings.log_format)
    uvloop.run(_run_until_told(settings))


async def _run_until_told(settings: OperatorSettings) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    changes = settings_changes(OperatorSettings, os.environ, every=_LOOK_AT_FILES_EVERY)
    stop = asyncio.create_task(told.wait())
    while not told.is_set():
        change = asyncio.ensure_future(anext(changes))
        async with running_operator(settings) as operator:
            first: set[asyncio.Future[Any]] = {stop, change, operator.ended}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if operator.ended.done():
            operator.ended.result()
        if change.done():  # what was begun is finished; all is wired anew, with the new settings
            settings = change.result()
        change.cancel()


@dataclass(frozen=True, slots=True)
class RunningOperator:
    """An operator at work."""

    management_port: int
    ended: asyncio.Future[None]
    """Fails with UnavailableError when the watch ends by itself, or another operator may lead: the process must end."""


@asynccontextmanager
async def running_operator(settings: OperatorSettings, terms: Terms = Terms()) -> AsyncIterator[RunningOperator]:  # noqa: B008 - frozen
    """Run the operator while the context lasts; at its end, finish the orders that are being worked on.

    It works when it holds the Lease; until then it is a standby.

    Args:
        settings: what it is told.
        terms: how long the Lease holds, and how it is kept.

    Raises:
        SettingsError: the settings do not go together, or the CustomResourceDefinition is missing.
        AccessDeniedError: RBAC forbids what the operator must do.
        UnavailableError: the API server cannot be reached, or the management port is taken.
    """
    registry = process_registry()
    metrics = OperatorMetrics(registry, *sorted(settings.routing.backends))
    retention_metrics, endpoint_metrics = RetentionMetrics(registry), EndpointMetrics(registry)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.kubeconfig, connections=settings.workers * 2))
        kubernetes = KubernetesApi(api, settings.namespace, timeout=_KUBERNETES_TIMEOUT)
        mail = mail_of(settings)
        await check_access(api, settings.namespace, rules_of(settings), patience=_KUBERNETES_TIMEOUT)
        backends = await stack.enter_async_context(backends_of(settings, api, os.environ))
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        port = await stack.enter_async_context(
            management_server(
                settings.management_port,
                registry,
                live=lambda: "it is ending" if ended.done() else None,
                ready=lambda: None,  # a standby is as ready as it will be
            )
        )
        _log.info("operator.started", namespace=settings.namespace, backends=sorted(backends), management_port=port)
        if settings.smtp_host is None:
            _log.warning(
                "operator.no_mail", message="customers are not told of failed payments: set FULFILLMENT_SMTP_HOST"
            )
        work = _Work(
            settings,
            api,
            kubernetes,
            Dispatch(backends, settings.routing, metrics),
            mail,
            registry,
            metrics,
            retention_metrics,
            endpoint_metrics,
        )
        await stack.enter_async_context(_in_background(work.lead(terms, _fail(ended)), _fail(ended)))
        yield RunningOperator(port, ended)
        _log.info("operator.stopping")


def rules_of(settings: OperatorSettings) -> tuple[Rule, ...]:
    """Tell what RBAC must allow the operator."""
    return (
        Rule("get", names.PLURAL),
        Rule("list", names.PLURAL),
        Rule("watch", names.PLURAL),
        Rule("patch", f"{names.PLURAL}/status"),
        Rule("create", "events"),
        Rule("create", "leases"),
        Rule("get", "leases", settings.lease_name),
        Rule("update", "leases", settings.lease_name),
        *((Rule("delete", names.PLURAL),) if settings.retention else ()),
        *((Rule("get", "configmaps", settings.recovery_configmap),) if settings.recovery_configmap else ()),
        *(kubernetes_jobs.RULES if "job" in settings.routing.backends else ()),
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What the leading operator works with."""

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
        leases = LeaseApi(self.api, settings.namespace, settings.lease_name, timeout=_KUBERNETES_TIMEOUT)
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
                _in_background(self._aftercare(stripe).run(), ended),
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
            every=_SWEEP_EVERY,
            deletions_per_second=_DELETIONS_PER_SECOND,
            clock=whole_seconds,
            random=random.random,
            metrics=self.retention_metrics,
        )
        return _in_background(sweep.run(), ended)

    def _watching_recoveries(self, ended: Callable[[UnavailableError], None]) -> AbstractAsyncContextManager[None]:
        settings = self.settings
        if settings.recovery_configmap is None:
            return nullcontext()
        lines = ConfigMapApi(self.api, settings.namespace, settings.recovery_configmap, timeout=_KUBERNETES_TIMEOUT)
        metrics = RecoveryCollector()
        self.registry.register(metrics)
        watch = RecoveryWatch(lines=lines, every=_LOOK_AT_RECOVERIES_EVERY, metrics=metrics)
        return _in_background(watch.run(), ended)

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
            async with _in_background(check.run(), ended):
                yield


@asynccontextmanager
async def _in_background(
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


def _fail(ended: asyncio.Future[None]) -> Callable[[UnavailableError], None]:
    def fail(error: UnavailableError) -> None:
        if not ended.done():
            ended.set_exception(error)

    return fail
