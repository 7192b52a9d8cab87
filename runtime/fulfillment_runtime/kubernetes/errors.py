"""The failures of the Kubernetes API as errors of ours, in the words of apimachinery's apierrors.

They are passing (`ApiUnavailableError`), misconfigured (`ForbiddenError`, `NotInstalledError`) or about the object of
the request, whatever its kind.
"""

from datetime import timedelta
from http import HTTPStatus

import msgspec

from fulfillment_api import names
from fulfillment_runtime.kubernetes.rest import Answer

_NO_RIGHT = 'is forbidden: User "'  # as the API server begins to say which right a user lacks
_NOBODY = 'User "system:anonymous"'
_QUOTA = "is forbidden: exceeded quota: "  # as its quota admission says it
INSTALL = "install the chart, or run `fulfillment crd | kubectl apply -f -`"
"""What to do about a CustomResourceDefinition that is missing, or older than this program."""
_CONFLICT = "Conflict"
"""Of a create: something else changed meanwhile, such as the ResourceQuota that counts it. An object that is there has
the reason `AlreadyExists`."""
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS}
_LONGEST_WAIT = timedelta(minutes=1)  # whatever is asked


class KubernetesError(Exception):
    """The Kubernetes API did not do what it was asked."""


class ApiUnavailableError(KubernetesError):
    """A passing fault: unreachable, too slow, throttling, or failing. Worth another try."""

    def __init__(self, message: str, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after
        """How long the API server asks to wait."""


class ForbiddenError(KubernetesError):
    """The API server does not know this process (401), or does not allow the request (403): RBAC, or an admission."""


class QuotaExceededError(ForbiddenError):
    """A ResourceQuota of the namespace is used up. All else about the object was found right: quotas come last."""


class NotInstalledError(KubernetesError):
    """The cluster lacks the CustomResourceDefinition, or the namespace."""


class AlreadyExistsError(KubernetesError):
    """There is an object of this kind and name already."""


class NotFoundError(KubernetesError):
    """There is no object of this kind and name, or no longer."""


class ConflictError(KubernetesError):
    """The object changed since it was read: read it and decide again."""


class UndecodableError(KubernetesError):
    """The object was made by hand, or by a newer version: its schema allows it, and yet it does not decode."""

    def __init__(self, message: str, resource_version: str) -> None:
        super().__init__(message)
        self.resource_version = resource_version
        """Of the object that does not decode."""


class InvalidError(KubernetesError):
    """The API server refuses what it was sent: the object's schema, a rule of it, its size, or the request's form."""


def error_of(answer: Answer, conflict: type[KubernetesError] = ConflictError) -> KubernetesError:
    """Turn an answer that is no success into an error of ours.

    Args:
        answer: what the API server answered; its status is 0 when there was none.
        conflict: what a 409 means: of a create that the object exists, of all else that it changed.
    """
    status = ApiStatus.decode(answer.body)
    message, details = status.message or answer.reason, status.details
    match answer.status:
        case HTTPStatus.UNAUTHORIZED:
            return ForbiddenError(
                "the Kubernetes API does not know these credentials: renew the token or the kubeconfig"
            )
        case HTTPStatus.FORBIDDEN:
            return _forbidden(message)
        case HTTPStatus.NOT_FOUND if details is None or not details.name:
            return NotInstalledError(f"the cluster has no {names.PLURAL}.{names.GROUP}: {INSTALL}")
        case HTTPStatus.NOT_FOUND if details and details.kind == "namespaces":
            return NotInstalledError(f"{message}: create the namespace, or set FULFILLMENT_NAMESPACE to another")
        case HTTPStatus.NOT_FOUND:
            return NotFoundError(message)
        case HTTPStatus.CONFLICT if conflict is AlreadyExistsError and status.reason == _CONFLICT:
            return ApiUnavailableError(f"the Kubernetes API could not create it just now: {message}")
        case HTTPStatus.CONFLICT:
            return conflict(message)
        case code if code in _PASSING or not code or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ApiUnavailableError(f"the Kubernetes API answered {code}: {message}", _asked_to_wait(answer))
        case _:
            return InvalidError(message)


def retry_after(error: KubernetesError) -> timedelta | None:
    """Tell how long the API server asks to wait, as when too much is asked of it: a minute at most."""
    return error.after if isinstance(error, ApiUnavailableError) else None


def _asked_to_wait(answer: Answer) -> timedelta | None:
    seconds = answer.headers.get("Retry-After", "")
    return min(timedelta(seconds=int(seconds[:9])), _LONGEST_WAIT) if seconds.isdecimal() else None


def _forbidden(message: str) -> ForbiddenError:
    if _QUOTA in message:
        return QuotaExceededError(f"{message}; raise the quota, or make room")
    if _NOBODY in message:
        return ForbiddenError(
            "the Kubernetes API was given no credentials: mend the kubeconfig's user, or the program that it names"
        )
    if _NO_RIGHT in message:
        return ForbiddenError(f"RBAC forbids it: {message}; the chart has a Role that allows it")
    return ForbiddenError(f"the Kubernetes API forbids it: {message}")  # an admission webhook, a namespace's end


class _StatusDetails(msgspec.Struct):
    """Which object it is about; a missing resource type is none."""

    name: str = ""
    kind: str = ""


class ApiStatus(msgspec.Struct):
    """metav1.Status, as far as it is read: the body of an error, and the object of a watch's ERROR."""

    code: int = 0
    """An HTTP status."""
    message: str = ""
    reason: str = ""
    details: _StatusDetails | None = None

    @classmethod
    def decode(cls, body: bytes | msgspec.Raw) -> "ApiStatus":
        """Decode it; it is empty where something before the API server answered."""
        try:
            return msgspec.json.decode(body, type=cls)
        except msgspec.DecodeError:
            return cls()
