"""The files that the chart brings to Prometheus and Grafana, and promtool's word on them."""

import subprocess
from typing import Any

import yaml

from support.repository import ROOT

FILES = ROOT / "charts/checkout-fulfillment/files"


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FILES / "rules.yaml").read_text())["groups"][0]["rules"]
    return found


def grafana_rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FILES / "grafana-alerts.yaml").read_text())["groups"][0]["rules"]
    return found


def as_installed(text: str, namespace: str = "shop") -> str:
    """Fill in what the chart does."""
    for variable, value in {
        "namespace": namespace,
        "overdue": "26",
        "runbooks": "https://docs.example/runbooks",
    }.items():
        text = text.replace("${" + variable + "}", value)
    return text


def promtool_accepts(promtool: str, *arguments: str) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - promtool
    assert done.returncode == 0, done.stdout + done.stderr
