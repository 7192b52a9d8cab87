"""The command `fulfillment service`: wires the webhook service, and runs it until it is told to stop."""

import asyncio
import gc
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import click
import structlog
import uvloop

from fulfillment_api.names import PLURAL
from fulfillment_runtime.kubernetes_access import Rule, check_access
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_connection import connect
from fulfillment_runtime.logs import configure_logs
from fulfillment_runtime.management import management_server
from fulfillment_runtime.metrics import process_registry
from fulfillment_runtime.reload import settings_changes
from fulfillment_runtime.settings import load_settings
from fulfillment_service.app import create_app
from fulfillment_service.callback import Callbacks
from fulfillment_service.filters import filters_of
from fulfillment_service.metrics import CallbackMetrics, WebhookMetrics
from fulfillment_service.server import serve
from fulfillment_service.settings import ServiceSettings
from fulfillment_service.webhook import Webhook

_log = structlog.get_logger(__name__)

_CONNECTIONS = 64  # to the API server: more do not make it any faster
_YOUNG_OBJECTS = 50_000  # before garbage is looked for; the default of 700 costs a fifth of an event's CPU time
_LOOK_AT_FILES_EVERY = 5.0  # seconds; the kubelet itself takes a minute or so
RULES = (Rule("create", PLURAL), Rule("get", PLURAL), Rule("list", PLURAL), Rule("patch", PLURAL))


@click.command()
def command() -> None:
    """Receive Stripe's events, and make FulfillmentRequests of them; take the callbacks of the http backend."""
    settings = load_settings(ServiceSettings, os.environ)
    configure_logs(settings.log_level, settings.log_format)
    gc.set_threshold(_YOUNG_OBJECTS)
    uvloop.run(_run_until_told(settings))


async def _run_until_told(settings: ServiceSettings) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with running_service(settings) as service, asyncio.TaskGroup() as group:
        reloading = group.create_task(_reload(service))
        await told.wait()
        reloading.cancel()


async def _reload(service: "RunningService") -> None:
    """Take new signing secrets as they come, so that one can be rolled without a restart."""
    async for settings in settings_changes(ServiceSettings, os.environ, every=_LOOK_AT_FILES_EVERY):
        service.webhook.secrets = settings.webhook_secrets
        service.callbacks.secret = settings.http_secret


@dataclass(frozen=True, slots=True)
class RunningService:
    """A webhook service at work."""

    webhook: Webhook
    callbacks: Callbacks
    webhook_port: int
    management_port: int


@asynccontextmanager
async def running_service(settings: ServiceSettings) -> AsyncIterator[RunningService]:
    """Run the webhook service while the context lasts; at its end drain it, and finish the requests under way.

    Raises:
        SettingsError: there is no Kubernetes API to talk to, or the CustomResourceDefinition is missing.
        AccessDeniedError: RBAC forbids what the service must do.
        UnavailableError: the API server cannot be reached, or a port is taken.
    """
    stopping = asyncio.Event()
    registry = process_registry()
    deadline = settings.deadline.total_seconds()
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.kubeconfig, connections=_CONNECTIONS))
        # Half of the deadline leaves time for a second try, perhaps at another API server.
        kubernetes = KubernetesApi(api, settings.namespace, timeout=deadline / 2)
        await check_access(api, settings.namespace, RULES, patience=deadline / 2)
        turns = asyncio.Semaphore(_CONNECTIONS)
        webhook = Webhook(
            requests=kubernetes,
            metrics=WebhookMetrics(registry, started_at=time.time()),
            secrets=settings.webhook_secrets,
            tolerance=settings.tolerance,
            filters=filters_of(settings),
            deadline=settings.deadline,
            turns=turns,
            clock=lambda: datetime.now(UTC),
            random=random.random,
        )
        callbacks = Callbacks(
            requests=kubernetes,
            metrics=CallbackMetrics(registry),
            secret=settings.http_secret,
            tolerance=settings.tolerance,
            deadline=settings.deadline,
            turns=turns,
            clock=lambda: datetime.now(UTC),
            random=random.random,
        )
        management_port = await stack.enter_async_context(
            management_server(
                settings.management_port,
                registry,
                live=lambda: None,  # that it answers is the proof
                ready=lambda: "it is stopping" if stopping.is_set() else None,
            )
        )
        app = create_app(webhook, callbacks, max_body_bytes=settings.max_body_bytes)
        webhook_port = await stack.enter_async_context(
            serve(
                app,
                settings.webhook_port,
                patience=deadline,
                drain=settings.drain.total_seconds(),
                grace=deadline + 1,
            )
        )
        stack.callback(stopping.set)
        _log.info(
            "service.started",
            namespace=settings.namespace,
            webhook_port=webhook_port,
            management_port=management_port,
        )
        yield RunningService(webhook, callbacks, webhook_port, management_port)
        _log.info("service.stopping")
    _log.info("service.stopped")
