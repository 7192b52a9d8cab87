import gc
import os
from collections.abc import AsyncIterator, Iterator
from socket import socket

import pytest
from hypothesis import HealthCheck, settings
from kubernetes.aio import client

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import find_programs
from support.commands import share_commands
from support.installed_crd import install_crd
from support.namespaces import make_namespace

# How long an example takes says nothing on a machine that runs other tests meanwhile. The examples are the same each
# time: a change is judged by what it changes, and not by luck. With the profile `explore` they are others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("tests", settings.get_profile("explore"), derandomize=True)
settings.load_profile("tests")

# What is imported for the tests stays: to look through it again and again is a quarter of the time to collect them.
gc.disable()

# Programs in Go that tests start live for seconds or minutes: to tidy up less often saves a fifth of their CPU time.
os.environ.setdefault("GOGC", "400")


def pytest_configure(config: pytest.Config) -> None:
    """Where tests run in several processes, start once what all of them can use."""
    if config.getoption("numprocesses", default=None):
        share_commands()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture
def unused_tcp_port() -> Iterator[int]:
    """Give a port of loopback at which nobody listens, and keep it from other processes meanwhile."""
    with socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture(scope="session")
async def control_plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane.running(find_programs(os.environ)) as control_plane:
        # Each Watch of the library makes a client that it never connects. Else that would load all the authorities that
        # the system trusts, which takes longer than most watches do.
        unused = client.Configuration()
        unused.ssl_ca_cert = str(control_plane.ca)
        client.Configuration.set_default(unused)
        yield control_plane


@pytest.fixture
async def namespace(control_plane: ControlPlane) -> str:
    return await make_namespace(control_plane)


@pytest.fixture(scope="session")
async def crd(control_plane: ControlPlane) -> None:
    await install_crd(control_plane)
