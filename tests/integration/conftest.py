from collections.abc import AsyncIterator

import pytest

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from support.running_operator import Shop, open_shop
from support.running_webhook import RULES, RunningWebhook, running_webhook, service_settings


@pytest.fixture
async def webhook(
    control_plane: ControlPlane,
    namespace: str,
    crd: None,  # noqa: ARG001 - it must be there
) -> AsyncIterator[RunningWebhook]:
    """Run the webhook service, allowed what the chart allows it."""
    await control_plane.grant(User.SERVICE, namespace, [RULES])
    async with running_webhook(control_plane, namespace, service_settings(control_plane, namespace)) as webhook:
        yield webhook


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    """Open a shop with everything that the operator meets; no operator is at work."""
    async with open_shop(control_plane, namespace) as shop:
        yield shop
