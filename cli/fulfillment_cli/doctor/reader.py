"""Reads an installation's objects at the Kubernetes API, as the person who asks; nothing is written."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote

import msgspec

from fulfillment_cli.doctor.objects import (
    CustomResourceDefinition,
    Deployment,
    DeploymentList,
    Event,
    EventList,
    Lease,
    PartialObject,
    Pod,
    PodList,
)
from fulfillment_runtime.kubernetes.errors import error_of
from fulfillment_runtime.kubernetes.rest import NO_QUERY, MediaType, Method, RestClient

_OURS = "app.kubernetes.io/part-of=checkout-fulfillment"
T = TypeVar("T")


class NotAllowedError(Exception):
    """The person may not read this. The message says what."""


@dataclass(frozen=True, slots=True)
class InstallationReader:
    """Reads the objects of one namespace.

    Every method raises `NotAllowedError`, and `KubernetesError` as `FulfillmentRequestClient`'s methods do.
    """

    api: RestClient
    namespace: str
    timeout: float
    """Seconds that one answer may take."""

    async def definition(self, name: str) -> CustomResourceDefinition | None:
        """Read a CustomResourceDefinition; None when there is none."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        return await self._get(path, CustomResourceDefinition, "get customresourcedefinitions")

    async def deployments(self) -> list[Deployment]:
        """List the Deployments that the chart made."""
        path = f"/apis/apps/v1/{self._within}/deployments"
        found = await self._get(path, DeploymentList, "list deployments", {"labelSelector": _OURS})
        return found.items if found else []

    async def pods(self, deployment: Deployment) -> list[Pod]:
        """List the pods of a Deployment: those that have ended only where there are no others, so that they say why."""
        selector = ",".join(f"{key}={value}" for key, value in deployment.spec.selector.match_labels.items())
        path = f"/api/v1/{self._within}/pods"
        found = await self._get(path, PodList, "list pods", {"labelSelector": selector})
        pods = found.items if found else []
        return [each for each in pods if not each.has_ended] or pods

    async def lease(self, name: str) -> Lease | None:
        """Read a Lease; None when there is none."""
        path = f"/apis/coordination.k8s.io/v1/{self._within}/leases/{quote(name, safe='')}"
        return await self._get(path, Lease, "get leases")

    async def events_of_pod(self, pod: str) -> list[Event]:
        """List the Events about a pod, such as the kubelet's."""
        path, about = f"/api/v1/{self._within}/events", f"involvedObject.kind=Pod,involvedObject.name={pod}"
        found = await self._get(path, EventList, "list events", {"fieldSelector": about})
        return found.items if found else []

    async def secret_metadata(self, name: str) -> PartialObject | None:
        """Read a Secret's metadata, and none of its values; None when there is no such Secret."""
        path = f"/api/v1/{self._within}/secrets/{quote(name, safe='')}"
        return await self._get(path, PartialObject, "get secrets", accept=MediaType.METADATA)

    @property
    def _within(self) -> str:
        return f"namespaces/{quote(self.namespace, safe='')}"

    async def _get(
        self,
        path: str,
        kind: type[T],
        right: str,
        query: dict[str, str] | None = None,
        accept: MediaType = MediaType.JSON,
    ) -> T | None:
        answer = await self.api.request(Method.GET, path, query=query or NO_QUERY, accept=accept, timeout=self.timeout)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status == HTTPStatus.FORBIDDEN:
            raise NotAllowedError(f"you may not {right} here: ask for that right, or somebody who has it")
        if not answer.is_success:
            raise error_of(answer)
        return msgspec.json.decode(answer.body, type=kind)
