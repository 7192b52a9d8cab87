"""Recoveries before a real API server and a stand-in for Stripe, whose time the test tells."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL, VERSION, request_name
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.stripe_world.api import TEST_KEY
from fulfillment_local.stripe_world.model import DeliveryState, Event, Order
from fulfillment_local.stripe_world.server import StripeServer, stripe_server
from fulfillment_local.stripe_world.world import new_world
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes_leases import LeaseApi
from fulfillment_runtime.leadership import Terms
from fulfillment_runtime.settings import Secret
from fulfillment_service.recover import recover
from fulfillment_service.recovery import Tally
from fulfillment_service.recovery_run import Wish
from fulfillment_service.settings import RecoverSettings
from fulfillment_service.translate import Filters

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

QUICK = Terms(duration=timedelta(seconds=4), give_up=timedelta(seconds=3), every=timedelta(seconds=0.1))
HOUR = 60 * 60.0


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
    requests: KubernetesApi
    lines: ConfigMapApi
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
            "STRIPE_TIMEOUT": "2s",
            "KUBECONFIG": str(self.control_plane.kubeconfigs[User.SERVICE]),
            "FULFILLMENT_NAMESPACE": self.namespace,
        }

    async def progress(self) -> None:
        """Wait until a run has seen to a slice."""
        while True:
            for line in (await self.lines.read()).values():
                start, _, reached = line.partition("/")
                if start != reached:
                    return
            await asyncio.sleep(0.01)

    async def recover(
        self,
        *,
        settings: RecoverSettings | None = None,
        filters: Filters = Filters(),  # noqa: B008 - frozen
        **wish: Any,
    ) -> dict[str, int] | None:
        """Run a recovery: what came of how many events; None when another one was under way."""
        found = await recover(settings or self.settings(), filters, Wish(**({"pauses": ()} | wish)), QUICK)
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
        "stripe_timeout": timedelta(seconds=2),
        "kubeconfig": str(control_plane.kubeconfigs[User.SERVICE]),
        "namespace": namespace,
    }
    return RecoverSettings(**(settings | changes))


def plain(tally: Tally) -> dict[str, int]:
    return {str(outcome): count for outcome, count in tally.results.items()}


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
            requests=KubernetesApi(api, namespace, timeout=10),
            lines=ConfigMapApi(api, namespace, NAME, timeout=10),
            lease=LeaseApi(api, namespace, NAME, timeout=10),
        )
