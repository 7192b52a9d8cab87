"""What Stripe lists of events, over a real socket: what is odd in it is one event's affair."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.settings import Secret
from fulfillment_runtime.stripe.client import StripeUnavailableError, stripe_client, stripe_reader
from fulfillment_runtime.stripe.settings import StripeSettings
from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason
from fulfillment_service.recovery.event_list import Listed, StripeEvents
from fulfillment_service.recovery.time_window import Window
from support.stripe_events import snapshot

ONCE = Backoff(timedelta(0), timedelta(0), lambda: 1.0, attempts=1)


@asynccontextmanager
async def listed(body: str) -> AsyncIterator[StripeEvents]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/events", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        settings = StripeSettings(stripe_api_key=Secret("sk_test_1"), stripe_api_base=url)
        async with stripe_client(settings) as client:
            yield StripeEvents(stripe_reader(client, settings), None, undelivered=True, backoff=ONCE)


def kind_of(each: Listed) -> str | None:
    return each.reason if isinstance(each, EventRejectedError) else each.id


async def test_what_is_odd_spoils_no_page() -> None:
    """Neither half of a surrogate pair in a name, nor what is no event."""
    shown = [snapshot(id="evt_2", session={"metadata": {"name": "\ud83d"}}), 7, snapshot(id="evt_1")]
    async with listed(json.dumps({"data": shown, "has_more": True})) as events:
        page = await events.page(Window(0, 1))
    assert [kind_of(each) for each in page.events] == ["evt_2", EventRejectReason.NOT_AN_OBJECT, "evt_1"]
    assert page.last_id == "evt_1"


@pytest.mark.parametrize("data", [[], [snapshot(id="evt_1"), 7]])
async def test_a_page_that_nothing_can_follow_is_asked_for_again(data: list[object]) -> None:
    """Stripe is told after which event the next page begins."""
    async with listed(json.dumps({"data": data, "has_more": True})) as events:
        with pytest.raises(StripeUnavailableError, match="a page that ends with no event"):
            await events.page(Window(0, 1))


@pytest.mark.parametrize("body", ["{}", '{"data": ' + "[" * 100_000, json.dumps({"data": [{}], "has_more": False})])
async def test_what_is_no_list_of_events_is_asked_for_again(body: str) -> None:
    async with listed(body) as events:
        with pytest.raises(StripeUnavailableError):
            await events.page(Window(0, 1))
