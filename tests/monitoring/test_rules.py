"""The alerts, played by promtool: which fire when, and that no other does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from alert_cases import CASES, COUNTS, FAILURES, HEALTHY, Case
from monitoring_files import FILES, ROOT, as_installed, grafana_rules, promtool_accepts, rules


def in_shop(series: str) -> str:
    return series.replace("{", '{namespace="shop",', 1)


def installed(folder: Path) -> Path:
    """The rules as the chart fills them."""
    path = folder / "rules.yaml"
    path.write_text(as_installed((FILES / "rules.yaml").read_text()))
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_exactly_the_alerts_that_must_fire_do(case: Case, promtool: str, tmp_path: Path) -> None:
    """All rules are loaded, and `ALERTS` says which of them fire."""
    series = {k: v for k, v in HEALTHY.items() if k not in case.without} | case.series
    test = {
        "interval": "1m",
        "input_series": [{"series": in_shop(name), "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)],
            }
            for minute, names in case.firing.items()
        ],
    }
    path = tmp_path / "test.yaml"
    rule_files = [str(installed(tmp_path))]
    path.write_text(yaml.safe_dump({"rule_files": rule_files, "evaluation_interval": "1m", "tests": [test]}))
    promtool_accepts(promtool, "test", "rules", str(path))


def test_promtool_accepts_the_rules(promtool: str, tmp_path: Path) -> None:
    """As the chart fills them."""
    promtool_accepts(promtool, "check", "rules", str(installed(tmp_path)))


def test_every_alert_has_a_case() -> None:
    """None is installed that was not seen to fire; and what reads counters or levels of failures is in its table."""
    of_tables = {count.alert for count in COUNTS} | {failure.alert for failure in FAILURES}
    tabled = re.compile(r'^sum by [^>]* > 0$|fulfillment_requests.*"failed"')
    reading = {rule["alert"] for rule in rules() if tabled.search(rule["expr"])}
    assert reading == of_tables
    assert {name for case in CASES for names in case.firing.values() for name in names} == {
        rule["alert"] for rule in rules()
    }


def test_the_files_are_what_the_source_says(tmp_path: Path) -> None:
    """They are generated, never edited."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "monitoring")}
    subprocess.run([sys.executable, "-m", "fulfillment_monitoring", str(tmp_path)], env=environment, check=True)  # noqa: S603 - our own module
    for name in ("rules.yaml", "grafana-alerts.yaml", "dashboard.json"):
        assert (FILES / name).read_text() == (tmp_path / name).read_text()


def test_grafana_has_the_same_rules() -> None:
    """Expression, time, labels and annotations agree, and every uid is one."""
    ours = [(r["alert"], r["expr"], r["for"], r["labels"], r["annotations"]) for r in rules()]
    theirs = [
        (r["title"], r["data"][0]["model"]["expr"], r["for"], r["labels"], r["annotations"]) for r in grafana_rules()
    ]
    assert theirs == ours
    uids = {rule["uid"] for rule in grafana_rules()}
    assert len(uids) == len(ours)
    assert all(re.fullmatch("[a-z]+-", uid.removesuffix("${hash}")) for uid in uids)
    assert max(len(uid.removesuffix("${hash}")) for uid in uids) + 8 <= 40


def test_grafana_has_nothing_to_expand() -> None:
    """It takes what follows a dollar for an environment variable, and the chart replaces these five."""
    text = (FILES / "grafana-alerts.yaml").read_text()
    found = set(re.findall(r"\$\{?\w*\}?", text))
    assert found == {"${namespace}", "${overdue}", "${runbooks}", "${datasource}", "${hash}"}
    assert text.count("$") == len(re.findall(r"\$\{(?:namespace|overdue|runbooks|datasource|hash)\}", text))


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    """The address ends in the page's name under docs/runbooks."""
    pages = {page.name for page in (ROOT / "docs/runbooks").glob("*.md")}
    assert pages == {rule["annotations"]["runbook_url"].removeprefix("${runbooks}/") for rule in rules()}
