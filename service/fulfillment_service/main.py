"""The service's process: wires the webhook service, and runs it until SIGTERM."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from fulfillment_runtime.http_server import serve
from fulfillment_runtime.kubernetes.access import check_access
from fulfillment_runtime.kubernetes.connection import connect
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.management import management_server, process_registry
from fulfillment_runtime.process import on_stop_signal
from fulfillment_runtime.settings import load_settings
from fulfillment_runtime.settings_reload import settings_changes
from fulfillment_service.http.app import create_app
from fulfillment_service.http.callback import Callbacks
from fulfillment_service.http.metrics import CallbackMetrics, WebhookMetrics
from fulfillment_service.http.senders import AllowedSources
from fulfillment_service.http.webhook import Webhook
from fulfillment_service.rbac import SERVICE_RULES
from fulfillment_service.request_store import RequestStore
from fulfillment_service.settings import ServiceSettings

_log = structlog.get_logger(__name__)

_START_TIMEOUT = 5.0  # seconds that one request to the API server may take while nobody waits for an answer
_CONNECTIONS = 64  # to the API server: more do not make it any faster


async def run_until_stopped(settings: ServiceSettings) -> None:
    """Run the service until it is told to stop, with new signing secrets, and new rules, as they come.

    Raises:
        ClickException: it cannot start, as `running_service` says.
    """
    stop = asyncio.Event()
    on_stop_signal(stop.set)
    async with running_service(settings) as service, asyncio.TaskGroup() as group:
        reloading = group.create_task(_reload(service, settings))
        await stop.wait()
        reloading.cancel()


def _allowed_sources(settings: ServiceSettings) -> AllowedSources | None:
    if settings.allowed_sources is None:
        return None
    return AllowedSources.of(settings.allowed_sources, settings.trusted_proxies or ())


async def _reload(service: "RunningService", current: ServiceSettings) -> None:
    """Take new signing secrets, and which events count, as their files change, without a restart."""
    load = partial(load_settings, ServiceSettings)
    async for settings in settings_changes(load, os.environ, current):
        service.take(settings)


@dataclass(frozen=True, slots=True)
class RunningService:
    """A running webhook service."""

    webhook: Webhook
    callbacks: Callbacks
    webhook_port: int
    management_port: int

    def take(self, settings: ServiceSettings) -> None:
        """Go by other settings from the next answer on, but for what it was started with: ports, deadlines, sizes."""
        webhook, callbacks = self.webhook, self.callbacks
        webhook.secrets, webhook.rules = settings.webhook_secrets, settings.rules
        webhook.sources = _allowed_sources(settings)
        webhook.tolerance = callbacks.tolerance = settings.tolerance
        callbacks.secret = settings.http_secret


@asynccontextmanager
async def running_service(settings: ServiceSettings) -> AsyncIterator[RunningService]:
    """Run the webhook service while the context lasts; at its end drain it, and finish the requests under way.

    Raises:
        SettingsError: there is no Kubernetes API to talk to, or the CustomResourceDefinition is missing.
        AccessDeniedError: RBAC forbids what the service must do.
        UnavailableError: the API server cannot be reached, or a port is taken.
    """
    stopping = asyncio.Event()
    started_at = time.time()
    registry = process_registry(started_at)
    deadline = settings.deadline.total_seconds()
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.kubeconfig, connections=_CONNECTIONS))
        # Half of the deadline leaves time for a second try, perhaps at another API server.
        requests = FulfillmentRequestClient(LibraryRestClient(api), settings.namespace, timeout=deadline / 2)
        await check_access(api, settings.namespace, SERVICE_RULES, timeout=_START_TIMEOUT)
        store = RequestStore(requests=requests, semaphore=asyncio.Semaphore(_CONNECTIONS), random=random.random)
        webhook = Webhook(
            store=store,
            metrics=WebhookMetrics(registry, started_at=started_at),
            secrets=settings.webhook_secrets,
            tolerance=settings.tolerance,
            rules=settings.rules,
            deadline=settings.deadline,
            clock=lambda: datetime.now(UTC),
            sources=_allowed_sources(settings),
        )
        callbacks = Callbacks(
            store=store,
            metrics=CallbackMetrics(registry),
            secret=settings.http_secret,
            tolerance=settings.tolerance,
            deadline=settings.deadline,
            clock=lambda: datetime.now(UTC),
        )
        management_port = await stack.enter_async_context(
            management_server(
                settings.management_port,
                registry,
                address=settings.bind_address,
                live=lambda: None,  # that it answers is the proof
                ready=lambda: "it is stopping" if stopping.is_set() else None,
            )
        )
        app = create_app(webhook, callbacks, max_body_bytes=settings.max_body_bytes)
        webhook_port = await stack.enter_async_context(
            serve(
                app,
                settings.webhook_port,
                what="the webhook port",
                setting="FULFILLMENT_WEBHOOK_PORT",
                address=settings.bind_address,
                head_timeout=deadline,
                drain=settings.drain.total_seconds(),
                grace=deadline + 1,
                closing=stopping.set,
                turned_away=webhook.turned_away,
            )
        )
        _log.info(
            "service.started",
            namespace=settings.namespace,
            webhook_port=webhook_port,
            management_port=management_port,
        )
        yield RunningService(webhook, callbacks, webhook_port, management_port)
        _log.info("service.stopping")
    _log.info("service.stopped")
