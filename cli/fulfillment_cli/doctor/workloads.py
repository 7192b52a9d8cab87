"""What the Deployments, their pods and the Lease tell. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from fulfillment_cli.doctor.objects import Container, Deployment, Event, Lease, Pod, SecretSource
from fulfillment_cli.output import age
from fulfillment_runtime.findings import Check, Finding, Verdict

COMPONENT = "app.kubernetes.io/component"
VERSION = "app.kubernetes.io/version"
INSTANCE = "app.kubernetes.io/instance"
OPERATOR, WEBHOOK, PAGE = "operator", "webhook", "page"
_LEASE_NAME = "FULFILLMENT_LEASE_NAME"
_RECENTLY = timedelta(hours=1)
_MOUNT_FAILURES = {"FailedMount", "FailedScheduling", "Failed"}


def component_of(deployment: Deployment) -> str:
    """Tell which workload a Deployment is."""
    return deployment.metadata.labels.get(COMPONENT, "")


def container_of(deployment: Deployment) -> Container:
    """Give the product's own container: the one that is called as its workload."""
    containers = deployment.spec.template.spec.containers
    return next((each for each in containers if each.name == component_of(deployment)), containers[0])


def judge_pods(
    deployment: Deployment, pods: Sequence[Pod], events: Mapping[str, Sequence[Event]], now: datetime
) -> Finding:
    """Say whether as many pods are ready as there should be, and why not.

    Args:
        deployment: the workload.
        pods: its pods.
        events: by the name of a pod that is not ready, the Events about it.
        now: the time.
    """
    name, namespace, wanted = deployment.metadata.name, deployment.metadata.namespace, deployment.spec.replicas
    ready = [each for each in pods if each.is_ready]
    if wanted == 0:
        return Finding(
            Verdict.FAILURE,
            Check.PODS,
            f"{name} is scaled to 0: nothing is done. kubectl scale deployment {name} -n {namespace} --replicas=1",
        )
    waiting = [each for each in pods if not each.is_ready]
    if len(ready) < wanted or waiting:
        why = next(filter(None, (_why_not_ready(each, events.get(each.metadata.name, ())) for each in waiting)), "")
        verdict = Verdict.WARNING if ready else Verdict.FAILURE
        return Finding(verdict, Check.PODS, f"{name}: {len(ready)} of {wanted} pods are ready{why and f': {why}'}")
    for pod in pods:
        for status in pod.status.container_statuses:
            ended = status.last_state.terminated
            if ended and ended.finished_at and now - ended.finished_at < _RECENTLY:
                said = _last_line(ended.message) or ended.reason
                return Finding(
                    Verdict.WARNING,
                    Check.PODS,
                    f"{name}: {pod.metadata.name} was restarted {age(now - ended.finished_at)} ago, "
                    f"{status.restart_count} times in all (exit code {ended.exit_code}: {said})",
                )
    return Finding(Verdict.OK, Check.PODS, f"{name}: {len(ready)} of {wanted} pods are ready")


def judge_leader(deployment: Deployment, lease: Lease | None, pods: Iterable[Pod], now: datetime) -> Finding:
    """Say whether one of the operator's pods leads."""
    name = lease_name(deployment)
    holder = lease.spec.holder_identity if lease else None
    if lease is None or not holder:
        return Finding(
            Verdict.FAILURE, Check.LEADER, f"nobody holds the Lease {name}: no order is worked on. See the line on pods"
        )
    pod = leading_pod(lease, pods)
    renewed = lease.spec.renew_time
    silent = now - renewed if renewed else None
    limit = timedelta(seconds=lease.spec.lease_duration_seconds)
    if silent is not None and silent > limit * 4:  # this machine's clock may be off by some seconds
        return Finding(
            Verdict.FAILURE,
            Check.LEADER,
            f"{holder} holds the Lease {name}, and last renewed it {age(silent)} ago: it is gone, and nobody took "
            "over. See the line on pods",
        )
    if pod is None:
        return Finding(
            Verdict.WARNING,
            Check.LEADER,
            f"{holder} holds the Lease {name}, and is no pod of this installation: what runs beside it?",
        )
    return Finding(Verdict.OK, Check.LEADER, f"{pod.metadata.name} leads")


def lease_name(deployment: Deployment) -> str:
    """Tell which Lease the operator holds."""
    env = container_of(deployment).env
    return next((each.value for each in env if each.name == _LEASE_NAME), "checkout-fulfillment-operator")


def leading_pod(lease: Lease | None, pods: Iterable[Pod]) -> Pod | None:
    """Find the pod that holds the Lease: its name begins the holder's identity."""
    holder = (lease.spec.holder_identity if lease else None) or ""
    return next((each for each in pods if each.metadata.name == holder.partition("_")[0]), None)


