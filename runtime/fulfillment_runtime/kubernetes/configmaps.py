"""ConfigMaps of the Kubernetes API: a few words that a process leaves for its next run, and for people."""

from collections.abc import Mapping

from kubernetes.aio import client

from fulfillment_runtime.kubernetes.errors import AlreadyExistsError, NotFoundError
from fulfillment_runtime.kubernetes.library import translated_errors


class ConfigMapApi:
    """One ConfigMap, read and written. Every method also raises what `FulfillmentRequestClient`'s methods do."""

    def __init__(self, api: client.ApiClient, namespace: str, name: str, *, timeout: float) -> None:
        self._core = client.CoreV1Api(api)
        self._namespace = namespace
        self._name = name
        self._timeout = timeout

    async def read(self) -> dict[str, str]:
        """Read what it holds; nothing when there is none."""
        try:
            with translated_errors():
                found = await self._core.read_namespaced_config_map(
                    self._name, self._namespace, _request_timeout=self._timeout
                )
        except NotFoundError:
            return {}
        return found.data or {}

    async def write(self, changes: Mapping[str, str | None]) -> None:
        """Write some of its keys, and remove those that are None; create it when there is none."""
        try:
            with translated_errors():
                await self._core.patch_namespaced_config_map(
                    self._name,
                    self._namespace,
                    {"data": dict(changes)},
                    _content_type="application/merge-patch+json",
                    _request_timeout=self._timeout,
                )
        except NotFoundError:
            body = client.V1ConfigMap(
                metadata=client.V1ObjectMeta(name=self._name, namespace=self._namespace),
                data={key: value for key, value in changes.items() if value is not None},
            )
            with translated_errors(conflict=AlreadyExistsError):
                await self._core.create_namespaced_config_map(self._namespace, body, _request_timeout=self._timeout)
