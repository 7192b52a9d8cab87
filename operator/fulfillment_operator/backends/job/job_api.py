"""Jobs of the Kubernetes API (batch/v1), the Secrets that they read, and the logs of their pods."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import msgspec
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException
from msgspec import Struct, field

from fulfillment_operator.backends.job.pods import blocked_reason, failed_container, newest
from fulfillment_runtime.kubernetes.errors import AlreadyExistsError, ConflictError, NotFoundError
from fulfillment_runtime.kubernetes.library import translated_errors
from fulfillment_runtime.kubernetes.rbac import Rule

RULES = (
    Rule("create", "jobs"),
    Rule("get", "jobs"),
    Rule("list", "jobs"),
    Rule("delete", "jobs"),
    Rule("create", "secrets"),
    Rule("list", "pods"),
    Rule("get", "pods/log"),
)
"""What RBAC must allow who uses this."""

_POD_OF = "batch.kubernetes.io/job-name"
"""The label by which Kubernetes says which Job a pod is of."""


class JobEnd(Enum):
    """How a Job ended."""

    COMPLETE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Job:
    """A Job, as far as it is read."""

    name: str
    uid: str
    version: str
    """Its resourceVersion: another one, once anything about it changes."""
    owner: str | None
    """The uid of the object that it belongs to."""
    created_at: datetime
    is_stopping: bool
    """Whether it is being deleted, and its pods before it."""
    is_idle: bool
    """Whether no pod of it is at work, though it is not suspended."""
    end: JobEnd | None
    """None: it is not done."""
    failure: str
    """What Kubernetes says of a Job that failed: `BackoffLimitExceeded: …`."""


class JobApi:
    """Jobs of one namespace. Every method also raises what `FulfillmentRequestClient`'s methods do."""

    def __init__(self, api: client.ApiClient, namespace: str, *, timeout: float) -> None:
        # Not the library's typed method: it would reject what it does not know, before the API server is asked.
        self._objects = client.CustomObjectsApi(api)
        self._address: dict[str, Any] = {"group": "batch", "version": "v1", "namespace": namespace, "plural": "jobs"}
        self._core = client.CoreV1Api(api)
        self._namespace = namespace
        self._timeout = timeout

    async def dry_run(self, manifest: dict[str, Any]) -> None:
        """Let the API server check a manifest, and create nothing.

        Raises:
            InvalidError: it is no Job, or something in the cluster does not admit it.
        """
        with translated_errors(conflict=AlreadyExistsError):
            await self._create(manifest, dry_run="All")

    async def create(self, manifest: dict[str, Any]) -> Job:
        """Create a Job.

        Raises:
            AlreadyExistsError: there is one of this name.
            InvalidError: the API server rejects the manifest.
        """
        with translated_errors(conflict=AlreadyExistsError):
            created = await self._create(manifest)
        return _decode(created)

    async def read(self, name: str) -> Job | None:
        """Read a Job; None when there is none."""
        try:
            with translated_errors():
                found = await self._objects.get_namespaced_custom_object(
                    **self._address, name=name, _request_timeout=self._timeout
                )
        except NotFoundError:
            return None
        return _decode(found)

    async def list_by_label(self, selector: str) -> list[Job]:
        """List Jobs by a label selector, as they stand now."""
        with translated_errors():
            found = await self._objects.list_namespaced_custom_object(
                **self._address, label_selector=selector, _request_timeout=self._timeout
            )
        return [_job(each) for each in msgspec.convert(found, _Jobs).items]

    async def stop(self, job: Job) -> None:
        """Let a Job end: delete it, which it survives until its pods are gone.

        That is the foreground cascading deletion of Kubernetes ("Garbage Collection"). One that is gone is let be.

        Raises:
            ConflictError: it changed since it was read, so it may have ended by itself.
        """
        seen = client.V1Preconditions(uid=job.uid, resource_version=job.version)
        try:
            with translated_errors():
                await self._objects.delete_namespaced_custom_object(
                    **self._address,
                    name=job.name,
                    body=client.V1DeleteOptions(propagation_policy="Foreground", preconditions=seen),
                    _request_timeout=self._timeout,
                )
        except NotFoundError:
            return
        except ConflictError as error:
            raise ConflictError(f"the Job {job.name} changed while it was to be stopped") from error

    async def create_secret(self, job: Job, files: dict[str, str]) -> None:
        """Make the Secret of a Job's name, which goes with it, unless there is one.

        Raises:
            InvalidError: the API server rejects it, as when it is larger than 1 MiB.
        """
        owner = client.V1OwnerReference(api_version="batch/v1", kind="Job", name=job.name, uid=job.uid)
        secret = client.V1Secret(
            metadata=client.V1ObjectMeta(name=job.name, owner_references=[owner]), string_data=files, immutable=True
        )
        try:
            with translated_errors(conflict=AlreadyExistsError):
                await self._core.create_namespaced_secret(self._namespace, secret, _request_timeout=self._timeout)
        except AlreadyExistsError:
            return

    async def log_tail(self, name: str, lines: int) -> str:
        """Read the last lines that a Job wrote: of its newest pod, and there of what failed. Empty when it wrote none.

        Raises:
            NotFoundError: the pod is gone.
        """
        with translated_errors():
            pod = newest(await self._pods(name))
            if pod is None or pod.metadata is None or pod.metadata.name is None:
                return ""
            # The other method of the library takes a line that is JSON for an object, and writes that in Python's way.
            answer = await self._core.read_namespaced_pod_log_without_preload_content(
                pod.metadata.name,
                self._namespace,
                container=failed_container(pod),
                tail_lines=lines,
                _request_timeout=self._timeout,
            )
            body = (await answer.read()).decode(errors="replace")
            if answer.status != HTTPStatus.OK:
                raise ApiException(status=answer.status, reason=answer.reason, body=body)
        return body.strip()

    async def blocked_reason(self, job: Job, now: datetime) -> str:
        """Return why a Job does not start, mostly in Kubernetes' words; empty when its pods say nothing of it."""
        with translated_errors():
            pod = newest(await self._pods(job.name))
        return blocked_reason(pod, now) if pod else "no pod of it could be made: kubectl describe job says why"

    async def _pods(self, job: str) -> list[client.V1Pod]:
        found = await self._core.list_namespaced_pod(
            self._namespace, label_selector=f"{_POD_OF}={job}", _request_timeout=self._timeout
        )
        return list(found.items)

    async def _create(self, manifest: dict[str, Any], *, dry_run: str | None = None) -> object:
        return await self._objects.create_namespaced_custom_object(
            **self._address,
            body=manifest,
            dry_run=dry_run,
            field_validation="Strict",
            _request_timeout=self._timeout,
        )


