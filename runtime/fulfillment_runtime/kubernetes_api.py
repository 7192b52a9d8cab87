"""FulfillmentRequests and Events at the Kubernetes API, but for the operator's watch.

Its failures become the `KubernetesError`s of `kubernetes_errors`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, Payment, RefusedCallback, Sale, Spec
from fulfillment_api.status import Status
from fulfillment_runtime.kubernetes_errors import (
    RequestChangedError,
    RequestExistsError,
    RequestUnreadableError,
    translated_errors,
)

_PAYMENT_INTENT_AT = ("spec.session.paymentIntent", "status.paymentIntent")  # as an event, or Stripe's answer, has it
_PAID_WITH_ONE = 10  # requests of one PaymentIntent at most; Stripe gives it to one Session alone

News: TypeAlias = Payment | Callback | RefusedCallback | Sale
_PLACES = {Payment: "payment", Callback: "callback", RefusedCallback: "refusedCallback", Sale: "sale"}  # in spec


class KubernetesApi:
    """FulfillmentRequests of one namespace, typed.

    Every method raises `ApiUnavailableError`, `ApiDeniedError` and `NotInstalledError` beside what it names.
    """

    def __init__(self, api: client.ApiClient, namespace: str, *, timeout: float) -> None:
        self._objects = client.CustomObjectsApi(api)
        self._events = client.CoreV1Api(api)
        self._address: dict[str, Any] = {
            "group": names.GROUP,
            "version": names.VERSION,
            "namespace": namespace,
            "plural": names.PLURAL,
        }
        self._namespace = namespace
        self._timeout = timeout

    async def create(self, name: str, spec: Spec) -> None:
        """Create a FulfillmentRequest.

        Raises:
            RequestExistsError: there is one of this name.
            RequestRefusedError: the API server refuses the content.
        """
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name},
            "spec": msgspec.to_builtins(spec),
        }
        with translated_errors(conflict=RequestExistsError):
            await self._objects.create_namespaced_custom_object(
                **self._address, body=body, _request_timeout=self._timeout
            )

    async def get(self, name: str) -> FulfillmentRequest:
        """Read a FulfillmentRequest.

        Raises:
            RequestGoneError: there is none of this name.
            RequestUnreadableError: its content makes no sense.
        """
        with translated_errors():
            found = await self._objects.get_namespaced_custom_object(
                **self._address, name=name, _request_timeout=self._timeout
            )
        return _readable(name, found)

    async def paid_with(self, payment_intent: str) -> list[FulfillmentRequest]:
        """Find the requests whose Session was paid with a PaymentIntent: one, or none, unless some were made by hand.

        Raises:
            RequestUnreadableError: the content of one makes no sense.
        """
        for place in _PAYMENT_INTENT_AT:
            with translated_errors():
                found: Any = await self._objects.list_namespaced_custom_object(
                    **self._address,
                    field_selector=f"{place}={payment_intent}",
                    limit=_PAID_WITH_ONE,
                    _request_timeout=self._timeout,
                )
            if found["items"]:
                return [_readable(each["metadata"]["name"], each) for each in found["items"]]
        return []

    async def update(self, request: FulfillmentRequest, news: News) -> None:
        """Write news of an order into its spec, onto exactly the version that was read.

        Raises:
            RequestChangedError: it changed since; read it and decide again.
            RequestGoneError: it was deleted since.
            RequestRefusedError: the API server refuses the content.
        """
        body = {
            "metadata": {"resourceVersion": request.metadata.resource_version},
            "spec": {_PLACES[type(news)]: _whole(news)},
        }
        with translated_errors(conflict=RequestChangedError):
            await self._objects.patch_namespaced_custom_object(
                **self._address,
                name=request.metadata.name,
                body=body,
                _content_type="application/merge-patch+json",
                _request_timeout=self._timeout,
            )

    async def annotate(self, request: FulfillmentRequest, changes: Mapping[str, str | None]) -> FulfillmentRequest:
        """Change annotations of exactly the version that was read, and return the object as it then is.

        Args:
            request: as it was read.
            changes: name → value; None takes the annotation away.

        Raises:
            RequestChangedError: it changed since; read it and decide again.
            RequestGoneError: it was deleted since.
        """
        body = {"metadata": {"resourceVersion": request.metadata.resource_version, "annotations": dict(changes)}}
        with translated_errors(conflict=RequestChangedError):
            written = await self._objects.patch_namespaced_custom_object(
                **self._address,
                name=request.metadata.name,
                body=body,
                _content_type="application/merge-patch+json",
                _request_timeout=self._timeout,
            )
        return msgspec.convert(written, FulfillmentRequest)

    async def write_status(self, name: str, status: Status) -> FulfillmentRequest:
        """Replace the status, but for `manual`, which is another controller's; return the object as it then is.

        Raises:
            RequestGoneError: it was deleted.
            RequestRefusedError: the API server refuses the content.
        """
        with translated_errors():
            written = await self._objects.patch_namespaced_custom_object_status(
                **self._address,
                name=name,
                body={"status": {key: value for key, value in _whole(status).items() if key != "manual"}},
                _content_type="application/merge-patch+json",
                _request_timeout=self._timeout,
            )
        return msgspec.convert(written, FulfillmentRequest)

    async def delete(self, name: str) -> None:
        """Delete a FulfillmentRequest.

        Raises:
            RequestGoneError: there is none of this name.
        """
        with translated_errors():
            await self._objects.delete_namespaced_custom_object(
                **self._address, name=name, _request_timeout=self._timeout
            )

    async def delete_as_read(self, request: FulfillmentRequest) -> None:
        """Delete exactly the version of a FulfillmentRequest that was read.

        Raises:
            RequestChangedError: it changed since, or was made anew.
            RequestGoneError: it was deleted since.
        """
        meta = request.metadata
        exactly = client.V1Preconditions(uid=meta.uid, resource_version=meta.resource_version)
        with translated_errors(conflict=RequestChangedError):
            await self._objects.delete_namespaced_custom_object(
                **self._address,
                name=meta.name,
                body=client.V1DeleteOptions(preconditions=exactly),
                _request_timeout=self._timeout,
            )

    async def post_event(  # noqa: PLR0913 - an Event has these parts
        self,
        request: FulfillmentRequest,
        *,
        kind: Literal["Normal", "Warning"],
        reason: str,
        action: str,
        note: str,
        at: datetime,
        reporter: str,
    ) -> None:
        """Post an Event about a request, as `kubectl describe` and `kubectl events` show it."""
        meta = request.metadata
        event = client.CoreV1Event(
            metadata=client.V1ObjectMeta(generate_name=f"{meta.name}.", namespace=self._namespace),
            type=kind,
            reason=reason,
            message=note[:1024],  # the API server's bound
            action=action,
            first_timestamp=at,
            last_timestamp=at,
            count=1,
            involved_object=client.V1ObjectReference(
                api_version=names.API_VERSION,
                kind=names.KIND,
                namespace=self._namespace,
                name=meta.name,
                uid=meta.uid,
                resource_version=meta.resource_version,
            ),
            source=client.V1EventSource(component=names.GROUP),
            reporting_component=names.GROUP,
            reporting_instance=reporter,
        )
        with translated_errors():
            await self._events.create_namespaced_event(self._namespace, event, _request_timeout=self._timeout)


def _whole(value: msgspec.Struct) -> dict[str, Any]:
    """Write a struct for a merge patch: that keeps what it does not name, so what is absent is named as null."""
    written = {}
    for each in msgspec.structs.fields(value):
        found = getattr(value, each.name)
        written[each.encode_name] = _whole(found) if isinstance(found, msgspec.Struct) else msgspec.to_builtins(found)
    return written


def _readable(name: str, found: object) -> FulfillmentRequest:
    try:
        return msgspec.convert(found, FulfillmentRequest)
    except msgspec.ValidationError as error:
        raise RequestUnreadableError(f"{name} cannot be read ({error}): if it was made by hand, delete it") from error
