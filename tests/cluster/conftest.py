"""One installation of the chart on the cluster at hand, which the tests go through from its beginning to its end."""

import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from typing import Any

import msgspec
import pytest
import yaml

from fulfillment_api.names import ACKNOWLEDGED, GROUP, PLURAL
from fulfillment_api.status import Phase
from fulfillment_local.e2e_context import trial_context
from fulfillment_local.programs import find_helm, find_programs, find_prometheus
from fulfillment_runtime.fatal_errors import SettingsError
from support.live_cluster import CHART, RELEASE, LiveCluster, eventually, live_cluster
from support.repository import ROOT, SHARED
from support.running_prometheus import RunningPrometheus, running_prometheus
from support.scrape_config import Monitor, scrape_configs
from support.shipping_job import JOB
from support.stand_ins import StandIns

NAMESPACE = "e2e"
ORDER = (
    *("installation", "rights", "monitoring", "orders", "page", "jobs", "acknowledgement"),
    *(
        "image",
        "callback",
        "refund",
        "recovery",
        "upgrade",
        "drain",
        "eviction",
        "secrets",
        "failover",
        "reinstallation",
    ),
    "silence",  # takes two minutes from the acknowledgement on, which the others fill
    "restore",  # deletes every order, and its failures are acknowledged by nobody
)
"""The tests' files, in the order of an installation's life."""

PREVIOUS_CHART = CHART
"""What is installed first, and upgraded to the chart: so far there is but one version."""
VALUES: dict[str, Any] = {
    "stripe": {"apiBase": "http://world-stripe:4243"},
    "backend": {
        "name": "http",
        "http": {"url": "http://world-backend:8080/orders", "existingSecret": "backend"},
        "job": {"template": JOB},
        "routes": [{"name": "parcels", "when": {"metadata": {"ship": "parcel"}}, "backend": "job"}],
    },
    "webhook": {"callback": {"enabled": True}},
    "recovery": {"enabled": True, "suspend": True},
    "mail": {
        "from": "Harbour Goods <orders@shop.example>",
        "smtp": {"host": "world-mail", "port": 1025, "tls": "none"},
    },
    "shop": {"name": "Harbour Goods", "url": "https://shop.example"},
    "page": {"enabled": True, "replicas": 1},
    "monitoring": {"dashboard": {"enabled": True}, "grafanaAlerts": {"enabled": True}},
}
"""What the release is told: all else is the chart's default."""
MONITORS = {each: {"enabled": True} for each in ("serviceMonitor", "podMonitor", "prometheusRule")}

_WORLD_CHART = ROOT / "local/chart"
_MONITORING_CRDS = sorted((SHARED / "reference/crds").glob("monitoring.coreos.com_*.yaml"))
_CRD = f"{PLURAL}.{GROUP}"
_OURS = "app.kubernetes.io/managed-by=make-e2e"
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
_SHOWN_ON_FAILURE = (
    ("get", f"pods,{PLURAL},leases", "--output=wide"),
    ("get", "events", "--sort-by=.lastTimestamp"),
    ("describe", "pods", f"--selector=app.kubernetes.io/instance={RELEASE}"),
    ("logs", f"--selector=app.kubernetes.io/instance={RELEASE}", "--tail=40", "--prefix"),
)
_SHOWN_LINES = 120  # of each
_SHOWN_LAST = (("get", "pods"), ("get", "events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp"))
_LAST_LINES = 15  # of each: what a shortened log still shows

