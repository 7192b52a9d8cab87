"""What a pod's status tells of its start."""

from datetime import UTC, datetime, timedelta

import pytest
from kubernetes.aio import client

from fulfillment_operator.backends.job.pods import blocked_reason

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
MADE = client.V1ObjectMeta(name="ship-1", creation_timestamp=NOW)
SOON, LATE = NOW + timedelta(minutes=9), NOW + timedelta(minutes=10)


def waits(reason: str, message: str | None = None) -> list[client.V1ContainerStatus]:
    waiting = client.V1ContainerStateWaiting(reason=reason, message=message)
    state = client.V1ContainerState(waiting=waiting)
    return [client.V1ContainerStatus(name="ship", image="i", image_id="", ready=False, restart_count=0, state=state)]


def scheduled(status: str, reason: str = "", message: str = "") -> list[client.V1PodCondition]:
    return [client.V1PodCondition(type="PodScheduled", status=status, reason=reason, message=message)]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, ""),
        (client.V1PodStatus(phase="Running", container_statuses=waits("CrashLoopBackOff")), ""),
        (client.V1PodStatus(phase="Pending"), ""),
        (
            client.V1PodStatus(
                phase="Pending", conditions=scheduled("True"), container_statuses=waits("ContainerCreating")
            ),
            "",
        ),
        (
            client.V1PodStatus(
                phase="Pending",
                init_container_statuses=waits("ErrImagePull", "no such host"),
                container_statuses=waits("PodInitializing"),
            ),
            "ErrImagePull: no such host",
        ),
        (client.V1PodStatus(phase="Pending", container_statuses=waits("ImagePullBackOff")), "ImagePullBackOff"),
        (
            client.V1PodStatus(
                phase="Pending", conditions=scheduled("False", reason="Unschedulable", message="0/3 nodes")
            ),
            "Unschedulable: 0/3 nodes",
        ),
    ],
)
def test_what_keeps_a_pod_from_starting(status: client.V1PodStatus | None, expected: str) -> None:
    """Kubernetes' own words; nothing when it started, or is on its way."""
    assert blocked_reason(client.V1Pod(metadata=MADE, status=status), SOON) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            client.V1PodStatus(phase="Pending", container_statuses=waits("ContainerCreating")),
            "its pod is still on its way: kubectl describe pod says why",
        ),
        (client.V1PodStatus(phase="Pending", container_statuses=waits("ErrImagePull")), "ErrImagePull"),
        (client.V1PodStatus(phase="Running", container_statuses=waits("CrashLoopBackOff")), ""),
    ],
)
def test_a_pod_that_should_have_started(status: client.V1PodStatus, expected: str) -> None:
    """As one whose volume is not there: only Events say so."""
    assert blocked_reason(client.V1Pod(metadata=MADE, status=status), LATE) == expected
