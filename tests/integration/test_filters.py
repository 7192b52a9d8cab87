"""Of several apps that share a Stripe account, one's orders count."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from fulfillment_api.names import request_name
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_runtime.findings import Check, Verdict
from fulfillment_runtime.kubernetes.errors import NotFoundError
from fulfillment_service.check_online import check_last_event
from support.running_webhook import RULES, RunningWebhook, running_webhook, service_settings
from support.serving import serving
from support.stripe_events import snapshot, thin

FILTERS: dict[str, Any] = {
    "payment_links": ("plink_1", "plink_2"),
    "metadata": ("app=shop", "stage=live"),
    "retention": timedelta(days=45),
}
OURS = {"payment_link": "plink_2", "metadata": {"app": "shop", "stage": "live", "cart": "17"}}
EVENTS = "fulfillment_webhook_events_total"
COMPLETED = "checkout.session.completed"


@pytest.fixture
async def webhook(
    control_plane: ControlPlane,
    namespace: str,
    crd: None,  # noqa: ARG001 - it must be there
) -> AsyncIterator[RunningWebhook]:
    await control_plane.grant(User.SERVICE, namespace, [RULES])
    settings = service_settings(control_plane, namespace, **FILTERS)
    async with running_webhook(control_plane, namespace, settings) as webhook:
        yield webhook


def sold(session: str, *, days_ago: float = 0, **facts: Any) -> dict[str, Any]:
    created = int(time.time() - days_ago * 24 * 60 * 60)
    return snapshot(COMPLETED, session={"id": session, **OURS, **facts}, created=created)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (sold("cs_test_1", payment_link="plink_3"), "payment-link"),
        (sold("cs_test_1", payment_link=None), "payment-link"),
        (sold("cs_test_1", metadata={"app": "forum", "stage": "live"}), "metadata"),
        (sold("cs_test_1", days_ago=46), "older-than-retention"),
    ],
)
async def test_what_does_not_count_is_acknowledged_and_counted(
    webhook: RunningWebhook, event: dict[str, Any], reason: str
) -> None:
    """200, so that Stripe sends it no more; its reason was at 0 before; no request is made."""
    assert await webhook.metric(EVENTS, type=COMPLETED, outcome=reason) == 0
    assert await webhook.send(event) == (200, {"result": "ignored", "reason": reason})
    assert await webhook.metric(EVENTS, type=COMPLETED, outcome=reason) == 1
    with pytest.raises(NotFoundError):
        await webhook.stored(request_name("cs_test_1"))


async def test_what_counts_is_recorded(webhook: RunningWebhook) -> None:
    """An order of this app's; even one that Stripe sends after a month."""
    for session, days_ago in (("cs_test_new", 0), ("cs_test_old", 30)):
        name = request_name(session)
        assert await webhook.send(sold(session, days_ago=days_ago)) == (200, {"result": "created", "request": name})
        assert (await webhook.stored(name)).spec.session.payment_link == "plink_2"


async def test_a_thin_event_is_rejected(webhook: RunningWebhook, control_plane: ControlPlane) -> None:
    """Its order may be another app's or this one's: the answer, which Stripe's Dashboard shows, says what to do."""
    status, answer = await webhook.send(thin())
    assert (status, answer["error"]) == (400, "unfilterable")
    assert answer["detail"].endswith("let the event destination send snapshot events, or unset both")
    assert await webhook.metric("fulfillment_webhook_rejections_total", reason="unfilterable") == 1
    settings = service_settings(control_plane, "default", management_port=webhook.management_port)
    last, rejected = await check_last_event(settings)
    assert (last.verdict, last.check) == (Verdict.OK, Check.LAST_EVENT)
    assert (rejected.verdict, rejected.check) == (Verdict.FAILURE, Check.ENDPOINT)
    assert rejected.message.startswith("events that Stripe signed are rejected (1 unfilterable since the pod started, ")


async def test_no_event_is_looked_for_where_no_service_runs(control_plane: ControlPlane) -> None:
    """Nor where another process has its port."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text="up 1\n")

    async with serving(web.get("/metrics", metrics)) as another:
        port = int(another.rpartition(":")[2])
        assert await check_last_event(service_settings(control_plane, "default", management_port=port)) == []
    assert await check_last_event(service_settings(control_plane, "default", management_port=port)) == []
