import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import ChartPrograms, find_chart_programs
from support.chart_rendering import Manifest
from support.fast_yaml import dump_all, load_all
from support.kubectl import KubectlError, kubectl
from support.openapi_schemas import LOCATION, write_schemas
from support.repository import SHARED

FOREIGN_CRDS = SHARED / "reference/crds"


@pytest.fixture(scope="session")
def programs() -> ChartPrograms:
    return find_chart_programs(os.environ)


@pytest.fixture(params=["helm 4", "helm 3.14"])
def helm(request: pytest.FixtureRequest, programs: ChartPrograms) -> Path:
    """Give the newest Helm, and the oldest that the chart supports."""
    return programs.helm if request.param == "helm 4" else programs.oldest_helm


@pytest.fixture(scope="session")
def foreign_crds(control_plane: ControlPlane) -> None:
    """Install the definitions of the Prometheus operator and the Gateway API, and wait until they are served."""
    files = sorted(FOREIGN_CRDS.glob("*.yaml"))
    if not files:
        pytest.skip("the CustomResourceDefinitions of the Prometheus operator and the Gateway API are not here")
    definitions = [each for file in files for each in load_all(file.read_text(encoding="utf-8"))]
    kubectl(control_plane, "apply", "--server-side", "-f", "-", manifests=definitions)
    deadline = time.monotonic() + 120
    while not all(published(control_plane, each) for each in definitions):
        assert time.monotonic() < deadline
        time.sleep(0.1)  # there is no event to wait for


def published(control_plane: ControlPlane, definition: Manifest) -> bool:
    """Return whether the API server tells the schema of a custom resource: it does so a while after it serves it."""
    spec = definition["spec"]
    try:
        document = kubectl(
            control_plane, "get", "--raw", f"/openapi/v3/apis/{spec['group']}/{spec['versions'][0]['name']}"
        )
    except KubectlError:
        return False
    return f'"kind":"{spec["names"]["kind"]}"' in document


@pytest.fixture(scope="session")
def kubeconform(
    control_plane: ControlPlane, programs: ChartPrograms, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Sequence[Manifest]], list[str]]:
    """Give what says what is wrong with manifests, by the schemas that the API server publishes of itself."""
    folder = tmp_path_factory.mktemp("schemas")

    @cache
    def publish(version: str) -> None:
        path = f"/openapi/v3/{'apis' if '/' in version else 'api'}/{version}"
        write_schemas(json.loads(kubectl(control_plane, "get", "--raw", path)), folder)

    def complaints(manifests: Sequence[Manifest]) -> list[str]:
        for each in manifests:
            publish(each["apiVersion"])
        checked = subprocess.run(  # noqa: S603 - our own arguments
            [programs.kubeconform, "-strict", "-summary", "-schema-location", f"{folder}/{LOCATION}"],
            input=dump_all(manifests),
            capture_output=True,
            text=True,
            check=False,
        )
        *wrong, summary = checked.stdout.strip().splitlines()
        assert (checked.returncode == 0, checked.stderr) == (not wrong, "")
        assert f"{len(manifests)} resource" in summary
        assert "Skipped: 0" in summary
        return wrong

    return complaints
