import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator

import pytest
import yaml
from kubernetes.aio import client

from fulfillment_api.crd import custom_resource_definition
from fulfillment_api.names import API_VERSION, KIND, request_name
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.programs import find_programs


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
    """Install the CustomResourceDefinition, and wait until the API server serves it."""
    kubectl = (control_plane.kubectl, f"--kubeconfig={control_plane.kubeconfigs[User.ADMIN]}")
    definition = custom_resource_definition()
    first = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": request_name("cs_test_1"), "namespace": "default"},
        "spec": {"session": {"id": "cs_test_1", "livemode": False}, "payment": {"status": "unpaid"}},
    }
    for arguments, manifest in (
        (("apply", "-f", "-"), definition),
        (("wait", "--for=condition=Established", "-f", "-"), definition),
        (("create", "--dry-run=server", "-f", "-"), first),  # the API server takes 2 s for the first of its kind
    ):
        process = await asyncio.create_subprocess_exec(*kubectl, *arguments, stdin=PIPE, stdout=DEVNULL)
        await process.communicate(yaml.safe_dump(manifest).encode())
        assert process.returncode == 0
