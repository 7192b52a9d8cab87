"""`fulfillment operator`: wires settings, clients, the watch and the workers together."""

import asyncio
import os
import random
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_never

import aiohttp
import click
import stripe
import structlog
import uvloop
from standardwebhooks.webhooks import EmptyWebhookSecretError

from fulfillment_api import names
from fulfillment_operator.backends.http import HttpBackend
from fulfillment_operator.backends.interface import Backend
from fulfillment_operator.backends.log import LogBackend
from fulfillment_operator.backoff import Backoff
from fulfillment_operator.controller import Controller
from fulfillment_operator.mail import Mailer, NoMailer, PaymentFailedMail, Shop, SmtpServer
from fulfillment_operator.metrics import OperatorMetrics, RequestsCollector
from fulfillment_operator.reconcile import CustomerMail, Pace, Reconciler
from fulfillment_operator.settings import BackendName, OperatorSettings
from fulfillment_operator.stripe_api import StripeApi
from fulfillment_operator.watch import watching
from fulfillment_runtime.exits import SettingsError
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_connection import connect
from fulfillment_runtime.logs import configure_logs
from fulfillment_runtime.management import management_server
from fulfillment_runtime.metrics import process_registry
from fulfillment_runtime.settings import load_settings

_log = structlog.get_logger(__name__)

_KUBERNETES_TIMEOUT = 5.0
_GRACE_SECONDS = 25.0  # below a pod's default terminationGracePeriodSeconds of 30
_RULES = (
    ("get", names.PLURAL),
    ("list", names.PLURAL),
    ("watch", names.PLURAL),
    ("patch", f"{names.PLURAL}/status"),
    ("create", "events"),
)


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
    async with running_operator(settings) as operator:
        operator.ended.add_done_callback(lambda _: told.set())
        await told.wait()
        if operator.ended.done():
            operator.ended.result()


@dataclass(frozen=True, slots=True)
class RunningOperator:
    """An operator at work."""

    management_port: int
    ended: asyncio.Future[None]
    """Fails with UnavailableError when the watch ends by itself."""


@asynccontextmanager
async def running_operator(settings: OperatorSettings) -> AsyncIterator[RunningOperator]:
    """Run the operator while the context lasts; at its end, finish the orders that are being worked on.

    Raises:
        SettingsError: the settings do not go together, or the CustomResourceDefinition is missing.
        AccessDeniedError: RBAC forbids what the operator must do.
        UnavailableError: the API server cannot be reached, or the management port is taken.
    """
    registry = process_registry()
    metrics = OperatorMetrics(registry, settings.backend)
    pace = _pace(settings)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.kubeconfig, connections=settings.workers * 2))
        kubernetes = KubernetesApi(api, settings.namespace, timeout=_KUBERNETES_TIMEOUT)
        backend = await stack.enter_async_context(_backend(settings))
        mail = _mail(settings)
        await kubernetes.check_access(*_RULES)
        reconciler = Reconciler(
            stripe=await stack.enter_async_context(_stripe(settings)),
            backend=backend,
            mail=mail,
            kubernetes=kubernetes,
            pace=pace,
            livemode=settings.livemode,
            clock=_now,
            metrics=metrics,
            reporter=socket.gethostname(),
        )
        controller = Controller(reconciler, pace, _now, metrics)
        registry.register(RequestsCollector(controller.requests, controller.queue_depth))
        await stack.enter_async_context(controller.working(settings.workers, timedelta(seconds=_GRACE_SECONDS)))
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        began = await stack.enter_async_context(
            watching(
                controller=controller,
                configuration=api.configuration,
                namespace=settings.namespace,
                clock=_now,
                metrics=metrics,
                ended=ended.set_exception,
            )
        )
        port = await stack.enter_async_context(
            management_server(
                settings.management_port,
                registry,
                live=lambda: "the watch ended" if ended.done() else None,
                ready=lambda: None if began.is_set() else "the watch has not begun",
            )
        )
        _log.info(
            "operator.started",
            namespace=settings.namespace,
            backend=settings.backend,
            livemode=settings.livemode,
            management_port=port,
        )
        if settings.smtp_host is None:
            _log.warning(
                "operator.no_mail", message="customers are not told of failed payments: set FULFILLMENT_SMTP_HOST"
            )
        yield RunningOperator(port, ended)
        _log.info("operator.stopping")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)  # metav1.Time has whole seconds


def _pace(settings: OperatorSettings) -> Pace:
    return Pace(
        recheck=settings.recheck_interval,
        backend=Backoff(timedelta(seconds=2), settings.backend_retry_max, random.random),
        backend_deadline=settings.backend_deadline,
        trouble=Backoff(timedelta(seconds=1), timedelta(minutes=1), random.random),
        kubernetes=Backoff(timedelta(seconds=0.2), timedelta(seconds=5), random.random),
    )


@asynccontextmanager
async def _stripe(settings: OperatorSettings) -> AsyncIterator[StripeApi]:
    http = stripe.AIOHTTPClient(timeout=settings.stripe_timeout.total_seconds())
    client = stripe.StripeClient(
        settings.stripe_api_key,
        http_client=http,
        base_addresses={"api": settings.stripe_api_base} if settings.stripe_api_base else {},
        max_network_retries=0,  # the queue tries again, within the rate
    )
    try:
        yield StripeApi(client, per_second=settings.stripe_requests_per_second, concurrency=settings.stripe_concurrency)
    finally:
        await http.close_async()  # type: ignore[no-untyped-call] # the library's


@asynccontextmanager
async def _backend(settings: OperatorSettings) -> AsyncIterator[Backend]:
    match settings.backend:
        case BackendName.LOG:
            yield LogBackend()
        case BackendName.HTTP:
            async with aiohttp.ClientSession() as client:
                try:
                    yield HttpBackend(
                        client,
                        url=settings.http_url or "",
                        secret=settings.http_secret,
                        timeout=settings.http_timeout,
                        clock=_now,
                    )
                except (ValueError, EmptyWebhookSecretError) as error:
                    raise SettingsError(f"FULFILLMENT_HTTP_SECRET is no Standard Webhooks secret: {error}") from error
        case _:
            assert_never(settings.backend)


def _mail(settings: OperatorSettings) -> CustomerMail:
    if settings.smtp_host is None or settings.mail_from is None:
        return NoMailer()
    shop = Shop(settings.shop_name, settings.shop_url, settings.mail_from)
    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=settings.smtp_password,
        timeout=settings.smtp_timeout,
        trust=ssl.create_default_context(),
    )
    return Mailer(PaymentFailedMail(shop, settings.mail_templates), server, _now)
