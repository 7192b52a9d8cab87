"""Makes sure at start that this process will be able to work: the API server is there, and allows what it must do."""

from collections.abc import Iterable
from contextlib import suppress

from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes.errors import (
    ApiUnavailableError,
    ForbiddenError,
    NotFoundError,
    NotInstalledError,
)
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient, translated_errors
from fulfillment_runtime.kubernetes.rbac import Rule

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
        for rule in rules:
            await _check_rule(api, namespace, rule, timeout)
        with suppress(NotFoundError):
            requests = FulfillmentRequestClient(LibraryRestClient(api), namespace, timeout=timeout)
            await requests.get(names.request_name("start-up check"))
    except ApiUnavailableError as error:
        raise UnavailableError(f"{error}: is it up, and is the address right?") from error
    except ForbiddenError as error:
        raise AccessDeniedError(str(error)) from error
    except NotInstalledError as error:
        raise SettingsError(str(error)) from error


async def _check_rule(api: client.ApiClient, namespace: str, rule: Rule, timeout: float) -> None:
    resource, _, subresource = rule.resource.partition("/")
    attributes = client.V1ResourceAttributes(
        group=_GROUPS[resource],
        namespace=namespace,
        resource=resource,
        subresource=subresource or None,
        verb=rule.verb,
        name=rule.name,
    )
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    with translated_errors():
        answer = await client.AuthorizationV1Api(api).create_self_subject_access_review(
            review, _request_timeout=timeout
        )
    if answer.status is None or not answer.status.allowed:
        raise ForbiddenError(
            f"RBAC does not allow this process to {rule} in the namespace {namespace}: "
            "give its service account the Role of the chart"
        )
