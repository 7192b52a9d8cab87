"""What the Kubernetes API says when it does not do what it was asked, as errors of ours.

They are passing (`ApiUnavailableError`), misconfigured (`ApiDeniedError`, `NotInstalledError`) or about the object at
hand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import aiohttp
import msgspec
from kubernetes.aio.client.exceptions import ApiException

from fulfillment_api import names

_NO_RIGHT = 'is forbidden: User "'  # as the API server begins to say which right a user lacks
_NOBODY = 'User "system:anonymous"'
_QUOTA = "is forbidden: exceeded quota: "  # as its quota admission says it
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class KubernetesError(Exception):
    """The Kubernetes API did not do what it was asked."""


class ApiUnavailableError(KubernetesError):
    """A passing fault: unreachable, too slow, throttling, or failing. Worth another try."""


class ApiDeniedError(KubernetesError):
    """The API server does not know this process (401), or does not allow the request (403): RBAC, or an admission."""


class QuotaExceededError(ApiDeniedError):
    """A ResourceQuota of the namespace is used up. All else about the object was found right: quotas come last."""


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
            return _forbidden(message)
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


def _forbidden(message: str) -> ApiDeniedError:
    if _QUOTA in message:
        return QuotaExceededError(f"{message}; raise the quota, or make room")
    if _NOBODY in message:
        return ApiDeniedError(
            "the Kubernetes API was given no credentials: mend the kubeconfig's user, or the program that it names"
        )
    if _NO_RIGHT in message:
        return ApiDeniedError(f"RBAC forbids it: {message}; the chart has a Role that allows it")
    return ApiDeniedError(f"the Kubernetes API forbids it: {message}")  # an admission webhook, a namespace's end


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
