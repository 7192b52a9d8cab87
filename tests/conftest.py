import os
from collections.abc import AsyncIterator, Iterator
from socket import socket

import pytest
from hypothesis import HealthCheck, settings

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import find_programs
from support.installed_crd import install_crd
from support.namespaces import make_namespace

# How long an example takes says nothing on a machine that runs other tests meanwhile. The examples are the same each
# time: a change is judged by what it changes, and not by luck. With the profile `explore` they are others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("tests", settings.get_profile("explore"), derandomize=True)
settings.load_profile("tests")


@pytest.fixture
def unused_tcp_port() -> Iterator[int]:
    """Give a port of loopback at which nobody listens, and keep it from other processes meanwhile."""
    with socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture(scope="session")
async def control_plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane.running(find_programs(os.environ)) as control_plane:
        yield control_plane


@pytest.fixture
async def namespace(control_plane: ControlPlane) -> str:
    return await make_namespace(control_plane)


@pytest.fixture(scope="session")
async def crd(control_plane: ControlPlane) -> None:
    await install_crd(control_plane)
