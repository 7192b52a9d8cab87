import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fulfillment_local.control_plane import ControlPlane
from support.running_operator import Shop, open_shop

HERE = Path(__file__).parent
GO, NODE = HERE / "go", HERE / "node"


@pytest.fixture(scope="session")
def go_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the Go programs, and give their folder."""
    folder = tmp_path_factory.mktemp("go")
    subprocess.run(["go", "build", "-trimpath", "-o", str(folder), "./..."], cwd=GO, check=True)  # noqa: S603, S607 - the PATH's Go
    return folder


@pytest.fixture(scope="session")
def node_receiver() -> list[str]:
    """Give the command of the receiver in JavaScript; `make test-interop` installs what it needs, once for all."""
    assert (NODE / "node_modules").exists(), f"run npm ci in {NODE}"
    return ["node", str(NODE / "receiver.js")]


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    """Open a shop with everything that the operator meets; no operator is at work."""
    async with open_shop(control_plane, namespace) as shop:
        yield shop