_FIGURES = pytest.StashKey[list[str]]()
_CLUSTER = pytest.StashKey[LiveCluster]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {f"test_{name}": place for place, name in enumerate(ORDER)}
    items.sort(key=lambda item: places.get(item.path.stem, -1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("figures")
    for line in config.stash[_FIGURES]:
        terminalreporter.line(line)
    if _CLUSTER in config.stash and terminalreporter.stats.keys() & {"failed", "error"}:
        for arguments in _SHOWN_LAST:
            terminalreporter.section(f"kubectl {' '.join(arguments)}")
            for line in _kubectl_lines(config.stash[_CLUSTER], arguments)[-_LAST_LINES:]:
                terminalreporter.line(line)
        terminalreporter.line(f"The namespace {NAMESPACE} stays as it was at the failure, until the next run.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the cluster says when a test fails."""
    report = yield
    cluster = item.config.stash.get(_CLUSTER, None)
    if report.failed and cluster is not None:
        for arguments in _SHOWN_ON_FAILURE:
            lines = _kubectl_lines(cluster, arguments)[-_SHOWN_LINES:]
            report.sections.append((f"kubectl {' '.join(arguments)}", "\n".join(lines)))
    return report


def _kubectl_lines(cluster: LiveCluster, arguments: Sequence[str]) -> list[str]:
    command = [*cluster.kubectl_command, *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - kubectl
    return (said.stdout + said.stderr).splitlines()


@pytest.fixture(scope="session")
def figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Give what takes a figure, as what it is of and what it is, and shows it in the end."""
    return lambda what, said: request.config.stash[_FIGURES].append(f"{what}: {said}")


@pytest.fixture(scope="session")
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[LiveCluster]:
    """Give an empty namespace that lets in only what Pod Security calls restricted; after a failure it stays."""
    kubectl = find_programs(os.environ).kubectl
    try:
        context = trial_context(kubectl, os.environ)
    except SettingsError as error:
        pytest.exit(error.message, error.exit_code)
    async with live_cluster(kubectl, find_helm(os.environ), context, NAMESPACE) as cluster:
        await _tidy(cluster)
        metadata = {"name": NAMESPACE, "labels": _RESTRICTED | dict([_OURS.split("=")])}
        await cluster.kubectl(
            "create", "-f", "-", manifests=[{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}]
        )
        request.config.stash[_CLUSTER] = cluster
        yield cluster
        if not request.session.testsfailed:
            await cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
            await cluster.kubectl("delete", "crd", _CRD, "--wait=false")


async def _tidy(cluster: LiveCluster) -> None:
    """Remove what these tests left; end, when the cluster has orders, or an installation, of somebody else."""
    await cluster.kubectl("delete", "namespaces", f"--selector={_OURS}", "--timeout=180s")
    definition = yaml.safe_load(await cluster.kubectl("get", "crd", _CRD, "--ignore-not-found", "--output=yaml"))
    if definition is None:
        return
    owner = definition["metadata"].get("annotations", {}).get("meta.helm.sh/release-namespace")
    others = f"--field-selector=metadata.namespace!={NAMESPACE}"
    orders = await cluster.kubectl("get", _CRD, "--all-namespaces", others, "--output=name")
    if orders or owner != NAMESPACE:
        pytest.exit(
            f"this cluster has the CustomResourceDefinition {_CRD} of a release in the namespace {owner}, and "
            f"{len(orders.splitlines())} orders: take another cluster; or, if nobody needs them, uninstall that "
            f"release, and `kubectl delete crd {_CRD}`, which deletes the orders, too",
            os.EX_CONFIG,
        )
    await cluster.kubectl("delete", "crd", _CRD)


@pytest.fixture(scope="session")
async def world(cluster: LiveCluster) -> StandIns:
    """Install the stand-ins."""
    await cluster.helm("install", "world", str(_WORLD_CHART), "--wait", "--timeout=2m")
    return StandIns(cluster)


@pytest.fixture(scope="session")
async def monitors_served(cluster: LiveCluster) -> AsyncIterator[bool]:
    """Say whether the cluster serves the Prometheus operator's kinds; their definitions are installed, if at hand."""
    definitions = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in _MONITORING_CRDS]

    async def kinds() -> str:
        return await cluster.kubectl("api-resources", "--api-group=monitoring.coreos.com")

    served = "servicemonitors" in await kinds()
    if served or not definitions:
        yield served
        return
    await cluster.kubectl("apply", "--server-side", "-f", "-", manifests=definitions)
    plurals = [each["spec"]["names"]["plural"] for each in definitions]
    await eventually(kinds, lambda seen: all(each in seen for each in plurals), within=60, what="monitors are served")
    yield True
    await cluster.kubectl("delete", "-f", "-", manifests=definitions)


@pytest.fixture(scope="session")
def values(monitors_served: bool) -> dict[str, Any]:
    """Give what the release is told."""
    return VALUES | {"monitoring": VALUES["monitoring"] | (MONITORS if monitors_served else {})}


@pytest.fixture(scope="session")
async def notes(
    cluster: LiveCluster, world: StandIns, values: dict[str, Any], figure: Callable[[str, str], None]
) -> str:
    """Install the chart, and give what Helm says."""
    del world
    start = time.monotonic()
    said = await cluster.helm("install", RELEASE, str(PREVIOUS_CHART), "--wait", "--timeout=3m", values=values)
    figure("installation", f"{time.monotonic() - start:.1f} s until every pod is ready")
    return said


@pytest.fixture(scope="session")
async def shop(cluster: LiveCluster, world: StandIns, notes: str) -> StandIns:
    """Give the stand-ins of an installation that works."""
    del notes
    await cluster.until_served()
    return world


@pytest.fixture(scope="session")
async def monitoring(cluster: LiveCluster, shop: StandIns, monitors_served: bool) -> dict[str, Any]:
    """Give the installed objects of monitoring by kind and name; kinds that the cluster does not serve, as rendered."""
    del shop
    kinds = "configmaps,servicemonitors,podmonitors,prometheusrules" if monitors_served else "configmaps"
    selector = f"--selector=app.kubernetes.io/instance={RELEASE}"
    found = yaml.safe_load(await cluster.kubectl("get", kinds, selector, "--output=yaml"))["items"]
    if not monitors_served:
        rendered = await cluster.helm("template", RELEASE, str(CHART), values=VALUES | {"monitoring": MONITORS})
        found += [each for each in yaml.safe_load_all(rendered) if each["apiVersion"].startswith("monitoring.")]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


@pytest.fixture(scope="session")
async def prometheus(
    cluster: LiveCluster, monitoring: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningPrometheus]:
    """Run a Prometheus that scrapes what the monitors say, and evaluates the PrometheusRule.

    But for what it waits: levels are believed for two minutes after nobody tells them any more, and not for ten.
    """
    monitors = [msgspec.convert(each, Monitor) for name, each in monitoring.items() if "Monitor/" in name]
    configs = [config for monitor in monitors for config in scrape_configs(monitor, cluster.url)]
    spec = monitoring[f"PrometheusRule/{RELEASE}"]["spec"]
    alerts = [
        group | {"rules": [rule | {"expr": rule["expr"].replace("[10m]", "[2m]")} for rule in group["rules"]]}
        for group in spec["groups"]
    ]
    assert alerts != spec["groups"]
    program, folder = find_prometheus(os.environ).prometheus, tmp_path_factory.mktemp("prometheus")
    async with running_prometheus(program, folder, configs, {"groups": alerts}, interval="2s") as running:
        yield running


@pytest.fixture(scope="session")
async def acknowledged_at(cluster: LiveCluster, shop: StandIns) -> float:
    """Acknowledge every failure, as the runbooks say, and tell when, by the monotonic clock."""
    del shop
    for order in (await cluster.orders()).values():
        if order.status and order.status.phase is Phase.FAILED:
            said = f"{ACKNOWLEDGED}={order.status.reason}: told by telephone"
            await cluster.kubectl("annotate", PLURAL, order.metadata.name, said, "--overwrite")
    return time.monotonic()
