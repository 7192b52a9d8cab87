"""The Kubernetes objects of an installation, as far as they are read. Pure."""

from datetime import datetime
from typing import Any

from msgspec import Struct, field


class Metadata(Struct, frozen=True, rename="camel"):
    """metav1.ObjectMeta."""

    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    managed_fields: list[dict[str, Any]] = []


class EnvVar(Struct, frozen=True):
    """core/v1 EnvVar."""

    name: str
    value: str = ""


class Container(Struct, frozen=True):
    """core/v1 Container."""

    name: str
    image: str = ""
    env: list[EnvVar] = []


class KeyToPath(Struct, frozen=True):
    """core/v1 KeyToPath."""

    key: str


class SecretSource(Struct, frozen=True, rename="camel"):
    """A Secret that a volume holds: its name is `secretName`, or in a projected volume `name`."""

    secret_name: str = ""
    name: str = ""
    optional: bool = False
    items: list[KeyToPath] = []


class ProjectedSource(Struct, frozen=True):
    """core/v1 VolumeProjection."""

    secret: SecretSource | None = None


class Projected(Struct, frozen=True):
    """core/v1 ProjectedVolumeSource."""

    sources: list[ProjectedSource] = []


class Volume(Struct, frozen=True):
    """core/v1 Volume."""

    secret: SecretSource | None = None
    projected: Projected | None = None


class PodSpec(Struct, frozen=True):
    """core/v1 PodSpec."""

    containers: list[Container] = []
    volumes: list[Volume] = []


class PodTemplate(Struct, frozen=True):
    """core/v1 PodTemplateSpec."""

    spec: PodSpec


class Selector(Struct, frozen=True, rename="camel"):
    """metav1.LabelSelector; the chart's has labels alone."""

    match_labels: dict[str, str] = {}


class DeploymentSpec(Struct, frozen=True):
    """apps/v1 DeploymentSpec."""

    selector: Selector
    template: PodTemplate
    replicas: int = 1


class Deployment(Struct, frozen=True):
    """apps/v1 Deployment."""

    metadata: Metadata
    spec: DeploymentSpec


class DeploymentList(Struct, frozen=True):
    """apps/v1 DeploymentList."""

    items: list[Deployment]


class Waiting(Struct, frozen=True):
    """core/v1 ContainerStateWaiting."""

    reason: str = ""
    message: str = ""


class Terminated(Struct, frozen=True, rename="camel"):
    """core/v1 ContainerStateTerminated."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None


class ContainerState(Struct, frozen=True):
    """core/v1 ContainerState."""

    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, frozen=True, rename="camel"):
    """core/v1 ContainerStatus."""

    name: str = ""
    image_id: str = field(default="", name="imageID")
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodCondition(Struct, frozen=True):
    """core/v1 PodCondition."""

    type: str
    status: str
    message: str = ""


class PodStatus(Struct, frozen=True, rename="camel"):
    """core/v1 PodStatus."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: list[PodCondition] = []
    container_statuses: list[ContainerStatus] = []


class Pod(Struct, frozen=True):
    """core/v1 Pod."""

    metadata: Metadata
    spec: PodSpec
    status: PodStatus = PodStatus()

    @property
    def is_ready(self) -> bool:
        """Whether it serves, or stands by."""
        return any(each.type == "Ready" and each.status == "True" for each in self.status.conditions)

    @property
    def has_ended(self) -> bool:
        """Whether it never runs again, as after an eviction: its object stays, and another pod takes its place."""
        return self.status.phase in {"Failed", "Succeeded"}


class PodList(Struct, frozen=True):
    """core/v1 PodList."""

    items: list[Pod]


class LeaseSpec(Struct, frozen=True, rename="camel"):
    """coordination.k8s.io/v1 LeaseSpec."""

    holder_identity: str | None = None
    lease_duration_seconds: int = 15
    renew_time: datetime | None = None


class Lease(Struct, frozen=True):
    """coordination.k8s.io/v1 Lease."""

    spec: LeaseSpec = LeaseSpec()


class Event(Struct, frozen=True):
    """core/v1 Event."""

    reason: str = ""
    message: str = ""


class EventList(Struct, frozen=True):
    """core/v1 EventList."""

    items: list[Event]


class PartialObject(Struct, frozen=True):
    """metav1.PartialObjectMetadata."""

    metadata: Metadata


class CrdVersion(Struct, frozen=True, rename="camel"):
    """apiextensions.k8s.io/v1 CustomResourceDefinitionVersion."""

    name: str
    served: bool
    schema: dict[str, Any]
    selectable_fields: list[dict[str, str]] = []


class CrdSpec(Struct, frozen=True):
    """apiextensions.k8s.io/v1 CustomResourceDefinitionSpec."""

    versions: list[CrdVersion]


class CustomResourceDefinition(Struct, frozen=True):
    """apiextensions.k8s.io/v1 CustomResourceDefinition."""

    metadata: Metadata
    spec: CrdSpec
