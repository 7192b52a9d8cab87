"""A webhook service at work before a real API server, with what the tests need of both."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from kubernetes.aio import client
from prometheus_client.parser import text_string_to_metric_families
from stripe import WebhookSignature

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.settings import Secret
from fulfillment_service.main import running_service
from fulfillment_service.settings import ServiceSettings

SECRET, OLD_SECRET = "whsec_new", "whsec_old"
RULES = client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["create", "get", "list", "patch"])
"""What the chart's Role allows the service: no more is needed."""

Answer = tuple[int, dict[str, str]]


def service_settings(control_plane: ControlPlane, namespace: str, **changes: Any) -> ServiceSettings:
    settings: dict[str, Any] = {
        "webhook_secrets": (Secret(SECRET), Secret(OLD_SECRET)),
        "kubeconfig": str(control_plane.kubeconfigs[User.SERVICE]),
        "namespace": namespace,
        "webhook_port": 0,
        "management_port": 0,
        "deadline": timedelta(seconds=9),  # what the API server may take on a busy machine
        "retention": timedelta(0),  # events of real projects are years old
    }
    return ServiceSettings(**(settings | changes))


def sign(body: str, secret: str = SECRET, *, age: float = 0) -> str:
    """Make a Stripe-Signature header, with the library's own way to sign."""
    return str(WebhookSignature.generate_signature_header(body, secret, int(time.time() - age)))


@dataclass(frozen=True)
class RunningWebhook:
    port: int
    management_port: int
    requests: FulfillmentRequestClient
    """The cluster, as someone who may do everything."""
    http: aiohttp.ClientSession

    async def send(self, event: dict[str, Any], secret: str = SECRET) -> Answer:
        """Send an event as Stripe does."""
        body = json.dumps(event)
        return await self.post(body.encode(), sign(body, secret))

    async def post(self, body: bytes, signature: str | None = None) -> Answer:
        """Send anything."""
        headers = {} if signature is None else {"Stripe-Signature": signature}
        url = f"http://localhost:{self.port}/webhook"
        async with self.http.post(url, data=body, headers=headers) as response:
            return response.status, await response.json()

    async def stored(self, name: str) -> FulfillmentRequest:
        return await self.requests.get(name)

    async def metric(self, name: str, **labels: str) -> float | None:
        """Scrape one sample; None when there is no such series."""
        async with self.http.get(f"http://localhost:{self.management_port}/metrics") as response:
            text = await response.text()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), None)


@asynccontextmanager
async def running_webhook(
    control_plane: ControlPlane, namespace: str, settings: ServiceSettings
) -> AsyncIterator[RunningWebhook]:
    async with (
        running_service(settings) as service,
        control_plane.connect() as api,
        aiohttp.ClientSession() as http,
    ):
        yield RunningWebhook(
            port=service.webhook_port,
            management_port=service.management_port,
            requests=FulfillmentRequestClient(LibraryRestClient(api), namespace, timeout=10.0),
            http=http,
        )
