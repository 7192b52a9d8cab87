"""The namespaces of a cluster."""

import msgspec
from msgspec import Struct

from fulfillment_runtime.kubernetes.errors import error_of
from fulfillment_runtime.kubernetes.rest import Method, RestClient


async def namespace_names(api: RestClient, *, timeout: float) -> list[str]:
    """List the names of all namespaces.

    Args:
        api: as whom.
        timeout: seconds that the API server may take.

    Raises:
        KubernetesError: as `FulfillmentRequestClient`'s methods do.
    """
    answer = await api.request(Method.GET, "/api/v1/namespaces", timeout=timeout)
    if not answer.is_success:
        raise error_of(answer)
    return [each.metadata.name for each in msgspec.json.decode(answer.body, type=_NamespaceList).items]


class _Metadata(Struct):
    name: str


class _Namespace(Struct):
    metadata: _Metadata


class _NamespaceList(Struct):
    """core/v1 NamespaceList, as far as it is read."""

    items: list[_Namespace]
