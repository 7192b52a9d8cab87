"""`fulfillment operator` as a process in a rolling update: the old one ends, and the next one leads at once."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fulfillment_api.status import Phase
from fulfillment_local.credentials import User
from fulfillment_local.stripe_world.api import TEST_KEY
from fulfillment_local.stripe_world.model import Order
from running_operator import Shop

pytestmark = pytest.mark.usefixtures("crd")

FULFILLMENT = Path(sys.executable).with_name("fulfillment")
AT_ONCE = 2.0  # seconds; it takes half a second
NEXT_TRY = 2.0  # seconds between two tries of a standby for the Lease


@asynccontextmanager
async def running(shop: Shop) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(FULFILLMENT, "operator"),
        env={
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_API_BASE": shop.stripe.url,
            "FULFILLMENT_MANAGEMENT_PORT": "0",
            "FULFILLMENT_NAMESPACE": shop.namespace,
            "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.OPERATOR]),
        },
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def says(process: Process, event: str) -> None:
    """Wait until it writes a line of this name."""
    assert process.stderr is not None
    async with asyncio.timeout(20):
        while json.loads(await process.stderr.readline())["event"] != event:
            pass


async def test_a_rolling_update_is_over_at_once(shop: Shop) -> None:
    """Told to stop it ends in order and frees the Lease, so the standby leads at its next try."""
    time = asyncio.get_running_loop().time
    async with running(shop) as old:
        await says(old, "operator.leading")
        await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
        async with running(shop) as new:
            await says(new, "operator.started")
            old.send_signal(signal.SIGTERM)
            told = time()
            assert await old.wait() == 0
            assert time() - told < AT_ONCE
            await says(new, "operator.leading")
            assert time() - told < AT_ONCE + NEXT_TRY
            await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
