"""The operator that leads exposes what recoveries left: a real run, a real API server, and what Prometheus reads."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from kubernetes.aio import client
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import Order, Outcome
from fulfillment_operator.upkeep.recovery_metrics import RecoveryCollector, RecoveryMetrics
from fulfillment_runtime.fatal_errors import AccessDeniedError
from support.running_operator import Shop, at_work
from support.running_recovery import HOUR, NAME, Outage, outage

pytestmark = pytest.mark.usefixtures("crd")

RULE = client.V1PolicyRule(api_groups=[""], resources=["configmaps"], resource_names=[NAME], verbs=["get"])
"""What the chart's Role allows the operator, besides, when there are recoveries."""
SUCCESS, EVENTS = "fulfillment_recovery_last_success_timestamp_seconds", "fulfillment_recovery_last_run_events"


@pytest.fixture
async def missed(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Outage]:
    async with outage(control_plane, namespace) as missed:
        yield missed


@pytest.fixture
def watched() -> tuple[CollectorRegistry, RecoveryCollector]:
    registry, metrics = CollectorRegistry(), RecoveryCollector()
    registry.register(metrics)
    return registry, metrics


async def test_the_operator_tells_of_a_run(shop: Shop, missed: Outage) -> None:
    """When it succeeded, and what it found: minutes or days after its pod ended."""
    missed.clock.ago(48 * HOUR)
    missed.lose()
    missed.lose(Order(outcome=Outcome.EXPIRED))
    started = datetime.now(UTC).timestamp()
    await missed.recover()
    await shop.control_plane.grant(User.OPERATOR, shop.namespace, [RULE])

    async with at_work(shop, recovery_configmap=NAME) as operator:
        async with asyncio.timeout(60):
            while (success := await operator.metric(SUCCESS)) is None:  # noqa: ASYNC110 - it is read in the background
                await asyncio.sleep(0.05)
        found = {
            outcome: await operator.metric(EVENTS, outcome=outcome)
            for outcome in ("created", "updated", "unchanged", "ignored", "failed")
        }

    assert success == pytest.approx(started, abs=30)
    assert found == {"created": 1, "updated": 0, "unchanged": 0, "ignored": 1, "failed": 0}


async def test_without_recoveries_it_tells_nothing(shop: Shop) -> None:
    """And needs no right to a ConfigMap; with them it says at its start that the right is missing."""
    async with at_work(shop) as operator:
        assert await operator.metric(SUCCESS) is None
    with pytest.raises(AccessDeniedError, match=f"get configmaps named {NAME}"):
        async with at_work(shop, recovery_configmap=NAME):
            pass


async def test_the_metrics_follow_the_notes(
    missed: Outage, watched: tuple[CollectorRegistry, RecoveryCollector]
) -> None:
    """Nothing until they are read; 0 before the first run; and what cannot be read leaves them as they were."""
    registry, metrics = watched
    assert registry.get_sample_value(SUCCESS) is None

    async def becomes(created: float) -> None:
        async with asyncio.timeout(60):
            while registry.get_sample_value(EVENTS, {"outcome": "created"}) != created:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    watch = RecoveryMetrics(configmap=missed.checkpoint, interval=timedelta(seconds=0.01), collector=metrics)
    running = asyncio.create_task(watch.run())
    await becomes(0)
    assert registry.get_sample_value(SUCCESS) == 0
    missed.clock.ago(48 * HOUR)
    missed.lose()
    await missed.recover()
    await becomes(1)
    success = registry.get_sample_value(SUCCESS)
    with capture_logs() as log:
        await missed.checkpoint.write({"last-result": "all is well", "last-success": None})
        async with asyncio.timeout(60):
            while not log:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    assert log[0]["event"] == "recovery.last_run_unreadable"
    assert registry.get_sample_value(SUCCESS) == success
    await missed.recover()
    await becomes(0)
    assert not running.done()
    running.cancel()
