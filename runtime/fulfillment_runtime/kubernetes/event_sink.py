"""Events (core/v1) of this process about FulfillmentRequests, as client-go's EventSink writes them."""

from typing import Any
from urllib.parse import quote

import msgspec

from fulfillment_api import names
from fulfillment_runtime.kubernetes.errors import AlreadyExistsError, NotFoundError, error_of
from fulfillment_runtime.kubernetes.events import Event
from fulfillment_runtime.kubernetes.rest import MediaType, Method, RestClient

_MESSAGE_LENGTH = 1024  # characters: the API server's bound
_ENCODER = msgspec.json.Encoder()


class EventSink:
    """Creates Events, and counts on those that are there.

    Every method raises `ApiUnavailableError`, `ForbiddenError` and `NotInstalledError`.
    """

    def __init__(self, api: RestClient, namespace: str, *, reporter: str, timeout: float) -> None:
        """Make a sink.

        Args:
            api: the connection, and as whom.
            namespace: of the requests, and so of the Events.
            reporter: the name of this process.
            timeout: seconds that one request to the API server may take.
        """
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/events"
        self._namespace = namespace
        self._reporter = reporter
        self._timeout = timeout

    async def write(self, event: Event) -> None:
        """Create an Event; one that happened before is patched, or created anew when it is there no longer."""
        if event.count > 1:
            try:
                await self._patch(event)
            except NotFoundError:  # an API server keeps Events for an hour, unless it is told otherwise
                pass
            else:
                return
        try:
            await self._create(event)
        except AlreadyExistsError:  # by a try whose answer did not arrive
            return

    async def _create(self, event: Event) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event.name, "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "namespace": self._namespace,
                "name": event.request,
                "uid": event.uid,
                "resourceVersion": event.resource_version,
            },
            "type": event.type,
            "reason": event.reason,
            "action": event.action,
            "firstTimestamp": event.first_timestamp,
            **_repeated(event),
            "source": {"component": names.GROUP},
            "reportingComponent": names.GROUP,
            "reportingInstance": self._reporter,
        }
        answer = await self._api.request(Method.POST, self._path, body=_ENCODER.encode(body), timeout=self._timeout)
        if not answer.is_success:
            raise error_of(answer, AlreadyExistsError)

    async def _patch(self, event: Event) -> None:
        answer = await self._api.request(
            Method.PATCH,
            f"{self._path}/{quote(event.name, safe='')}",
            body=_ENCODER.encode(_repeated(event)),
            content_type=MediaType.MERGE_PATCH,
            timeout=self._timeout,
        )
        if not answer.is_success:
            raise error_of(answer)


def _repeated(event: Event) -> dict[str, Any]:
    """Write what each time makes anew."""
    return {
        "message": event.message[:_MESSAGE_LENGTH],
        "lastTimestamp": event.last_timestamp,
        "count": event.count,
    }
