"""The chart as it is published: what it holds, what it says of itself, and how other charts take it in."""

import json
import shutil
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from fulfillment_api.crd import custom_resource_definition
from fulfillment_api.names import GROUP, request_name
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import ChartPrograms
from support.chart_rendering import CHART, VALUES, HelmError, Manifest, render, run_helm
from support.fast_yaml import load_all
from support.kubectl import kubectl
from support.repository import ROOT
from support.running_operator import RULES as OPERATOR_RULES
from support.running_page import PAGE_RULES
from support.running_webhook import RULES as SERVICE_RULES

SKAFFOLD_SCHEMA = ROOT.parent / "shared/reference/skaffold-v4beta14.schema.json"
METADATA: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
ANNOTATIONS = {
    name.removeprefix("artifacthub.io/"): yaml.safe_load(text) for name, text in METADATA["annotations"].items()
}


def test_the_package_holds_what_is_installed(helm: Path, tmp_path: Path) -> None:
    """Neither the suites nor the README's template are in it, and from it the same is rendered."""
    run_helm(helm, "package", str(CHART), f"--destination={tmp_path}")
    (package,) = tmp_path.glob("*.tgz")

    with tarfile.open(package) as archive:
        names = {Path(*Path(each).parts[1:]) for each in archive.getnames()}

    expected = {each.relative_to(CHART) for each in CHART.rglob("*") if each.is_file()}
    left_out = {each for each in expected if each.parts[0] == "tests"} | {Path("README.md.gotmpl"), Path(".helmignore")}
    assert names - {Path(".helmignore")} == expected - left_out
    assert render(helm, VALUES["everything"], chart=package) == render(helm, VALUES["everything"])


def test_the_chart_is_of_the_products_version() -> None:
    """The version of the image that is pulled by default is that of the distribution."""
    assert METADATA["appVersion"] == METADATA["version"] == version("checkout-fulfillment")


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("Dockerfile", "ARG VERSION={}\n"),
        ("local/pyproject.toml", 'version = "{}"\n'),
        ("local/chart/Chart.yaml", "appVersion: {}\n"),
        ("local/chart/values.yaml", "image: checkout-fulfillment-world:{}\n"),
        ("docs/backends.md", "FROM checkout-fulfillment:{}\n"),
    ],
)
def test_so_is_what_else_names_it(file: str, says: str) -> None:
    """The image's label, the stand-ins' distribution and image, and what a derived image is built from."""
    assert says.format(version("checkout-fulfillment")) in (ROOT / file).read_text(encoding="utf-8")


def test_the_definition_is_announced() -> None:
    """What Artifact Hub shows of the CustomResourceDefinition is what is installed."""
    crd = custom_resource_definition()
    (announced,) = ANNOTATIONS["crds"]
    assert (announced["name"], announced["kind"]) == (crd["metadata"]["name"], crd["spec"]["names"]["kind"])
    assert [announced["version"]] == [each["name"] for each in crd["spec"]["versions"]]


@pytest.mark.usefixtures("crd")
@pytest.mark.xdist_group("chart on another API server")
def test_the_example_is_one(control_plane: ControlPlane, namespace: str) -> None:
    """The example that Artifact Hub shows is taken by the API server, and its name is its Session's."""
    (example,) = ANNOTATIONS["crdsExamples"]

    said = kubectl(
        control_plane,
        "create",
        "--dry-run=server",
        "--validate=strict",
        f"--namespace={namespace}",
        "-f",
        "-",
        manifests=[example],
    )

    name = request_name(example["spec"]["session"]["id"])
    assert said == f"fulfillmentrequest.{GROUP}/{name} created (server dry run)\n"


