"""What the demo tells people to type."""

from pathlib import Path
from typing import Any

import pytest

from fulfillment_local.demo import commands_to_try
from fulfillment_local.local_stack import WEBHOOK_URL, LocalStack


def stack(webhook_url: str, stripe: Any) -> LocalStack:
    other: Any = None
    return LocalStack(
        kubectl=Path("kubectl"),
        kubeconfig=Path("kubeconfig"),
        webhook_url=webhook_url,
        service_url="http://127.0.0.1:8081",
        operator_url="http://127.0.0.1:8082",
        page_url="http://localhost:4244/order",
        mailbox=other,
        stripe=stripe,
        logs=Path("logs"),
        environ={},
    )


class StandIn:
    """Where the stand-in is."""

    url = "http://127.0.0.1:4243"


@pytest.mark.parametrize(
    ("webhook_url", "option"),
    [(WEBHOOK_URL, ""), ("http://localhost:40123/webhook", " --webhook-url http://localhost:40123/webhook")],
)
def test_events_go_to_the_port_that_the_webhook_has(webhook_url: str, option: str) -> None:
    """Its usual one, which needs no word, or the one that was free."""
    shown = commands_to_try(stack(webhook_url, StandIn()))
    assert shown[1].startswith("export STRIPE_API_BASE=http://127.0.0.1:4243 STRIPE_WEBHOOK_SECRETS=")
    assert shown[2] == f".venv/bin/fulfillment trigger paid{option}"
    assert shown[3].endswith(f"--shuffle{option}")


def test_with_stripe_itself_its_own_cli_sends_events() -> None:
    """By its name for the webhook, which has no scheme."""
    shown = commands_to_try(stack("http://localhost:40123/webhook", None))
    assert "stripe listen --forward-to localhost:40123/webhook" in shown
