"""The namespaces of a cluster."""

from kubernetes.aio import client

from fulfillment_runtime.kubernetes_errors import translated_errors


async def namespace_names(api: client.ApiClient, *, patience: float) -> list[str]:
    """List the names of all namespaces.

    Args:
        api: as whom.
        patience: seconds that the API server may take.

    Raises:
        KubernetesError: as `KubernetesApi`'s methods do.
    """
    with translated_errors():
        found = await client.CoreV1Api(api).list_namespace(_request_timeout=patience)
    return [each.metadata.name for each in found.items if each.metadata and each.metadata.name]