def test_the_definition_is_rendered_whole(helm: Path) -> None:
    """The CustomResourceDefinition in the manifests is the file's, marked to be kept."""
    (crd,) = (each for each in render(helm) if each["kind"] == "CustomResourceDefinition")
    assert crd["spec"] == yaml.safe_load((CHART / "files/crd.yaml").read_text(encoding="utf-8"))["spec"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(
    ("component", "rules"),
    [("webhook", [SERVICE_RULES]), ("operator", list(OPERATOR_RULES)), ("page", [PAGE_RULES])],
)
def test_the_roles_allow_what_is_needed(programs: ChartPrograms, component: str, rules: list[Any]) -> None:
    """What the tests of the programs may do on a real API server, their Roles allow, and no more."""
    (role,) = (
        each
        for each in render(programs.helm, {"page": {"enabled": True}})
        if each["kind"] == "Role" and each["metadata"]["name"] == f"checkout-fulfillment-{component}"
    )
    assert role["rules"] == [
        {"apiGroups": each.api_groups, "resources": each.resources, "verbs": each.verbs}
        | ({"resourceNames": each.resource_names} if each.resource_names else {})
        for each in rules
    ]


def test_by_default_nothing_but_the_definition_reaches_beyond_the_namespace(helm: Path) -> None:
    """There is no ClusterRole and no ClusterRoleBinding, and each other object is in the release's namespace."""
    manifests = render(helm)
    elsewhere = [each["kind"] for each in manifests if each["metadata"].get("namespace") != "shop"]
    assert elsewhere == ["CustomResourceDefinition"]


@pytest.mark.parametrize("values", [None, *VALUES.values()], ids=["defaults", *VALUES])
def test_a_new_version_changes_no_selector(helm: Path, tmp_path: Path, values: Path | None) -> None:
    """Selectors may not change in an upgrade, and pods are replaced only for what concerns them: the image."""
    newer = tmp_path / "checkout-fulfillment"
    shutil.copytree(CHART, newer)
    (newer / "Chart.yaml").write_text(yaml.safe_dump(METADATA | {"version": "7.0.0", "appVersion": "7.1.0"}))

    before, after = render(helm, values), render(helm, values, chart=newer)

    assert before != after
    assert selectors(before) == selectors(after)
    assert pod_templates(before) == pod_templates(after)


OWN_KINDS = {"webhook": {"Service"}, "operator": {"PodMonitor"}, "page": {"Service", "PodMonitor"}}


def test_selectors_hold_three_labels(helm: Path) -> None:
    """Each is of the chart's name, the release and the component; and selects the pods of one workload."""
    for component in ("webhook", "operator", "page"):
        expected = {
            "app.kubernetes.io/name": "fulfillment",
            "app.kubernetes.io/instance": "checkout-fulfillment",
            "app.kubernetes.io/component": component,
        }
        found = {
            (each["kind"], json.dumps(selector, sort_keys=True))
            for each in render(helm, VALUES["everything"])
            for selector in selectors([each])
            if each["metadata"]["labels"].get("app.kubernetes.io/component") == component
            and each["kind"] != "ServiceMonitor"  # which selects the Service
        }
        kinds = {"Deployment", "PodDisruptionBudget", "NetworkPolicy"} | OWN_KINDS[component]
        assert found == {(kind, json.dumps(expected, sort_keys=True)) for kind in kinds}


def selectors(manifests: list[Manifest]) -> list[Any]:
    """Return how each object selects others."""
    found = []
    for each in manifests:
        spec = each.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector")
        if selector:
            found.append(selector.get("matchLabels", selector))
    return found


def pod_templates(manifests: list[Manifest]) -> list[Any]:
    """Return the pods' templates without their image."""
    found = []
    for each in manifests:
        if each["kind"] == "Deployment":
            template = each["spec"]["template"]
            template["spec"]["containers"][0].pop("image")
            found.append(template)
    return found


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Make a chart that depends on this one, on a condition."""
    chart = tmp_path / "shop"
    shutil.copytree(CHART, chart / "charts/checkout-fulfillment")
    dependency = {
        "name": "checkout-fulfillment",
        "version": METADATA["version"],
        "condition": "checkout-fulfillment.enabled",
    }
    metadata = {"apiVersion": "v2", "name": "shop", "version": "1.0.0", "dependencies": [dependency]}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(metadata))
    return chart


@pytest.mark.parametrize("enabled", [True, False])
def test_a_parent_chart_switches_it_by_a_condition(helm: Path, parent: Path, *, enabled: bool) -> None:
    """The schema takes `enabled`, and `global` with what other charts need, so that it can be part of another."""
    values = {
        "global": {"imageRegistry": "registry.example", "security": {"allowInsecureImages": True}},
        "checkout-fulfillment": {"enabled": enabled, "webhook": {"replicas": 4}},
    }

    manifests = render(helm, values, chart=parent)

    deployments = {each["metadata"]["name"]: each["spec"] for each in manifests if each["kind"] == "Deployment"}
    assert bool(manifests) is enabled
    if enabled:
        webhook = deployments["checkout-fulfillment-webhook"]
        assert webhook["replicas"] == 4
        image = webhook["template"]["spec"]["containers"][0]["image"]
        assert image == f"registry.example/checkout-fulfillment:{METADATA['appVersion']}"


def test_a_parent_chart_is_told_what_is_wrong(helm: Path, parent: Path) -> None:
    """As part of another chart it is as strict as alone."""
    with pytest.raises(HelmError) as refused:
        render(helm, {"checkout-fulfillment": {"webhook": {"replica": 4}}}, chart=parent)
    assert "checkout-fulfillment:" in str(refused.value)
    assert "replica" in str(refused.value)


def test_names_follow_the_release(programs: ChartPrograms) -> None:
    """A release of another name has it in front; and the longest leaves room for what is added."""
    for release, name in (
        ("shop", "shop-checkout-fulfillment-webhook"),
        ("my-checkout-fulfillment", "my-checkout-fulfillment-webhook"),
        ("a" * 53, f"{'a' * 46}-webhook"),
    ):
        manifests = load_all(run_helm(programs.helm, "template", release, str(CHART), "--kube-version=1.31.0"))
        deployments = [each["metadata"]["name"] for each in manifests if each["kind"] == "Deployment"]
        assert name in deployments


def test_skaffold_reads_its_file() -> None:
    """skaffold.yaml is valid by the schema that skaffold publishes."""
    if not SKAFFOLD_SCHEMA.exists():
        pytest.skip("skaffold's schema is not here")
    import jsonschema  # noqa: PLC0415 - it takes seconds

    schema = json.loads(SKAFFOLD_SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load((ROOT / "skaffold.yaml").read_text(encoding="utf-8")), schema)
