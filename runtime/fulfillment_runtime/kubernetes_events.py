"""The Events about one FulfillmentRequest, read. An API server keeps them for an hour, unless it is told otherwise."""

from dataclasses import dataclass
from datetime import datetime

from kubernetes.aio import client

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_runtime.kubernetes_errors import translated_errors


@dataclass(frozen=True, slots=True)
class PostedEvent:
    """What somebody told about a request."""

    at: datetime
    """When it was told last."""
    reason: str
    message: str


async def events_about(api: client.ApiClient, request: FulfillmentRequest, *, patience: float) -> list[PostedEvent]:
    """List the Events about a request.

    Args:
        api: as whom.
        request: the request; Events about an earlier one of its name are none of its own.
        patience: seconds that it may take.

    Raises:
        KubernetesError: as `KubernetesApi`'s methods do.
    """
    meta = request.metadata
    with translated_errors():
        found = await client.CoreV1Api(api).list_namespaced_event(
            meta.namespace,
            field_selector=f"involvedObject.uid={meta.uid},involvedObject.name={meta.name}",
            _request_timeout=patience,
        )
    return [
        PostedEvent(at, each.reason or "", each.message or "")
        for each in found.items
        if (at := each.last_timestamp or each.event_time or each.metadata.creation_timestamp) is not None
    ]
