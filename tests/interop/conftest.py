from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fulfillment_local.control_plane import ControlPlane
from support.running_operator import Shop, open_shop

NODE = Path(__file__).parent / "node"
GO = Path(__file__).parent / "go" / "bin"


@pytest.fixture(scope="session")
def go_programs() -> Path:
    """Give the folder of the Go programs."""
    assert GO.exists(), "run make interop-programs"
    return GO


@pytest.fixture(scope="session")
def node_receiver() -> list[str]:
    """Give the command of the receiver in JavaScript."""
    assert (NODE / "node_modules").exists(), "run make interop-programs"
    return ["node", str(NODE / "receiver.js")]


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    """Open a shop with everything that the operator meets; no operator is at work."""
    async with open_shop(control_plane, namespace) as shop:
        yield shop
