"""What the chart renders is what a real API server takes: by its own schemas, and by its word."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import ChartPrograms
from support.chart_rendering import CHART, VALUES, Manifest, pods, render, run_helm
from support.kubectl import KubectlError, kubectl

pytestmark = pytest.mark.xdist_group("chart on an API server")  # which takes a while to learn the foreign kinds

FOREIGN = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute"}
"""Kinds that a bare API server does not have."""
MONITORING = {"serviceMonitor", "podMonitor", "prometheusRule"}
"""Values that switch on what the Prometheus operator reads."""
MONITORS = {f"{each[0].upper()}{each[1:]}" for each in MONITORING}
"""And the kinds of that."""
COMPONENT = "app.kubernetes.io/component"

Complaints = Callable[[Sequence[Manifest]], list[str]]
values_files = pytest.mark.parametrize("values", [None, *VALUES.values()], ids=["defaults", *VALUES])


@values_files
def test_lint_is_content(helm: Path, values: Path | None) -> None:
    """`helm lint --strict` has nothing to say, whatever is on or off."""
    run_helm(helm, "lint", "--strict", str(CHART), *(("--values", str(values)) if values else ()))


@values_files
def test_both_helms_render_the_same(programs: ChartPrograms, values: Path | None) -> None:
    """The chart means the same to Helm 3.14 and Helm 4."""
    assert render(programs.oldest_helm, values) == render(programs.helm, values)


@values_files
def test_manifests_conform_to_the_schemas(
    kubeconform: Complaints, programs: ChartPrograms, values: Path | None
) -> None:
    """Kubeconform -strict finds no field that Kubernetes does not know, and none of a wrong type."""
    assert kubeconform(own(render(programs.helm, values))) == []


def test_what_schemas_refuse(kubeconform: Complaints, programs: ChartPrograms) -> None:
    """The schemas are strict: an unknown field and a wrong type are found."""
    manifests = own(render(programs.helm))
    wrong = next(each for each in manifests if each["kind"] == "Deployment")
    wrong["spec"]["replica"] = 1
    wrong["spec"]["template"]["spec"]["containers"][0]["name"] = 5

    (complaint,) = kubeconform(manifests)

    assert "additional properties 'replica' not allowed" in complaint
    assert "got number, want string" in complaint


@pytest.mark.usefixtures("foreign_crds")
def test_monitors_and_routes_conform_to_their_schemas(kubeconform: Complaints, programs: ChartPrograms) -> None:
    """What the Prometheus operator and the Gateway API read has no field that they do not know."""
    manifests = foreign(render(programs.helm, VALUES["everything"]))
    assert {each["kind"] for each in manifests} == FOREIGN
    assert kubeconform(manifests) == []


@pytest.mark.usefixtures("foreign_crds")
@pytest.mark.parametrize("known", [set(), MONITORS - {"PodMonitor"}, MONITORS], ids=lambda each: f"{len(each)} kinds")
def test_monitors_of_kinds_that_a_cluster_lacks_can_be_left_out(
    kubeconform: Complaints, helm: Path, known: set[str]
) -> None:
    """With `monitoring.required: false` those that it knows are rendered, the page's among them; without, all are."""
    monitoring: dict[str, Any] = {kind: {"enabled": True} for kind in MONITORING}
    page = {"enabled": True}
    served = [f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in sorted(known)]

    optional = foreign(render(helm, {"page": page, "monitoring": monitoring | {"required": False}}, *served))
    required = foreign(render(helm, {"page": page, "monitoring": monitoring}, *served))

    assert {each["kind"] for each in optional} == known
    assert {each["kind"] for each in required} == MONITORS
    pods_of = {each["spec"]["selector"]["matchLabels"][COMPONENT] for each in required if each["kind"] == "PodMonitor"}
    assert pods_of == {"operator", "page"}
    assert kubeconform(required) == []
    assert [each for each in optional if each not in required] == []


@values_files
@pytest.mark.usefixtures("crd")
def test_the_api_server_takes_the_manifests(
    control_plane: ControlPlane, namespace: str, programs: ChartPrograms, values: Path | None
) -> None:
    """Each manifest passes validation and admission, with no unknown or duplicate field and no warning."""
    manifests = own(render(programs.helm, values, f"--namespace={namespace}"))
    kubectl(control_plane, "apply", "-f", "-", manifests=service_accounts(manifests, namespace))

    said = dry_run(control_plane, namespace, manifests)

    assert len(said) == len(manifests)


@pytest.mark.usefixtures("foreign_crds")
def test_the_api_server_takes_monitors_and_routes(
    control_plane: ControlPlane, namespace: str, programs: ChartPrograms
) -> None:
    """So do the objects of the Prometheus operator and the Gateway API."""
    manifests = foreign(render(programs.helm, VALUES["everything"], f"--namespace={namespace}"))

    said = dry_run(control_plane, namespace, manifests)

    assert len(said) == len(manifests)
    assert {each["kind"] for each in manifests} == FOREIGN


@pytest.mark.parametrize("values", [None, VALUES["everything"]], ids=["defaults", "everything"])
def test_pods_are_restricted(
    control_plane: ControlPlane, namespace: str, programs: ChartPrograms, values: Path | None
) -> None:
    """Each pod, that of `helm test` too, is let into a namespace that enforces the Pod Security level `restricted`."""
    manifests = render(programs.helm, values, f"--namespace={namespace}")
    restrict(control_plane, namespace)
    kubectl(control_plane, "apply", "-f", "-", manifests=service_accounts(manifests, namespace))

    said = dry_run(control_plane, namespace, pods(manifests))

    assert len(said) == (5 if values else 3)  # the recovery's and the order page's are off by default


def test_what_is_not_restricted_is_refused(
    control_plane: ControlPlane, namespace: str, programs: ChartPrograms
) -> None:
    """That namespace means it: without their security contexts the pods are kept out."""
    manifests = render(programs.helm, VALUES["nothing"], f"--namespace={namespace}")
    restrict(control_plane, namespace)
    kubectl(control_plane, "apply", "-f", "-", manifests=service_accounts(manifests, namespace))

    with pytest.raises(KubectlError) as refused:
        dry_run(control_plane, namespace, pods(manifests))

    assert str(refused.value).count('violates PodSecurity "restricted:latest"') == 4


def dry_run(control_plane: ControlPlane, namespace: str, manifests: Sequence[Manifest]) -> list[str]:
    """Return what the API server says of manifests, a line each; nothing is stored."""
    arguments = ("apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", f"--namespace={namespace}")
    return kubectl(control_plane, *arguments, "-f", "-", manifests=manifests).splitlines()


def restrict(control_plane: ControlPlane, namespace: str) -> None:
    kubectl(control_plane, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")


def own(manifests: Sequence[Manifest]) -> list[Manifest]:
    return [each for each in manifests if each["kind"] not in FOREIGN]


def foreign(manifests: Sequence[Manifest]) -> list[Manifest]:
    return [each for each in manifests if each["kind"] in FOREIGN]


def service_accounts(manifests: Sequence[Manifest], namespace: str) -> list[Manifest]:
    """Return those that pods need: the chart's, and the one that a controller makes in every namespace."""
    default = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    return [default, *(each for each in manifests if each["kind"] == "ServiceAccount")]
