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
    """Install what the receiver in JavaScript needs, from its lock file, and give its command."""
    lock, installed = NODE / "package-lock.json", NODE / "node_modules/.package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(["npm", "ci", "--prefer-offline"], cwd=NODE, check=True)  # noqa: S607 - the PATH's npm
    return ["node", str(NODE / "receiver.js")]


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    """Open a shop with everything that the operator meets; no operator is at work."""
    async with open_shop(control_plane, namespace) as shop:
        yield shop
