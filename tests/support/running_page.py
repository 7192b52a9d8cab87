"""An order page at work before a real API server and a stand-in for Stripe."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client
from prometheus_client.parser import text_string_to_metric_families

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_page.main import running_page
from fulfillment_page.settings import PageSettings
from fulfillment_runtime.settings import Secret
from fulfillment_service.settings import EventSettings
from support.running_operator import Shop

PAGE_RULES = client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["create", "get", "list", "watch"])
"""What the chart's Role allows the page: no more is needed."""


def page_settings(shop: Shop, **changes: Any) -> PageSettings:
    settings: dict[str, Any] = {
        "stripe_api_key": Secret(TEST_KEY),
        "stripe_api_base": shop.stripe.url,
        "kubeconfig": str(shop.control_plane.kubeconfigs[User.PAGE]),
        "namespace": shop.namespace,
        "page_port": 0,
        "management_port": 0,
        "bind_address": "127.0.0.1",
        "shop_name": "Harbour Goods",
        "shop_url": "https://shop.example/",
        "trusted_proxies": ("127.0.0.1",),
    }
    return PageSettings(**(settings | changes))


@dataclass(frozen=True)
class RunningOrderPage:
    http: aiohttp.ClientSession
    origin: str
    management_url: str

    def url(self, session_id: str, path: str = "/order", **query: str) -> str:
        return f"{self.origin}{path}?{urlencode({'session_id': session_id, **query})}"

    async def visit(
        self, session_id: str, *, address: str = "203.0.113.7", account: str | None = None, **headers: str
    ) -> tuple[int, str]:
        """Visit the page as a browser does, from an address of the visitor's."""
        told = {"X-Forwarded-For": address, "Accept": "text/html,*/*;q=0.8"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.url(session_id, **_named(account))
        async with self.http.get(url, headers=told) as response:
            return response.status, await response.text()

    async def read(self, session_id: str, **headers: str) -> tuple[int, dict[str, Any]]:
        """Ask for JSON."""
        told = {"Accept": "application/json", **headers}
        async with self.http.get(self.url(session_id), headers=told) as response:
            return response.status, await response.json()

    @asynccontextmanager
    async def following(
        self, session_id: str, *, account: str | None = None
    ) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
        """Follow an order as a browser's EventSource does: each event by its fields."""
        timeout = aiohttp.ClientTimeout(total=60)
        url = self.url(session_id, "/order/events", **_named(account))
        async with self.http.get(url, timeout=timeout) as response:
            assert response.headers["Content-Type"].startswith("text/event-stream"), response.status
            yield _events(response.content)

    async def metric(self, name: str, **labels: str) -> float | None:
        """Scrape one sample; None when there is no such series."""
        async with self.http.get(f"{self.management_url}/metrics") as response:
            text = await response.text()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), None)


def _named(account: str | None) -> dict[str, str]:
    return {} if account is None else {"account": account}


async def _events(lines: aiohttp.StreamReader) -> AsyncIterator[dict[str, str]]:
    event: dict[str, str] = {}
    async for line in lines:
        field, _, value = line.decode().rstrip("\r\n").partition(": ")
        if field == "data" and "data" in event:
            event["data"] += f"\n{value}"
        elif field:
            event[field] = value
        elif "data" in event:
            yield event
            event = {}


@asynccontextmanager
async def order_page(
    shop: Shop,
    events: EventSettings | None = None,
    *,
    deadline: timedelta = timedelta(seconds=8),
    **changes: Any,
) -> AsyncIterator[RunningOrderPage]:
    """Run an order page in this process, allowed what the chart allows it."""
    await shop.control_plane.grant(User.PAGE, shop.namespace, [PAGE_RULES])
    async with running_page(page_settings(shop, **changes), events or EventSettings(), deadline=deadline) as page:
        yield RunningOrderPage(
            shop.http, f"http://127.0.0.1:{page.page_port}", f"http://127.0.0.1:{page.management_port}"
        )
