"""Leases of the Kubernetes API (coordination.k8s.io/v1): who leads, as far as the cluster knows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kubernetes.aio import client

from fulfillment_runtime.kubernetes.errors import AlreadyExistsError, NotFoundError
from fulfillment_runtime.kubernetes.library import translated_errors


@dataclass(frozen=True, slots=True)
class Lease:
    """One version of a Lease."""

    holder: str
    """Who leads; empty when nobody does."""
    duration: timedelta
    """How long it holds after it was last renewed."""
    acquired: datetime
    renewed: datetime
    transitions: int
    """How often another holder took it."""
    version: str | None = None
    """The resourceVersion; None for one that is to be created."""


class LeaseApi:
    """One Lease, read and written. Every method also raises what `FulfillmentRequestClient`'s methods do."""

    def __init__(self, api: client.ApiClient, namespace: str, name: str, *, timeout: float) -> None:
        self._leases = client.CoordinationV1Api(api)
        self._namespace = namespace
        self._name = name
        self._timeout = timeout

    async def read(self) -> Lease | None:
        """Read it; None when there is none."""
        try:
            with translated_errors():
                found = await self._leases.read_namespaced_lease(
                    self._name, self._namespace, _request_timeout=self._timeout
                )
        except NotFoundError:
            return None
        return _typed(found)

    async def write(self, lease: Lease) -> None:
        """Create it, or replace exactly the version it has.

        Raises:
            AlreadyExistsError: it was created meanwhile.
            ConflictError: it changed meanwhile.
        """
        body = client.V1Lease(
            metadata=client.V1ObjectMeta(name=self._name, namespace=self._namespace, resource_version=lease.version),
            spec=client.V1LeaseSpec(
                holder_identity=lease.holder,
                lease_duration_seconds=max(1, int(lease.duration.total_seconds())),
                acquire_time=_micro(lease.acquired),
                renew_time=_micro(lease.renewed),
                lease_transitions=lease.transitions,
            ),
        )
        if lease.version is None:
            with translated_errors(conflict=AlreadyExistsError):
                await self._leases.create_namespaced_lease(self._namespace, body, _request_timeout=self._timeout)
            return
        with translated_errors():
            await self._leases.replace_namespaced_lease(
                self._name, self._namespace, body, _request_timeout=self._timeout
            )


def _micro(at: datetime) -> datetime:
    """Give a time the fraction without which the API server does not take it for a metav1.MicroTime."""
    return at if at.microsecond else at.replace(microsecond=1)


def _typed(found: client.V1Lease) -> Lease:
    spec = found.spec or client.V1LeaseSpec()
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return Lease(
        holder=spec.holder_identity or "",
        duration=timedelta(seconds=spec.lease_duration_seconds or 1),
        acquired=spec.acquire_time or epoch,
        renewed=spec.renew_time or epoch,
        transitions=spec.lease_transitions or 0,
        version=found.metadata.resource_version if found.metadata else None,
    )
