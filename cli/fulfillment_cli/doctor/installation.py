"""What the objects of an installation show, read as the person who asks."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from fulfillment_cli.doctor.definition import NAME, judge_definition
from fulfillment_cli.doctor.objects import Deployment, Lease, Pod
from fulfillment_cli.doctor.reader import InstallationReader, NotAllowedError
from fulfillment_cli.doctor.workloads import (
    OPERATOR,
    component_of,
    judge_images,
    judge_leader,
    judge_pods,
    judge_secret,
    lease_name,
    secrets_of,
)
from fulfillment_runtime.findings import Check, Finding, Verdict


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment and its pods."""

    deployment: Deployment
    pods: Sequence[Pod]

    @property
    def component(self) -> str:
        """Which of the workloads it is."""
        return component_of(self.deployment)

    @property
    def ready(self) -> list[Pod]:
        """The pods that are ready."""
        return [each for each in self.pods if each.is_ready]


@dataclass(slots=True)
class Installation:
    """What there is in a namespace, as far as `examine` has seen it."""

    reader: InstallationReader
    now: datetime
    workloads: Sequence[Workload] = ()
    lease: Lease | None = None
    """By which the operator's pods agree who leads."""

    def of(self, component: str) -> list[Workload]:
        """Give the workloads of a kind: one, unless there are several releases."""
        return [each for each in self.workloads if each.component == component]

    async def examine(self) -> AsyncIterator[Finding]:
        """Read all objects, and say what they show; what may not be read is unknown, and the rest goes on.

        Raises:
            KubernetesError: the cluster cannot be asked anything.
        """
        yield await self._definition()
        try:
            self.workloads = [Workload(each, await self.reader.pods(each)) for each in await self.reader.deployments()]
        except NotAllowedError as error:
            yield Finding(Verdict.UNKNOWN, Check.PODS, str(error))
            return
        if not self.workloads:
            yield Finding(
                Verdict.FAILURE,
                Check.PODS,
                f"the namespace {self.reader.namespace} has no Deployment of the chart: is it another one (-n)? "
                "helm list -A tells",
            )
            return
        for workload in self.workloads:
            yield await self._pods(workload)
        deployments = [each.deployment for each in self.workloads]
        pods = [pod for each in self.workloads for pod in each.pods]
        yield judge_images(deployments, pods, version("checkout-fulfillment"))
        for workload in self.of(OPERATOR):
            yield await self._leader(workload)
        for name, keys in sorted(secrets_of(deployments).items()):
            yield await self._secret(name, keys)

    async def _definition(self) -> Finding:
        try:
            return judge_definition(await self.reader.definition(NAME))
        except NotAllowedError as error:
            return Finding(Verdict.UNKNOWN, Check.CRD, str(error))

    async def _pods(self, workload: Workload) -> Finding:
        events = {}
        for pod in workload.pods:
            if not pod.is_ready:
                try:
                    events[pod.metadata.name] = await self.reader.events_of_pod(pod.metadata.name)
                except NotAllowedError:
                    break  # the pod's own words are there
        return judge_pods(workload.deployment, workload.pods, events, self.now)

    async def _leader(self, workload: Workload) -> Finding:
        try:
            self.lease = await self.reader.lease(lease_name(workload.deployment))
        except NotAllowedError as error:
            return Finding(Verdict.UNKNOWN, Check.LEADER, str(error))
        return judge_leader(workload.deployment, self.lease, workload.pods, self.now)

    async def _secret(self, name: str, keys: set[str]) -> Finding:
        try:
            found = await self.reader.secret_metadata(name)
        except NotAllowedError as error:
            return Finding(Verdict.UNKNOWN, Check.SECRETS, f"{name}: {error}")
        return judge_secret(name, self.reader.namespace, keys, found.metadata.managed_fields if found else None)
