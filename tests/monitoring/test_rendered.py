"""What the chart makes of the files: nothing is left to fill in, and two releases do not meet in one Grafana."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fulfillment_local.programs import find_helm
from support import chart_rendering
from support.monitoring_files import FILES, grafana_rules, promtool_accepts

SHOP = "shop-of-a-team-whose-namespace-has-the-longest-name-that-it-may"
SWITCHES = ("prometheusRule", "dashboard", "grafanaAlerts")


def render(namespace: str, **of_grafana: bool) -> dict[str, Any]:
    """Render the objects of monitoring, by kind and name."""
    monitoring: dict[str, Any] = {switch: {"enabled": True} for switch in SWITCHES}
    monitoring["grafanaAlerts"] |= of_grafana
    monitoring["runbookUrl"] = "https://docs.example/runbooks/"
    values = {"monitoring": monitoring, "stripe": {"existingSecret": "stripe"}}
    found = chart_rendering.render(find_helm(os.environ), values, f"--namespace={namespace}")
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    return render(SHOP)


def grafana_alerts(objects: dict[str, Any]) -> Any:
    (text,) = objects["ConfigMap/checkout-fulfillment-grafana-alerts"]["data"].values()
    assert "$" not in text
    return yaml.safe_load(text)


def test_the_rules_are_whole(rendered: dict[str, Any], promtool: str, tmp_path: Path) -> None:
    """Promtool accepts them, and their runbooks have an address."""
    spec = rendered["PrometheusRule/checkout-fulfillment"]["spec"]
    assert "$" not in json.dumps(spec)
    assert spec["groups"][0]["rules"][0]["annotations"]["runbook_url"] == (
        "https://docs.example/runbooks/CheckoutPaymentFailed.md"
    )
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(spec))
    promtool_accepts(promtool, "check", "rules", str(path))


def test_grafanas_rules_are_prometheus_rules(rendered: dict[str, Any]) -> None:
    """As installed, too: name and expression agree."""
    ours = [
        (each["alert"], each["expr"])
        for each in rendered["PrometheusRule/checkout-fulfillment"]["spec"]["groups"][0]["rules"]
    ]
    group = grafana_alerts(rendered)["groups"][0]
    assert [(each["title"], each["data"][0]["model"]["expr"]) for each in group["rules"]] == ours


def test_two_releases_do_not_meet(rendered: dict[str, Any]) -> None:
    """Each has its folder and its uids, which are as short as Grafana wants them, whatever the namespace's name is."""
    groups = [grafana_alerts(each)["groups"][0] for each in (rendered, render("shop"))]
    assert len({group["folder"] for group in groups}) == 2
    uids = [rule["uid"] for group in groups for rule in group["rules"]]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch("[a-z0-9-]{1,40}", uid) for uid in uids)


def test_grafana_deletes_what_it_has_read() -> None:
    """Each uid that it ever had of this release is named, that of an order page's alert as well, and no rule."""
    deleting = grafana_alerts(render("shop", delete=True))
    assert deleting.keys() == {"apiVersion", "deleteRules"}
    assert len(deleting["deleteRules"]) == len(grafana_rules())
    installed = grafana_alerts(render("shop"))
    read = {rule["uid"] for rule in (*installed["groups"][0]["rules"], *installed["deleteRules"])}
    assert {rule["uid"] for rule in deleting["deleteRules"]} == read


def test_the_dashboard_keeps_grafanas_variables(rendered: dict[str, Any]) -> None:
    """The chart fills in where the runbooks are, and leaves what a person chooses."""
    (text,) = rendered["ConfigMap/checkout-fulfillment-dashboard"]["data"].values()
    filled = (FILES / "dashboard.json").read_text().replace("${runbooks}", "https://docs.example/runbooks")
    assert json.loads(text) == json.loads(filled)
