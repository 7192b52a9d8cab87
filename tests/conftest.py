import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings
from kubernetes.aio import client

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import find_programs
from support.installed_crd import install_crd

# How long an example takes says nothing on a machine that runs other tests meanwhile.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@pytest.fixture(scope="session")
async def control_plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane.running(find_programs(os.environ)) as control_plane:
        yield control_plane


@pytest.fixture
async def namespace(control_plane: ControlPlane) -> str:
    """Make a namespace for one test; it goes with the control plane, as nothing finishes a namespace's deletion."""
    async with control_plane.connect() as api:
        made = await client.CoreV1Api(api).create_namespace(
            client.V1Namespace(metadata=client.V1ObjectMeta(generate_name="test-"))
        )
    assert made.metadata
    assert made.metadata.name
    return made.metadata.name


@pytest.fixture(scope="session")
async def crd(control_plane: ControlPlane) -> None:
    await install_crd(control_plane)
