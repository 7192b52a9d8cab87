"""Renders the chart as `helm template` does."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from support.fast_yaml import load_all
from support.repository import ROOT

CHART = ROOT / "charts/checkout-fulfillment"
VALUES = {each.stem: each for each in sorted((ROOT / "tests/chart/values").glob("*.yaml"))}
"""Values files by name: `everything` differs from each default, `nothing` has every switch off, `names` tries names."""
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
RELEASE = "checkout-fulfillment"
KUBERNETES = "1.31.0"
"""The oldest that the chart supports."""

_NO_CLUSTER = Path("/nonexistent/kubeconfig")

Manifest = dict[str, Any]


class HelmError(Exception):
    """What helm says when it fails."""


def run_helm(
    helm: Path, *arguments: str, values: Mapping[str, Any] | None = None, kubeconfig: Path = _NO_CLUSTER
) -> str:
    """Run helm, which reads nothing of the person who runs it.

    Args:
        helm: the program.
        arguments: its arguments.
        values: what it is told on its standard input.
        kubeconfig: the cluster that it may reach; helm writes beside it.

    Raises:
        HelmError: it failed.
    """
    given = () if values is None else ("--values", "-")
    process = subprocess.run(  # noqa: S603 - our own arguments
        [helm, *arguments, *given],
        input=None if values is None else json.dumps(values),
        env={
            **{name: os.environ[name] for name in ("PATH", "GOGC") if name in os.environ},
            "HOME": str(kubeconfig.parent),
            "KUBECONFIG": str(kubeconfig),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise HelmError(process.stdout + process.stderr)
    return process.stdout


def render(
    helm: Path, values: Mapping[str, Any] | Path | None = None, *arguments: str, chart: Path = CHART
) -> list[Manifest]:
    """Render the chart into manifests, those of `helm test` among them.

    Args:
        helm: the program.
        values: what is set, or the file that sets it.
        arguments: further ones of `helm template`.
        chart: the chart's folder.

    Raises:
        HelmError: the values are refused.
    """
    files = ("--values", str(values)) if isinstance(values, Path) else ()
    mapping = None if isinstance(values, Path) else values
    command = ("template", RELEASE, str(chart), "--namespace=shop", f"--kube-version={KUBERNETES}", *arguments, *files)
    if chart != CHART:
        return load_all(run_helm(helm, *command, values=mapping))
    return load_all(_rendered(helm, command, None if mapping is None else json.dumps(mapping)))


@cache
def _rendered(helm: Path, command: Sequence[str], values: str | None) -> str:
    """Render this chart, which does not change meanwhile, once for all that ask for the same."""
    return run_helm(helm, *command, values=None if values is None else json.loads(values))


def pods(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return the pods that the manifests make, each as one of its own."""
    made = []
    for each in manifests:
        match each:
            case {"kind": "Pod"}:
                made.append(each)
            case {"kind": "Deployment", "metadata": metadata, "spec": {"template": template}}:
                pod = {"apiVersion": "v1", "kind": "Pod", **deepcopy(template)}
                pod["metadata"] |= {"name": metadata["name"], "namespace": metadata["namespace"]}
                made.append(pod)
            case {"kind": "CronJob", "metadata": metadata, "spec": {"jobTemplate": {"spec": {"template": template}}}}:
                pod = {"apiVersion": "v1", "kind": "Pod", **deepcopy(template)}
                pod["metadata"] |= {"name": metadata["name"], "namespace": metadata["namespace"]}
                made.append(pod)
            case _:
                continue
    return made