def judge_images(deployments: Sequence[Deployment], pods: Iterable[Pod], version: str) -> Finding:
    """Say whether all run the same image, and this program is of the same version."""
    wanted = sorted({container_of(each).image for each in deployments})
    if len(wanted) > 1:
        told = ", ".join(f"{each.metadata.name}: {container_of(each).image}" for each in deployments)
        return Finding(
            Verdict.WARNING, Check.IMAGES, f"the workloads have different images ({told}): helm upgrade the release"
        )
    names = {component_of(each) for each in deployments}
    running = [(each, container) for each in pods for container in each.spec.containers if container.name in names]
    old = sorted(each.metadata.name for each, container in running if container.image not in wanted)
    if old:
        return Finding(
            Verdict.WARNING,
            Check.IMAGES,
            f"{', '.join(old)} still run another image than {wanted[0]}: a roll-out is under way, or stuck "
            f"(kubectl rollout status deployment -n {deployments[0].metadata.namespace})",
        )
    statuses = [status for each, _ in running for status in each.status.container_statuses if status.name in names]
    ids = {each.image_id for each in statuses if each.image_id}
    if len(ids) > 1:
        return Finding(
            Verdict.WARNING,
            Check.IMAGES,
            f"pods run {len(ids)} different images under the one name {wanted[0]}: a tag that moves; name a digest "
            "(image.digest)",
        )
    installed = {each.metadata.labels.get(VERSION, "") for each in deployments} - {""}
    if installed and version not in installed:
        return Finding(
            Verdict.WARNING,
            Check.IMAGES,
            f"this program is version {version}, and the chart installed {', '.join(sorted(installed))}: "
            "install the one that fits",
        )
    return Finding(Verdict.OK, Check.IMAGES, f"all pods run {wanted[0]}")


def secrets_of(deployments: Iterable[Deployment]) -> dict[str, set[str]]:
    """Tell which Secrets the pods wait for: name → keys; those that may be missing are left out."""
    found: dict[str, set[str]] = {}
    for deployment in deployments:
        for volume in deployment.spec.template.spec.volumes:
            sources: list[SecretSource | None] = [volume.secret]
            sources += [each.secret for each in volume.projected.sources] if volume.projected else []
            for source in sources:
                if source and not source.optional:
                    keys = {each.key for each in source.items}
                    found.setdefault(source.secret_name or source.name, set()).update(keys)
    return found


def judge_secret(
    name: str, namespace: str, keys: set[str], managed_fields: Sequence[Mapping[str, object]] | None
) -> Finding:
    """Say whether a Secret is there, with its keys: by who wrote them, so that nobody reads a value.

    Args:
        name: the Secret.
        namespace: where it should be.
        keys: those that a pod is given.
        managed_fields: of its metadata; None: there is no such Secret.
    """
    if managed_fields is None:
        return Finding(
            Verdict.FAILURE,
            Check.SECRETS,
            f"there is no Secret {name}, for which the pods wait: kubectl create secret generic {name} -n {namespace} "
            + " ".join(f"--from-literal={key}=…" for key in sorted(keys)),
        )
    there = _keys_of(managed_fields)
    if missing := sorted(keys - there) if there else []:
        return Finding(
            Verdict.FAILURE,
            Check.SECRETS,
            f"the Secret {name} lacks the key {', '.join(missing)}: it has {', '.join(sorted(there))}",
        )
    return Finding(Verdict.OK, Check.SECRETS, f"{name} has {', '.join(sorted(keys))}" if there else f"{name} is there")


def _keys_of(managed_fields: Sequence[Mapping[str, object]]) -> set[str]:
    """Read which keys a Secret has from who owns them (metav1.FieldsV1: `f:` before each name)."""
    keys: set[str] = set()
    for entry in managed_fields:
        match entry.get("fieldsV1"):
            case {"f:data": dict(data)}:
                keys |= {each.removeprefix("f:") for each in data if each.startswith("f:")}
            case _:
                pass
    return keys


def _why_not_ready(pod: Pod, events: Sequence[Event]) -> str:
    """Say why a pod is not ready: in the words of who ended it, its own last ones, or those of who should start it."""
    if pod.has_ended and (reason := pod.status.reason):
        return f"{pod.metadata.name}: {reason}{pod.status.message and f' ({pod.status.message})'}"
    for status in pod.status.container_statuses:
        ended = status.last_state.terminated or status.state.terminated
        if ended and (line := _last_line(ended.message)):
            return f"{pod.metadata.name} says {line}"
    for event in reversed(events):
        if event.reason in _MOUNT_FAILURES:
            return f"{pod.metadata.name}: {event.message}"
    for status in pod.status.container_statuses:
        if waiting := status.state.waiting:
            return f"{pod.metadata.name}: {waiting.reason}{waiting.message and f' ({waiting.message})'}"
    for condition in pod.status.conditions:
        if condition.status == "False" and condition.message:
            return f"{pod.metadata.name}: {condition.message}"
    return ""


class _LogLine(msgspec.Struct):
    """A line of a JSON log, as far as it is read."""

    message: str = ""


def _last_line(text: str) -> str:
    """Give the last line of a log; where that is JSON, its message."""
    line = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    try:
        return msgspec.json.decode(line, type=_LogLine).message or line
    except msgspec.DecodeError:
        return line
