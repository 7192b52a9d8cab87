import asyncio
from asyncio.subprocess import DEVNULL, PIPE

import yaml

from fulfillment_api.crd import custom_resource_definition
from fulfillment_api.names import API_VERSION, KIND, request_name
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User


async def install_crd(control_plane: ControlPlane) -> None:
    """Install the CustomResourceDefinition, and wait until the API server serves it."""
    await control_plane.install(custom_resource_definition())
    first = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": request_name("cs_test_1"), "namespace": "default"},
        "spec": {"session": {"id": "cs_test_1", "livemode": False}, "payment": {"status": "unpaid"}},
    }
    kubectl = (control_plane.kubectl, f"--kubeconfig={control_plane.kubeconfigs[User.ADMIN]}")
    # The API server takes 2 s for the first of its kind.
    process = await asyncio.create_subprocess_exec(
        *kubectl, "create", "--dry-run=server", "-f", "-", stdin=PIPE, stdout=DEVNULL, stderr=PIPE
    )
    _, errors = await process.communicate(yaml.safe_dump(first).encode())
    assert process.returncode == 0, errors.decode()
