"""The suites of helm-unittest, which render each template both ways; charts/checkout-fulfillment/tests has them."""

import subprocess
from pathlib import Path

import pytest
import yaml

from fulfillment_local.programs import ChartPrograms
from support.chart_rendering import CHART

SUITES = {each: yaml.safe_load(each.read_text(encoding="utf-8")) for each in sorted((CHART / "tests").glob("*.yaml"))}
TEMPLATES = {
    str(each.relative_to(CHART / "templates"))
    for each in (CHART / "templates").rglob("*")
    if each.is_file() and not each.name.startswith("_")
}


@pytest.mark.parametrize("suite", SUITES, ids=lambda each: each.stem)
def test_suite(programs: ChartPrograms, suite: Path) -> None:
    """Every test of the suite passes."""
    run = subprocess.run(  # noqa: S603 - our own arguments
        [programs.helm_unittest, "--strict", f"--file={suite}", str(CHART)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


def test_every_template_has_a_suite() -> None:
    """Its name says which: `webhook/service.yaml` is tried by `webhook-service_test.yaml`."""
    tried = {suite.name.removesuffix("_test.yaml"): content["templates"][0] for suite, content in SUITES.items()}
    expected = {each.lower().rpartition(".")[0].replace("/", "-"): each for each in TEMPLATES}
    assert tried == expected
