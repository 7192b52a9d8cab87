"""The template of a Job, as the settings have it. Pure."""

from typing import Any

import msgspec
import yaml
from msgspec import Struct, field


class _Metadata(Struct, frozen=True, forbid_unknown_fields=True):
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


class JobTemplate(Struct, frozen=True, forbid_unknown_fields=True):
    """What the settings say of the Job, as a CronJob's `jobTemplate`."""

    spec: dict[str, Any]
    metadata: _Metadata = _Metadata()


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
        msgspec.convert(found, _ExtensionPoints)
    except yaml.YAMLError as error:
        raise ValueError(f"{setting} is no YAML: {' '.join(str(error).split())}") from error
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{setting}: {error} (it is as a CronJob's jobTemplate, with spec.template.spec.containers)"
        ) from error
    return template


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


class _ExtensionPoints(Struct):
    """The places of a template to which something is added."""

    spec: _JobSpec
