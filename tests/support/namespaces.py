"""A namespace of a test's own."""

from kubernetes.aio import client

from fulfillment_local.control_plane import ControlPlane


async def make_namespace(control_plane: ControlPlane) -> str:
    """Make a namespace, and return its name; it goes with the control plane, as nothing finishes its deletion."""
    async with control_plane.connect() as api:
        metadata = client.V1ObjectMeta(generate_name="test-")
        made = await client.CoreV1Api(api).create_namespace(client.V1Namespace(metadata=metadata))
    assert made.metadata
    assert made.metadata.name
    return made.metadata.name
