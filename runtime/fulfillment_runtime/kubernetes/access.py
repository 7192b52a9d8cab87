"""Makes sure at start that this process will be able to work: the API server is there, and allows what it must do."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec
from kubernetes.aio import client
from msgspec import Struct

from fulfillment_api import names
from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes.errors import (
    ApiUnavailableError,
    ForbiddenError,
    KubernetesError,
    NotFoundError,
    NotInstalledError,
    error_of,
)
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.kubernetes.rbac import Rule
from fulfillment_runtime.kubernetes.rest import Method, RestClient

MOST_BEHIND = timedelta(minutes=9)
"""How far a clock that dates orders may be behind the API server's: less than by what the operator knows a restored
one."""
_IS_IT_UP = ": is it up, and is the address right?"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_GROUPS = {
    names.PLURAL: names.GROUP,
    "configmaps": "",
    "events": "",
    "leases": "coordination.k8s.io",
    "jobs": "batch",
    "secrets": "",
    "pods": "",
}


async def check_access(api: client.ApiClient, namespace: str, rules: Iterable[Rule], *, timeout: float) -> None:
    """Make sure that this process is allowed what it must do, and that the cluster knows FulfillmentRequests.

    Args:
        api: as whom.
        namespace: where.
        rules: what it must be allowed.
        timeout: seconds that one request may take.

    Raises:
        UnavailableError: the API server cannot be reached.
        AccessDeniedError: RBAC forbids one of the rules, or the credentials are unknown.
        SettingsError: the CustomResourceDefinition is not installed.
    """
    try:
        rest = LibraryRestClient(api)
        for rule in rules:
            await _check_rule(rest, namespace, rule, timeout)
        with suppress(NotFoundError):
            await FulfillmentRequestClient(rest, namespace, timeout=timeout).get(names.request_name("start-up check"))
    except KubernetesError as error:
        raise fatal_error(error, advice=_IS_IT_UP) from error


async def check_clock(api: client.ApiClient, clock: Callable[[], datetime], *, timeout: float) -> None:
    """Make sure that this machine's clock is not so far behind the API server's that new orders look restored.

    What was observed long before its object was made came from a backup, for the operator; so an order that a slow
    clock dates would be held until a person says what it is.

    Args:
        api: as whom.
        clock: tells the time, with its zone.
        timeout: seconds that the request may take.

    Raises:
        UnavailableError: the clock is, or the API server cannot be reached.
    """
    try:
        answer = await LibraryRestClient(api).request(Method.GET, "/version", timeout=timeout)
    except ApiUnavailableError as error:
        raise fatal_error(error, advice=_IS_IT_UP) from error
    date = answer.headers.get("Date")
    behind = parsedate_to_datetime(date) - clock() if date else timedelta(0)
    if behind > MOST_BEHIND:
        raise UnavailableError(
            f"this machine's clock is {behind.total_seconds() / 60:.0f} minutes behind the API server's: have the "
            "nodes keep time (NTP); each order that is made by it would look as one that a backup brought back"
        )


def fatal_error(error: KubernetesError, *, advice: str) -> AccessDeniedError | SettingsError | UnavailableError:
    """Tell how a process ends that cannot go on for what the API server did.

    Args:
        error: that.
        advice: what to do where it may pass by itself; ends the message.
    """
    match error:
        case ForbiddenError():
            return AccessDeniedError(str(error))
        case NotInstalledError():
            return SettingsError(str(error))
        case _:
            return UnavailableError(f"{error}{advice}")


async def _check_rule(rest: RestClient, namespace: str, rule: Rule, timeout: float) -> None:
    resource, _, subresource = rule.resource.partition("/")
    attributes = _ResourceAttributes(
        group=_GROUPS[resource],
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        verb=rule.verb,
        name=rule.name or "",
    )
    review = msgspec.json.encode(_AccessReview(spec=_AccessReviewSpec(attributes)))
    answer = await rest.request(Method.POST, _REVIEWS, body=review, timeout=timeout)
    if not answer.is_success:
        raise error_of(answer)
    if not msgspec.json.decode(answer.body, type=_AccessReview).status.allowed:
        raise ForbiddenError(
            f"RBAC does not allow this process to {rule} in the namespace {namespace}: "
            "give its service account the Role of the chart"
        )


class _ResourceAttributes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    namespace: str
    resource: str
    verb: str
    group: str = ""
    subresource: str = ""
    name: str = ""


class _AccessReviewSpec(Struct, frozen=True, rename="camel"):
    resource_attributes: _ResourceAttributes


class _AccessReviewStatus(Struct, frozen=True):
    allowed: bool = False


class _AccessReview(Struct, frozen=True, rename="camel"):
    """authorization.k8s.io/v1 SelfSubjectAccessReview, as far as it is written and read."""

    spec: _AccessReviewSpec
    status: _AccessReviewStatus = _AccessReviewStatus()
    api_version: str = "authorization.k8s.io/v1"
    kind: str = "SelfSubjectAccessReview"
