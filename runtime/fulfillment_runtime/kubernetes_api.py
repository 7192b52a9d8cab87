"""The one place that meets the Kubernetes API, but for the operator's watch: FulfillmentRequests and Events.

Its failures become `KubernetesError`s: passing (`ApiUnavailableError`), misconfigured (`ApiDeniedError`,
`NotInstalledError`) or about the object at hand.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

import aiohttp
import msgspec
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, Payment, Sale, Spec
from fulfillment_api.status import Status

_PAID_WITH_ONE = 10  # requests of one PaymentIntent at most; Stripe gives it to one Session alone
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class KubernetesError(Exception):
    """The Kubernetes API did not do what it was asked."""


class ApiUnavailableError(KubernetesError):
    """A passing fault: unreachable, too slow, throttling, or failing. Worth another try."""


class ApiDeniedError(KubernetesError):
    """The API server does not know this process (401), or its RBAC rules do not allow the request (403)."""


class NotInstalledError(KubernetesError):
    """The cluster lacks the CustomResourceDefinition, or the namespace."""


class RequestExistsError(KubernetesError):
    """There is a FulfillmentRequest of this name."""


class RequestGoneError(KubernetesError):
    """There is no FulfillmentRequest of this name."""


class RequestChangedError(KubernetesError):
    """The FulfillmentRequest changed since it was read."""


class RequestUnreadableError(KubernetesError):
    """The object was made by hand: the schema allows it, and yet it says nothing that this product understands."""


class RequestRefusedError(KubernetesError):
    """The API server refuses the object's content: the CustomResourceDefinition does not allow it."""


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
        with translated_errors():
            found: Any = await self._objects.list_namespaced_custom_object(
                **self._address,
                field_selector=f"spec.session.paymentIntent={payment_intent}",
                limit=_PAID_WITH_ONE,
                _request_timeout=self._timeout,
            )
        return [_readable(each["metadata"]["name"], each) for each in found["items"]]

    async def update_payment(self, request: FulfillmentRequest, payment: Payment) -> None:
        """Write what Stripe said newly of the payment, onto exactly the version that was read.

        Raises:
            RequestChangedError: it changed since; read it and decide again.
            RequestGoneError: it was deleted since.
            RequestRefusedError: the API server refuses the content.
        """
        await self._update(request, {"payment": msgspec.to_builtins(payment)})

    async def update_callback(self, request: FulfillmentRequest, callback: Callback) -> None:
        """Write what the backend's callback said, onto exactly the version that was read.

        Raises:
            RequestChangedError: it changed since; read it and decide again.
            RequestGoneError: it was deleted since.
            RequestRefusedError: the API server refuses the content.
        """
        absent = {"reference": None, "message": None}  # as a merge patch removes what an earlier callback said
        await self._update(request, {"callback": absent | msgspec.to_builtins(callback)})

    async def update_sale(self, request: FulfillmentRequest, sale: Sale) -> None:
        """Write what Stripe said of what came after Checkout, onto exactly the version that was read.

        Raises:
            RequestChangedError: it changed since; read it and decide again.
            RequestGoneError: it was deleted since.
            RequestRefusedError: the API server refuses the content.
        """
        absent = {"event": None, "observedAt": None}  # as a merge patch removes what earlier news said
        await self._update(request, {"sale": absent | msgspec.to_builtins(sale)})

    async def _update(self, request: FulfillmentRequest, spec: dict[str, Any]) -> None:
        body = {"metadata": {"resourceVersion": request.metadata.resource_version}, "spec": spec}
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
        """Replace the status as a whole, and return the object as it then is.

        Raises:
            RequestGoneError: it was deleted.
            RequestRefusedError: the API server refuses the content.
        """
        with translated_errors():
            written = await self._objects.patch_namespaced_custom_object_status(
                **self._address,
                name=name,
                body=[{"op": "add", "path": "/status", "value": msgspec.to_builtins(status)}],
                _content_type="application/json-patch+json",
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


def _readable(name: str, found: object) -> FulfillmentRequest:
    try:
        return msgspec.convert(found, FulfillmentRequest)
    except msgspec.ValidationError as error:
        raise RequestUnreadableError(f"{name} cannot be read ({error}): if it was made by hand, delete it") from error


@contextmanager
def translated_errors(conflict: type[KubernetesError] = RequestChangedError) -> Iterator[None]:
    """Turn the client library's failures into ours."""
    try:
        yield
    except ApiException as error:
        raise _translate(error, conflict) from error
    except TimeoutError as error:
        raise ApiUnavailableError("the Kubernetes API did not answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise ApiUnavailableError(f"the Kubernetes API cannot be reached ({error})") from error


def _translate(error: ApiException, conflict: type[KubernetesError]) -> KubernetesError:
    message, details = _reason_of(error)
    match error.status:
        case HTTPStatus.UNAUTHORIZED:
            return ApiDeniedError(
                "the Kubernetes API does not know these credentials: renew the token or the kubeconfig"
            )
        case HTTPStatus.FORBIDDEN:
            return ApiDeniedError(f"RBAC forbids it: {message}; the chart has a Role that allows it")
        case HTTPStatus.NOT_FOUND if details is None or not details.name:
            return NotInstalledError(
                f"the cluster has no {names.PLURAL}.{names.GROUP}: install the chart, or run "
                "`fulfillment crd | kubectl apply -f -`"
            )
        case HTTPStatus.NOT_FOUND if details and details.kind == "namespaces":
            return NotInstalledError(f"{message}: create the namespace, or set FULFILLMENT_NAMESPACE to another")
        case HTTPStatus.NOT_FOUND:
            return RequestGoneError(message)
        case HTTPStatus.CONFLICT:
            return conflict(message)
        case status if status in _PASSING or status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ApiUnavailableError(f"the Kubernetes API answered {status}: {message}")
        case _:
            return RequestRefusedError(message)


def _reason_of(error: ApiException) -> tuple[str, "_StatusDetails | None"]:
    """Read the API server's message, and which object it is about (a missing resource type is no object)."""
    try:
        status = msgspec.json.decode(error.body or b"", type=_ApiStatus)
    except msgspec.DecodeError:
        return str(error.reason), None
    return status.message or str(error.reason), status.details


class _StatusDetails(msgspec.Struct):
    name: str = ""
    kind: str = ""


class _ApiStatus(msgspec.Struct):
    """metav1.Status, as far as it is read."""

    message: str = ""
    details: _StatusDetails | None = None
