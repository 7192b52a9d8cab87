"""The webhook endpoints that the shop has registered at the stand-in, and how Stripe's API shows them."""

from dataclasses import dataclass
from typing import Any

from fulfillment_local.fake_stripe.model import API_VERSION, EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """A registered endpoint."""

    id: str
    livemode: bool
    enabled_events: tuple[str, ...]
    """The event types that it is sent, or `*`."""
    enabled: bool = True
    api_version: str | None = API_VERSION
    """None: the account's default."""
    url: str = "https://shop.example.com/webhook"
    created: int = 1_767_225_600


def usual_endpoints() -> list[WebhookEndpoint]:
    """Register one in each mode, for all that the stand-in sends."""
    events = tuple(EventType)
    return [
        WebhookEndpoint(id=f"we_{mode}", livemode=mode == "live", enabled_events=events) for mode in ("test", "live")
    ]


def webhook_endpoint_object(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Render a `webhook_endpoint`. Its secret is shown only once, when it is made."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": endpoint.api_version,
        "application": None,
        "created": endpoint.created,
        "description": None,
        "enabled_events": list(endpoint.enabled_events),
        "livemode": endpoint.livemode,
        "metadata": {},
        "status": "enabled" if endpoint.enabled else "disabled",
        "url": endpoint.url,
    }
