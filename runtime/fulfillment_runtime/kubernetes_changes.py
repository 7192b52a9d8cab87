"""The changes of one FulfillmentRequest, as they come."""

from collections.abc import AsyncGenerator
from enum import StrEnum, unique
from http import HTTPStatus
from math import ceil

import msgspec
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException
from msgspec import Raw, Struct

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_runtime.kubernetes_errors import ApiUnavailableError, RequestGoneError, translated_errors

_PATIENCE = 5.0  # seconds that the API server may be late in ending the watch


async def changes(
    api: client.ApiClient, namespace: str, name: str, *, within: float
) -> AsyncGenerator[FulfillmentRequest, None]:
    """Give the request as it is, and anew whenever it changes.

    Args:
        api: as whom.
        namespace: where.
        name: which.
        within: seconds after which it ends.

    Raises:
        RequestGoneError: it was deleted.
        KubernetesError: as `KubernetesApi`'s methods do.
    """
    with translated_errors():
        answer = await client.CustomObjectsApi(api).list_namespaced_custom_object_without_preload_content(
            group=names.GROUP,
            version=names.VERSION,
            namespace=namespace,
            plural=names.PLURAL,
            field_selector=f"metadata.name={name}",
            watch=True,
            timeout_seconds=ceil(within),
            _request_timeout=within + _PATIENCE,
        )
        try:
            if answer.status != HTTPStatus.OK:
                raise ApiException(status=answer.status, reason=answer.reason, body=await answer.text())
            async for line in answer.content:
                change = msgspec.json.decode(line, type=_Change)
                match change.type:
                    case _Kind.ADDED | _Kind.MODIFIED:
                        yield msgspec.json.decode(change.object, type=FulfillmentRequest)
                    case _Kind.DELETED:
                        raise RequestGoneError(f"{name} was deleted")
                    case _Kind.BOOKMARK | _Kind.ERROR:
                        raise ApiUnavailableError("the Kubernetes API ended the watch")
        finally:
            answer.close()


@unique
class _Kind(StrEnum):
    """The type of a metav1.WatchEvent."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


class _Change(Struct):
    type: _Kind
    object: Raw
