"""The check of the registered webhook endpoints, by Stripe's library over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import stripe
from prometheus_client import CollectorRegistry

from fulfillment_local.fake_stripe.api import LIVE_KEY, POWERLESS_KEY, TEST_KEY
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.traffic import Cut, Fail
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_operator.upkeep.webhook_endpoint_check import (
    EndpointsUnreadableError,
    WebhookEndpointCheck,
    WebhookEndpointMetrics,
    list_endpoints,
)
from fulfillment_operator.upkeep.webhook_endpoints import EndpointProblem
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.settings import Secret
from fulfillment_runtime.stripe.client import StripeMisconfiguredError, StripeUnavailableError, stripe_client
from fulfillment_runtime.stripe.settings import StripeSettings


@pytest.fixture
async def server() -> AsyncIterator[StripeServer]:
    async with stripe_server(new_world(seed=3)) as running:
        yield running


@asynccontextmanager
async def client(server: StripeServer, key: str = TEST_KEY) -> AsyncIterator[stripe.StripeClient]:
    async with stripe_client(StripeSettings(stripe_api_key=Secret(key), stripe_api_base=server.url)) as connected:
        yield connected


def check(connected: stripe.StripeClient, registry: CollectorRegistry) -> WebhookEndpointCheck:
    return WebhookEndpointCheck(
        client=connected,
        livemode=False,
        initial_delay=timedelta(0),
        interval=timedelta(seconds=0.01),
        backoff=Backoff(timedelta(seconds=0.01), timedelta(seconds=0.01), lambda: 1.0),
        metrics=WebhookEndpointMetrics(registry),
    )


@pytest.mark.parametrize(("key", "name"), [(TEST_KEY, "we_test"), (LIVE_KEY, "we_live")])
async def test_the_endpoints_of_the_keys_mode_are_listed(server: StripeServer, key: str, name: str) -> None:
    """With what judging needs of each."""
    async with client(server, key) as connected:
        (endpoint,) = await list_endpoints(connected)
    assert (endpoint.id, endpoint.enabled, endpoint.livemode) == (name, True, key == LIVE_KEY)
    assert endpoint.api_version == stripe.api_version
    assert "checkout.session.completed" in endpoint.events


async def test_a_key_without_the_right_is_told_apart(server: StripeServer) -> None:
    """403 is no trouble: the product needs no such right. A wrong key is."""
    async with client(server, POWERLESS_KEY) as connected:
        with pytest.raises(EndpointsUnreadableError, match="to read Webhook Endpoints"):
            await list_endpoints(connected)
    async with client(server, "sk_test_unknown") as connected:
        with pytest.raises(StripeMisconfiguredError, match="does not know the API key"):
            await list_endpoints(connected)
    server.faults.set([Fail(path="/v1/webhook_endpoints", status=503)])
    async with client(server) as connected:
        with pytest.raises(StripeUnavailableError, match="answered 503"):
            await list_endpoints(connected)


async def test_the_gauge_follows_what_is_registered(server: StripeServer) -> None:
    """An event is taken off the endpoint, Stripe fails for a while, and the event is put back."""
    registry = CollectorRegistry()
    usual = server.world.webhook_endpoints

    async def becomes(value: float) -> None:
        async with asyncio.timeout(60):
            while (  # noqa: ASYNC110 - a gauge tells who asks
                registry.get_sample_value(
                    "fulfillment_webhook_endpoint_problem", {"problem": EndpointProblem.MISSING_EVENTS}
                )
                != value
            ):
                await asyncio.sleep(0.01)

    async with client(server) as connected:
        server.world.webhook_endpoints = [
            replace(each, enabled_events=("checkout.session.completed",)) for each in usual
        ]
        server.faults.set([Fail(path="/v1/webhook_endpoints", status=500, times=1), Cut(times=1)])
        running = asyncio.create_task(check(connected, registry).run())
        await becomes(1)
        server.world.webhook_endpoints = usual
        await becomes(0)
        assert not running.done()
        running.cancel()
