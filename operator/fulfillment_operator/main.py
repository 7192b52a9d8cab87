"""The operator's process: wires settings, clients, the watch and the workers together."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from kubernetes.aio import client

from fulfillment_operator.backends.interface import Backend
from fulfillment_operator.controller.dispatcher import Dispatcher
from fulfillment_operator.controller.health import Health
from fulfillment_operator.factory import open_backends, retry_policy
from fulfillment_operator.leader import KUBERNETES_TIMEOUT, Leader, LeaderMetrics, in_background
from fulfillment_operator.mail.factory import customer_mail
from fulfillment_operator.mail.smtp import Mailer, NoMailer
from fulfillment_operator.rbac import rules_of
from fulfillment_operator.settings import OperatorSettings, load_operator_settings
from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.kubernetes.access import check_access
from fulfillment_runtime.kubernetes.connection import connect
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.leader_election import LeaderElectionConfig
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.management import management_server, process_registry
from fulfillment_runtime.process import fail, on_stop_signal
from fulfillment_runtime.settings_reload import settings_changes

_log = structlog.get_logger(__name__)

_AT_ONE_ORDER = timedelta(minutes=10)  # beside Stripe's and the mail server's deadlines: far more than a backend's


async def run_until_stopped(settings: OperatorSettings) -> None:
    """Run the operator until it is told to stop, anew with each change of its settings.

    Raises:
        ClickException: it cannot start, or not go on, as `running_operator` says.
    """
    stopping = asyncio.Event()
    on_stop_signal(stopping.set)
    check = partial(_check, environ=os.environ)
    changes = settings_changes(load_operator_settings, os.environ, settings, check=check)
    stop = asyncio.create_task(stopping.wait())
    while not stopping.is_set():
        change = asyncio.ensure_future(anext(changes))
        async with running_operator(settings, os.environ) as operator:
            first: set[asyncio.Future[Any]] = {stop, change, operator.ended}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if operator.ended.done():
            operator.ended.result()
        if change.done():  # what was begun is finished; all is wired anew, with the new settings
            settings = change.result()
        change.cancel()


async def _check(settings: OperatorSettings, *, environ: Mapping[str, str]) -> None:
    """Make sure that an operator can start with these settings: one that cannot would leave all orders alone."""
    async with _clients(settings, environ):
        pass


@dataclass(frozen=True, slots=True)
class _Clients:
    """What an operator reaches the outside by."""

    api: client.ApiClient
    mail: Mailer | NoMailer
    backends: Mapping[str, Backend]


@asynccontextmanager
async def _clients(settings: OperatorSettings, environ: Mapping[str, str]) -> AsyncIterator[_Clients]:
    """Open them; raise as `running_operator` does, which is all that can be found wrong before it works."""
    async with connect(settings.kubeconfig, connections=settings.workers * 2) as api:
        mail = customer_mail(settings)
        await check_access(api, settings.namespace, rules_of(settings), timeout=KUBERNETES_TIMEOUT)
        async with open_backends(settings, environ, api) as backends:
            yield _Clients(api, mail, backends)


@dataclass(frozen=True, slots=True)
class RunningOperator:
    """An operator at work."""

    management_port: int
    ended: asyncio.Future[None]
    """Fails with UnavailableError when the watch ends by itself, or another operator may lead: the process must end."""


@asynccontextmanager
async def running_operator(
    settings: OperatorSettings,
    environ: Mapping[str, str],
    election: LeaderElectionConfig = LeaderElectionConfig(),  # noqa: B008 - frozen
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[RunningOperator]:
    """Run the operator while the context lasts; at its end, finish the orders that are being worked on.

    It works when it holds the Lease; until then it is a standby.

    Args:
        settings: its own.
        environ: environment variables, such as `os.environ`, for the settings of its backends.
        election: how long the Lease holds, and how it is renewed.
        monotonic: tells the seconds by which the rate of Events is bounded.

    Raises:
        SettingsError: the settings do not go together, or the CustomResourceDefinition is missing.
        AccessDeniedError: RBAC forbids what the operator must do.
        UnavailableError: the API server cannot be reached, or the management port is taken.
    """
    registry = process_registry(time.time())
    metrics = LeaderMetrics(registry, *sorted(settings.routing.backends))
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(_clients(settings, environ))
        rest = LibraryRestClient(clients.api)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        health = Health(
            at_one_order=_AT_ONE_ORDER + settings.stripe_timeout + settings.smtp_timeout,
            clock=utc_now,
            monotonic=monotonic,
            metrics=metrics.operator,
        )
        port = await stack.enter_async_context(
            management_server(
                settings.management_port,
                registry,
                address=settings.bind_address,
                live=lambda: "it is ending" if ended.done() else health.live(),
                ready=health.ready,  # a standby is as ready as it will be
            )
        )
        _log.info(
            "operator.started", namespace=settings.namespace, backends=sorted(clients.backends), management_port=port
        )
        if settings.smtp_host is None:
            _log.warning(
                "operator.no_mail",
                message=with_chart_values("customers are not mailed of failed payments: set FULFILLMENT_SMTP_HOST"),
            )
        policy = retry_policy(settings)
        leader = Leader(
            settings=settings,
            api=clients.api,
            requests=FulfillmentRequestClient(rest, settings.namespace, timeout=KUBERNETES_TIMEOUT),
            events=EventSink(rest, settings.namespace, reporter=socket.gethostname(), timeout=KUBERNETES_TIMEOUT),
            dispatcher=Dispatcher(
                backends=clients.backends,
                routing=settings.routing,
                deadline=policy.backend_deadline,
                clock=utc_now,
                metrics=metrics.operator,
            ),
            mail=clients.mail,
            retry_policy=policy,
            metrics=metrics,
            health=health,
            monotonic=monotonic,
        )
        await stack.enter_async_context(
            in_background(leader.lead(election, partial(fail, ended)), partial(fail, ended))
        )
        yield RunningOperator(port, ended)
        _log.info("operator.stopping")
