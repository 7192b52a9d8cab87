"""What the pods of a Job say: which is the newest, what failed in it, and why it does not start. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from kubernetes.aio import client

_STARTING = {"ContainerCreating", "PodInitializing"}
"""Reasons of a container that waits, as each does before it starts."""
_STARTS_WITHIN = timedelta(minutes=10)
"""By then its volumes are mounted and its image is pulled, unless something is wrong."""


def newest(pods: Iterable[client.V1Pod]) -> client.V1Pod | None:
    """Choose the pod that was made last; None when there is none."""
    born = {
        (each.metadata.creation_timestamp, each.metadata.name): each
        for each in pods
        if each.metadata and each.metadata.name and each.metadata.creation_timestamp
    }
    return born[max(born)] if born else None


def failed_container(pod: client.V1Pod) -> str | None:
    """Name the container that failed, or else the first one."""
    for each in _container_statuses(pod):
        if each.state and each.state.terminated and each.state.terminated.exit_code:
            return each.name
    return pod.spec.containers[0].name if pod.spec else None


def blocked_reason(pod: client.V1Pod, now: datetime) -> str:
    """Return in Kubernetes' words why a pod does not start: that no node takes it, that its image cannot be pulled.

    Empty when it has started, or is on its way. What is on its way for long waits for something of which only Events
    tell, such as a volume that is not there.
    """
    if pod.status is None or pod.status.phase != "Pending":
        return ""
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return _described(condition.reason, condition.message)
    for each in _container_statuses(pod):
        if each.state and each.state.waiting and each.state.waiting.reason not in _STARTING:
            return _described(each.state.waiting.reason, each.state.waiting.message)
    made = pod.metadata.creation_timestamp if pod.metadata else None
    late = made is not None and now - made >= _STARTS_WITHIN
    return "its pod is still on its way: kubectl describe pod says why" if late else ""


def _container_statuses(pod: client.V1Pod) -> Iterator[client.V1ContainerStatus]:
    if pod.status:
        yield from pod.status.init_container_statuses or []
        yield from pod.status.container_statuses or []


def _described(reason: str | None, message: str | None) -> str:
    return ": ".join(each for each in (reason, message) if each)
