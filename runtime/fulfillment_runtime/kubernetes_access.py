"""Makes sure at start that this process will be able to work: the API server is there, and allows what it must do."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_runtime.exits import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_errors import (
    ApiDeniedError,
    ApiUnavailableError,
    NotInstalledError,
    RequestGoneError,
    translated_errors,
)

_GROUPS = {
    names.PLURAL: names.GROUP,
    "configmaps": "",
    "events": "",
    "leases": "coordination.k8s.io",
    "jobs": "batch",
    "secrets": "",
    "pods": "",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that RBAC must allow this process in its namespace."""

    verb: str
    resource: str
    """Such as `leases`, or with a subresource `fulfillmentrequests/status`."""
    name: str | None = None
    """The one object that it concerns; None for any, which a Role with `resourceNames` does not allow."""

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.verb} {self.resource}" + (f" named {self.name}" if self.name else "")


async def check_access(api: client.ApiClient, namespace: str, rules: Iterable[Rule], *, patience: float) -> None:
    """Make sure that this process is allowed what it must do, and that the cluster knows FulfillmentRequests.

    Args:
        api: as whom.
        namespace: where.
        rules: what it must be allowed.
        patience: seconds that one request may take.

    Raises:
        UnavailableError: the API server cannot be reached.
        AccessDeniedError: RBAC forbids one of the rules, or the credentials are unknown.
        SettingsError: the CustomResourceDefinition is not installed.
    """
    try:
        for rule in rules:
            await _check_rule(api, namespace, rule, patience)
        with suppress(RequestGoneError):
            await KubernetesApi(api, namespace, timeout=patience).get(names.request_name("start-up check"))
    except ApiUnavailableError as error:
        raise UnavailableError(f"{error}: is it up, and is the address right?") from error
    except ApiDeniedError as error:
        raise AccessDeniedError(str(error)) from error
    except NotInstalledError as error:
        raise SettingsError(str(error)) from error


async def _check_rule(api: client.ApiClient, namespace: str, rule: Rule, patience: float) -> None:
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
            review, _request_timeout=patience
        )
    if answer.status is None or not answer.status.allowed:
        raise ApiDeniedError(
            f"RBAC does not allow this process to {rule} in the namespace {namespace}: "
            "give its service account the Role of the chart"
        )
