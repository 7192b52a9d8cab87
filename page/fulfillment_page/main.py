"""The order page's process: wires it, and runs it until SIGTERM."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv4Network, ip_network
from typing import Any

import structlog
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from fulfillment_page.app import create_app
from fulfillment_page.budgets import Budget, Rate
from fulfillment_page.factory import page_renderer
from fulfillment_page.metrics import PageMetrics
from fulfillment_page.order_feed import OrderFeed
from fulfillment_page.orders import Orders
from fulfillment_page.rbac import PAGE_RULES
from fulfillment_page.session_lookup import LookupOutcome, SessionLookup
from fulfillment_page.settings import PageSettings
from fulfillment_page.visits import OrderPage
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.http_server import serve
from fulfillment_runtime.kubernetes.access import check_access, check_clock
from fulfillment_runtime.kubernetes.connection import connect
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.management import management_server, process_registry
from fulfillment_runtime.process import on_stop_signal
from fulfillment_runtime.settings_reload import settings_changes
from fulfillment_runtime.stripe.client import stripe_client, stripe_reader
from fulfillment_service.request_store import RequestStore
from fulfillment_service.settings import EventSettings, load_with_events

_log = structlog.get_logger(__name__)

_DEADLINE = timedelta(seconds=8)
"""Within which a visit is answered; nobody waits longer for a page."""
_KUBERNETES_TIMEOUT = 4.0  # seconds, of one request to the API server
_CONNECTIONS = 16  # to the API server
_STRIPE_CONCURRENCY = 5
_WATCH_AGAIN = timedelta(milliseconds=200), timedelta(seconds=10)

# What visits may cost, of each pod. A buyer has few orders, and looks at a page a few times a minute; a shop that loses
# its events has two orders a second made here, as long as that lasts.
_READS_OF_ONE, _READS = Rate(burst=30, per_second=2), Rate(burst=200, per_second=100)
_LOOKUPS_OF_ONE, _LOOKUPS = Rate(burst=5, per_second=1 / 15), Rate(burst=20, per_second=2)


async def run_until_stopped(settings: PageSettings, events: EventSettings) -> None:
    """Run the page until it is told to stop, with a new API key, and new rules, as they come.

    Raises:
        ClickException: it cannot start, as `running_page` says.
    """
    stop = asyncio.Event()
    on_stop_signal(stop.set)
    async with running_page(settings, events) as page, asyncio.TaskGroup() as group:
        reloading = group.create_task(_reload(page, os.environ, (settings, events)))
        await stop.wait()
        reloading.cancel()


async def _reload(page: "RunningPage", environ: Mapping[str, str], current: tuple[PageSettings, EventSettings]) -> None:
    """Take a new API key, and which Sessions are orders, as their files change, without a restart."""
    async with AsyncExitStack() as stack:
        async for settings, events in settings_changes(partial(load_with_events, PageSettings), environ, current):
            client = await stack.enter_async_context(stripe_client(settings))
            page.orders.lookup.take(stripe_reader(client, settings, concurrency=_STRIPE_CONCURRENCY), events.rules)
            page.orders.livemode = settings.key_is_live


@dataclass(frozen=True, slots=True)
class RunningPage:
    """A running order page."""

    orders: Orders
    page_port: int
    management_port: int


@asynccontextmanager
async def running_page(
    settings: PageSettings,
    events: EventSettings,
    *,
    deadline: timedelta = _DEADLINE,
    clock: Callable[[], datetime] = utc_now,
) -> AsyncIterator[RunningPage]:
    """Run the order page while the context lasts; at its end drain it, and finish the visits under way.

    Args:
        settings: its own.
        events: which Sessions are orders, as the webhook has it.
        deadline: within which a visit is answered.
        clock: tells the time, with its zone.

    Raises:
        SettingsError: a template, a catalogue or the logo is broken, there is no Kubernetes API to talk to, or the
            CustomResourceDefinition is missing.
        AccessDeniedError: RBAC forbids what the page must do.
        UnavailableError: the API server cannot be reached, the clock is slow, or a port is taken.
    """
    stopping = asyncio.Event()
    renderer, languages = page_renderer(settings)
    registry = process_registry(time.time())
    metrics = PageMetrics(registry, LookupOutcome)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.kubeconfig, connections=_CONNECTIONS + 1))
        requests = FulfillmentRequestClient(LibraryRestClient(api), settings.namespace, timeout=_KUBERNETES_TIMEOUT)
        await check_access(api, settings.namespace, PAGE_RULES, timeout=_KUBERNETES_TIMEOUT)
        await check_clock(api, clock, timeout=_KUBERNETES_TIMEOUT)
        lookup = SessionLookup(
            stripe_reader(
                await stack.enter_async_context(stripe_client(settings)), settings, concurrency=_STRIPE_CONCURRENCY
            ),
            RequestStore(requests=requests, semaphore=asyncio.Semaphore(_CONNECTIONS), random=random.random),
            events.rules,
            budget=Budget(_LOOKUPS_OF_ONE, _LOOKUPS, time.monotonic),
            deadline=deadline,
            metrics=metrics,
            clock=clock,
        )
        feed = OrderFeed(requests, backoff=Backoff(*_WATCH_AGAIN, random.random), metrics=metrics)
        orders = Orders(
            requests=requests,
            lookup=lookup,
            budget=Budget(_READS_OF_ONE, _READS, time.monotonic),
            has_seen_deleted=feed.has_seen_deleted,
            livemode=settings.key_is_live,
        )
        page = OrderPage(
            orders=orders,
            feed=feed,
            renderer=renderer,
            languages=languages,
            metrics=metrics,
            deadline=deadline,
        )
        watching = asyncio.create_task(feed.run())
        stack.callback(watching.cancel)
        management_port = await stack.enter_async_context(
            management_server(
                settings.management_port,
                registry,
                address=settings.bind_address,
                live=lambda: "the watch ended" if watching.done() else None,
                ready=lambda: "it is stopping" if stopping.is_set() else None,
            )
        )
        app: Any = create_app(page)  # uvicorn's types of ASGI are not Litestar's
        behind_proxies: Any = ProxyHeadersMiddleware(app, trusted_hosts=_as_seen(settings.trusted_proxies))
        page_port = await stack.enter_async_context(
            serve(
                behind_proxies,
                settings.page_port,
                what="the order page's port",
                setting="FULFILLMENT_PAGE_PORT",
                address=settings.bind_address,
                head_timeout=deadline.total_seconds(),
                drain=settings.page_drain.total_seconds(),
                grace=deadline.total_seconds() + 1,
                closing=stopping.set,
            )
        )
        stack.callback(feed.end)
        _log.info("page.started", namespace=settings.namespace, page_port=page_port, management_port=management_port)
        yield RunningPage(orders, page_port, management_port)
        _log.info("page.stopping")
    _log.info("page.stopped")


def _as_seen(proxies: Iterable[str]) -> list[str]:
    """Return addresses and networks in each way in which this process may see them.

    A port that is open for both families shows IPv4 as a part of IPv6 (RFC 4291); uvicorn takes it for another address.
    """
    networks = [ip_network(each) for each in proxies]
    mapped = [
        f"::ffff:{each.network_address}/{96 + each.prefixlen}" for each in networks if isinstance(each, IPv4Network)
    ]
    return [*map(str, networks), *mapped]