class _OwnerReference(Struct):
    uid: str


class _ObjectMeta(Struct, rename="camel"):
    name: str
    uid: str
    resource_version: str
    creation_timestamp: datetime
    deletion_timestamp: datetime | None = None
    owner_references: list[_OwnerReference] = []


class _Condition(Struct):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class _JobStatus(Struct):
    conditions: list[_Condition] = []
    ready: int = 0


class _Job(Struct):
    """batch/v1 Job, as far as it is read."""

    metadata: _ObjectMeta
    status: _JobStatus = field(default_factory=_JobStatus)


class _Jobs(Struct):
    """batch/v1 JobList, as far as it is read."""

    items: list[_Job] = []


def _decode(found: object) -> Job:
    return _job(msgspec.convert(found, _Job))


def _job(job: _Job) -> Job:
    true = {each.type: each for each in job.status.conditions if each.status == "True"}
    failed = true.get("Failed")
    end = JobEnd.COMPLETE if "Complete" in true else JobEnd.FAILED if failed else None
    owner = job.metadata.owner_references[0].uid if job.metadata.owner_references else None
    failure = f"{failed.reason}: {failed.message}" if failed else ""
    return Job(
        name=job.metadata.name,
        uid=job.metadata.uid,
        version=job.metadata.resource_version,
        owner=owner,
        created_at=job.metadata.creation_timestamp,
        is_stopping=job.metadata.deletion_timestamp is not None,
        is_idle=not job.status.ready and "Suspended" not in true,
        end=end,
        failure=failure,
    )
