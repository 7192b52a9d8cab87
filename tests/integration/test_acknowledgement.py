"""A person says that a failure is dealt with, on a real API server: the gauge follows, and nothing else happens."""

import asyncio
from asyncio.subprocess import PIPE
from datetime import timedelta

import pytest

from fulfillment_api.names import ACKNOWLEDGED
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement
from support.running_operator import WITHIN, AtWork, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")


async def kubectl(shop: Shop, *arguments: str) -> str:
    kubeconfig = shop.control_plane.kubeconfigs[User.ADMIN]
    where = (f"--kubeconfig={kubeconfig}", f"--namespace={shop.namespace}")
    process = await asyncio.create_subprocess_exec(shop.control_plane.kubectl, *where, *arguments, stdout=PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def failed(operator: AtWork, reason: str) -> tuple[float | None, float | None]:
    """Scrape how many failed for a reason: not dealt with, and dealt with."""
    labels = {"phase": "failed", "reason": reason}
    open_ones = await operator.metric("fulfillment_requests", **labels, acknowledged="false")
    return open_ones, await operator.metric("fulfillment_requests", **labels, acknowledged="true")


async def becomes(operator: AtWork, expected: tuple[float, float], reason: str = "PaymentFailed") -> None:
    last: object = None
    try:
        async with asyncio.timeout(WITHIN):
            while (last := await failed(operator, reason)) != expected:  # noqa: ASYNC110 - a gauge tells who asks
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"(open, dealt with) became {last}, and not {expected}") from None


async def test_annotating_moves_the_gauge_and_taking_it_away_moves_it_back(shop: Shop) -> None:
    """The operator reconciles nothing again, and writes nothing."""
    async with at_work(shop) as operator:
        other, name = [await shop.sell_in_vain(Order(outcome=Outcome.UNPAID)) for _ in range(2)]
        await shop.becomes(other, Phase.FAILED, "PaymentFailed")
        await shop.becomes(name, Phase.FAILED, "PaymentFailed")
        await becomes(operator, (2, 0))
        await operator.reaches(2, "fulfillment_transitions_total", phase="failed", reason="PaymentFailed")
        before = await shop.api_server_patches()
        reconciles = await operator.metric("fulfillment_reconcile_duration_seconds_count")

        await kubectl(shop, "annotate", "fr", name, f"{ACKNOWLEDGED}=PaymentFailed: told by telephone")
        await becomes(operator, (1, 1))
        assert "PaymentFailed: told by telephone" in await kubectl(shop, "get", "fr", name, "--output=wide")
        await kubectl(shop, "annotate", "fr", name, f"{ACKNOWLEDGED}-")
        await becomes(operator, (2, 0))
        everyone = "--field-selector=status.phase=failed"
        await kubectl(shop, "annotate", "fr", everyone, f"{ACKNOWLEDGED}=PaymentFailed")
        await becomes(operator, (0, 2))

        by_kubectl = 4
        assert await shop.api_server_patches() - before == by_kubectl
        assert await operator.metric("fulfillment_reconcile_duration_seconds_count") == reconciles
    async with at_work(shop) as operator:  # a restart repeats nothing
        await becomes(operator, (0, 2))


async def test_the_next_failure_is_news(shop: Shop) -> None:
    """A failed payment was dealt with; the order is paid after all, and the backend cannot take it."""
    nobody = "http://localhost:9/"
    settings = {"backend": "http", "FULFILLMENT_HTTP_URL": nobody, "backend_deadline": timedelta(0)}
    async with at_work(shop, **settings) as operator:
        name = await shop.sell_in_vain(Order(outcome=Outcome.UNPAID))
        request = await shop.becomes(name, Phase.FAILED, "PaymentFailed")
        await kubectl(shop, "annotate", "fr", name, f"{ACKNOWLEDGED}=PaymentFailed")
        await becomes(operator, (0, 1))
        shop.stripe.world.settle(request.spec.session.id, Settlement.SUCCEEDED)
        await shop.hint(name, PaymentStatus.PAID)
        await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
        await becomes(operator, (0, 0))
        await becomes(operator, (1, 0), "FulfillmentFailed")


async def test_who_has_just_begun_is_not_deaf(shop: Shop) -> None:
    """Without a single request the time of the watch is that of its start."""
    async with at_work(shop) as operator:
        async with asyncio.timeout(WITHIN):
            while not await operator.metric("fulfillment_leader"):  # noqa: ASYNC110 - a gauge tells who asks
                await asyncio.sleep(0.05)
        assert await operator.metric("fulfillment_watch_last_event_timestamp_seconds")
