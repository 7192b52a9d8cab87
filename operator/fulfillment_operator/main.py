"""`fulfillment operator`: wires settings, clients, the watch and the workers together."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import click
import structlog
import uvloop

from fulfillment_operator.dispatch import Dispatch
from fulfillment_operator.endpoint_check import EndpointMetrics
from fulfillment_operator.from_settings import backends_of, mail_of
from fulfillment_operator.leader import KUBERNETES_TIMEOUT, Leader, in_background
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_operator.rules import rules_of
from fulfillment_operator.settings import OperatorSettings
from fulfillment_operator.sweep import RetentionMetrics
from fulfillment_runtime.exits import UnavailableError
from fulfillment_runtime.kubernetes_access import check_access
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_connection import connect
from fulfillment_runtime.leadership import Terms
from fulfillment_runtime.logs import configure_logs
from fulfillment_runtime.management import management_server
from fulfillment_runtime.metrics import process_registry
from fulfillment_runtime.reload import settings_changes
from fulfillment_runtime.settings import load_settings

_log = structlog.get_logger(__name__)

_LOOK_AT_FILES_EVERY = 5.0  # seconds; the kubelet itself takes a minute or so


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
        kubernetes = KubernetesApi(api, settings.namespace, timeout=KUBERNETES_TIMEOUT)
        mail = mail_of(settings)
        await check_access(api, settings.namespace, rules_of(settings), patience=KUBERNETES_TIMEOUT)
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
        leader = Leader(
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
        await stack.enter_async_context(in_background(leader.lead(terms, _fail(ended)), _fail(ended)))
        yield RunningOperator(port, ended)
        _log.info("operator.stopping")


def _fail(ended: asyncio.Future[None]) -> Callable[[UnavailableError], None]:
    def fail(error: UnavailableError) -> None:
        if not ended.done():
            ended.set_exception(error)

    return fail
