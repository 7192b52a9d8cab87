"""The Job that is made of an order, from the template of the settings. Pure."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import yaml
from msgspec import Struct, field

from fulfillment_api import names

ORDER_FOLDER = "/order"
ORDER_FILE = "order.json"
REQUEST_LABEL = f"{names.GROUP}/request"
"""The label by which a Job and its pods say which order they are about."""
AFTER_SALE_LABEL = f"{names.GROUP}/after-sale"
"""The label by which they say that they do not fulfill it, but see to what came after the sale."""

_VOLUME = "checkout-fulfillment-order"
_KEPT = timedelta(days=1)
"""How long a Job stays after its end, unless the template says otherwise: longer than an operator is ever away."""


class _Metadata(Struct, frozen=True, forbid_unknown_fields=True):
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


class JobTemplate(Struct, frozen=True, forbid_unknown_fields=True):
    """What the settings say of the Job, as a CronJob's `jobTemplate`."""

    spec: dict[str, Any]
    metadata: _Metadata = _Metadata()


@dataclass(frozen=True, slots=True)
class Owner:
    """The FulfillmentRequest that a Job belongs to, and goes with."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Purpose:
    """What one Job is made for."""

    name: str
    """The Job's name, and that of the Secret that holds the order."""
    owner: Owner | None
    """The order's request; None to try a template out."""
    labels: Mapping[str, str]
    """Labels of the Job and its pods, over those of the template."""
    environment: Mapping[str, str]
    """Variables for every container, before those of the template, which may refer to them."""


TO_TRY_OUT = Purpose("checkout-fulfillment-template", None, {}, {})
"""What a Job is made for when only the API server is to look at it."""


class _Container(Struct, rename="camel"):
    env: list[Any] | None = None
    volume_mounts: list[Any] | None = None


class _PodSpec(Struct, rename="camel"):
    containers: list[_Container]
    init_containers: list[_Container] | None = None
    volumes: list[Any] | None = None


class _PodMetadata(Struct):
    labels: dict[str, str] | None = None


class _PodTemplate(Struct):
    spec: _PodSpec
    metadata: _PodMetadata | None = None


class _JobSpec(Struct):
    template: _PodTemplate


class _WhatIsAddedTo(Struct):
    """The places of a template to which something is added."""

    spec: _JobSpec


def parse_template(text: str, setting: str) -> JobTemplate:
    """Read a template, and check what the API server is not asked.

    Args:
        text: the template, as YAML.
        setting: the variable that it stands in.

    Raises:
        ValueError: it is no template; the message names the place.
    """
    try:
        found = yaml.safe_load(text)
        template = msgspec.convert(found, JobTemplate)
        msgspec.convert(found, _WhatIsAddedTo)
    except yaml.YAMLError as error:
        raise ValueError(f"{setting} is no YAML: {' '.join(str(error).split())}") from error
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{setting}: {error} (it is as a CronJob's jobTemplate, with spec.template.spec.containers)"
        ) from error
    return template


def job_manifest(template: JobTemplate, purpose: Purpose, deadline: timedelta) -> dict[str, Any]:
    """Make a Job's manifest.

    Args:
        template: what the settings say.
        purpose: what it is made for.
        deadline: how long it may run, unless the template says otherwise.
    """
    name, owner = purpose.name, purpose.owner
    spec = copy.deepcopy(template.spec)
    spec.setdefault("ttlSecondsAfterFinished", int(_KEPT.total_seconds()))
    spec.setdefault("activeDeadlineSeconds", max(1, int(deadline.total_seconds())))
    pod = spec["template"]
    metadata = pod["metadata"] = pod.get("metadata") or {}
    metadata["labels"] = {**(metadata.get("labels") or {}), **purpose.labels}
    pod_spec = pod["spec"]
    pod_spec.setdefault("restartPolicy", "Never")
    pod_spec.setdefault("automountServiceAccountToken", False)
    pod_spec["volumes"] = [*(pod_spec.get("volumes") or []), {"name": _VOLUME, "secret": {"secretName": name}}]
    variables = [{"name": key, "value": value} for key, value in purpose.environment.items()]
    for container in (*pod_spec["containers"], *(pod_spec.get("initContainers") or [])):
        container["env"] = [*variables, *(container.get("env") or [])]
        mount = {"name": _VOLUME, "mountPath": ORDER_FOLDER, "readOnly": True}
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/managed-by": "checkout-fulfillment",
                **template.metadata.labels,
                **purpose.labels,
            },
            "annotations": template.metadata.annotations,
            "ownerReferences": [
                {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": owner.name, "uid": owner.uid}
            ]
            if owner
            else [],
        },
        "spec": spec,
    }
