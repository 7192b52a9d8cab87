"""Recoveries before a real API server and a stand-in for Stripe, whose time the test tells."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL, VERSION, request_name
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.model import DeliveryState, Event, Order
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.kubernetes.configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.leader_election import LeaderElectionConfig
from fulfillment_runtime.kubernetes.leases import LeaseApi
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.settings import Secret
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.rules import EventRules
from fulfillment_service.recovery.backfill import Summary
from fulfillment_service.recovery.main import recover
from fulfillment_service.recovery.run import RecoveryOptions
from fulfillment_service.settings import RecoverSettings

NAME = "checkout-fulfillment-recovery"
RULES = (
    client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["create", "get", "list", "patch"]),
    client.V1PolicyRule(api_groups=[""], resources=["configmaps"], verbs=["create"]),
    client.V1PolicyRule(api_groups=[""], resources=["configmaps"], resource_names=[NAME], verbs=["get", "patch"]),
    client.V1PolicyRule(api_groups=["coordination.k8s.io"], resources=["leases"], verbs=["create"]),
    client.V1PolicyRule(
        api_groups=["coordination.k8s.io"], resources=["leases"], resource_names=[NAME], verbs=["get", "update"]
    ),
)
"""What the chart's Role allows a recovery: no more is needed."""

QUICK = LeaderElectionConfig(
    lease_duration=timedelta(seconds=10),
    renew_deadline=timedelta(seconds=8),
    renew_period=timedelta(seconds=0.1),
    retry_period=timedelta(seconds=0.1),
)
HOUR = 60 * 60.0


def tries(attempts: int, *, wait: timedelta = timedelta(seconds=0.01)) -> Backoff:
    """Try one request to Stripe so often, at one pace."""
    return Backoff(wait, wait, lambda: 1.0, attempts)


class Clock:
    """Tells the stand-in for Stripe what time it is."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def ago(self, seconds: float) -> None:
        """Set it to so long ago."""
        self.now = time.time() - seconds


@dataclass(frozen=True)
class Outage:
    """A cluster that missed what happened at Stripe."""

    control_plane: ControlPlane
    namespace: str
    stripe: StripeServer
    clock: Clock
    api: client.ApiClient
    """As someone who may do everything."""
    requests: FulfillmentRequestClient
    checkpoint: ConfigMapApi
    lease: LeaseApi

    def lose(self, order: Order | None = None, delivery: DeliveryState = DeliveryState.FAILED) -> Event:
        """Let a buyer complete Checkout; by default the event is not delivered."""
        _, event = self.stripe.world.play(order or Order())
        assert event is not None
        self.stripe.world.mark(event.id, delivery)
        return event

    def settings(self, **changes: Any) -> RecoverSettings:
        return recover_settings(self.control_plane, self.namespace, self.stripe, **changes)

    @property
    def environ(self) -> dict[str, str]:
        """The same, as the environment of a process."""
        return {
            "PATH": os.environ["PATH"],
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_API_BASE": self.stripe.url,
            "STRIPE_REQUESTS_PER_SECOND": "1000",
            "STRIPE_ENDPOINT_REQUESTS_PER_SECOND": "1000",
            "STRIPE_TIMEOUT": "10s",
            "KUBECONFIG": str(self.control_plane.kubeconfigs[User.SERVICE]),
            "FULFILLMENT_NAMESPACE": self.namespace,
        }

    async def progress(self, running: asyncio.Task[Any] | None = None) -> None:
        """Wait until a run, which may be a task of this process, has handled a slice."""
        while running is None or not running.done():
            for entry in (await self.checkpoint.read()).values():
                start, _, reached = entry.partition("/")
                if start != reached:
                    return
            await asyncio.sleep(0.01)
        raise AssertionError(f"it ended before that: {running.exception() or running.result()}")

    async def recover(
        self,
        *,
        settings: RecoverSettings | None = None,
        filters: Filters = Filters(),  # noqa: B008 - frozen
        clock: Callable[[], datetime] = utc_now,
        **options: Any,
    ) -> dict[str, int] | None:
        """Run a recovery: what came of how many events; None when another one was under way."""
        run = RecoveryOptions(**({"backoff": tries(1)} | options))
        found = await recover(settings or self.settings(), EventRules(filters=filters), run, QUICK, clock)
        return None if found is None else plain(found)

    async def orders(self) -> list[str]:
        """Name the requests in the order of their creation."""
        found: Any = await client.CustomObjectsApi(self.api).list_namespaced_custom_object(
            GROUP, VERSION, self.namespace, PLURAL
        )
        made = sorted(found["items"], key=lambda each: int(each["metadata"]["resourceVersion"]))
        return [each["metadata"]["name"] for each in made]

    def starts(self) -> list[int]:
        """Tell where each stretch of time begins that Stripe was asked for."""
        queries = (parse_qs(request.query) for request in self.stripe.traffic.at("/v1/events"))
        return [int(query["created[gte]"][0]) for query in queries]


def recover_settings(
    control_plane: ControlPlane, namespace: str, stripe: StripeServer, **changes: Any
) -> RecoverSettings:
    settings: dict[str, Any] = {
        "stripe_api_key": Secret(TEST_KEY),
        "stripe_api_base": stripe.url,
        "stripe_requests_per_second": 1000.0,
        "stripe_endpoint_requests_per_second": 1000.0,
        "stripe_timeout": timedelta(seconds=10),
        "kubeconfig": str(control_plane.kubeconfigs[User.SERVICE]),
        "namespace": namespace,
    }
    return RecoverSettings(**(settings | changes))


def plain(summary: Summary) -> dict[str, int]:
    return {str(outcome): count for outcome, count in summary.results.items()}


def name_of(event: Event) -> str:
    return request_name(event.session.id, event.order.account)


@asynccontextmanager
async def outage(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Outage]:
    """Allow a recovery what the chart allows it; nothing has happened at Stripe yet."""
    await control_plane.grant(User.SERVICE, namespace, RULES)
    clock = Clock()
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(control_plane.connect())
        yield Outage(
            control_plane=control_plane,
            namespace=namespace,
            stripe=await stack.enter_async_context(stripe_server(new_world(seed=7, clock=clock))),
            clock=clock,
            api=api,
            requests=FulfillmentRequestClient(LibraryRestClient(api), namespace, timeout=10),
            checkpoint=ConfigMapApi(api, namespace, NAME, timeout=10),
            lease=LeaseApi(api, namespace, NAME, timeout=10),
        )
