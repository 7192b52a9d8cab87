"""The documents name what there is: every setting, metric and dependency, and none besides."""

import re
import tomllib

import pytest
import stripe
from prometheus_client import CollectorRegistry

from fulfillment_api.recovery import LastRun
from fulfillment_operator.metrics import OperatorMetrics, RequestsCollector
from fulfillment_operator.upkeep.recovery_metrics import RecoveryCollector
from fulfillment_operator.upkeep.retention_sweep import RetentionMetrics
from fulfillment_operator.upkeep.webhook_endpoint_check import WebhookEndpointMetrics
from fulfillment_operator.upkeep.webhook_endpoints import RECOMMENDED, REQUIRED
from fulfillment_page.metrics import PageMetrics
from fulfillment_page.session_lookup import LookupOutcome
from fulfillment_runtime.findings import Check, Verdict
from fulfillment_runtime.settings import known_settings
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.http.metrics import CallbackMetrics, WebhookMetrics
from support.repository import ROOT

ROW = re.compile(r"^\| `([A-Za-z_]+)` \|.*\| ([^|]*) \|$", re.MULTILINE)


def names(document: str) -> set[str]:
    return {name for name, _ in ROW.findall((ROOT / "docs" / document).read_text())}


def test_every_setting_is_documented_in_its_own_words() -> None:
    """What a person is told on a mistake is what the page says."""
    documented = dict(ROW.findall((ROOT / "docs/settings.md").read_text()))
    assert documented == known_settings()


def test_every_metric_is_documented() -> None:
    """The families of every workload's registry."""
    registry = CollectorRegistry()
    OperatorMetrics(registry, "log")
    RetentionMetrics(registry)
    WebhookEndpointMetrics(registry)
    registry.register(RequestsCollector(list, lambda: 0, list))
    recovery = RecoveryCollector()
    recovery.update(LastRun())
    registry.register(recovery)
    service = CollectorRegistry()
    WebhookMetrics(service, started_at=0.0)
    CallbackMetrics(service)
    page = CollectorRegistry()
    PageMetrics(page, LookupOutcome)
    found = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for each in (registry, service, page)
        for family in each.collect()
        if family.name.startswith("fulfillment_")
    }
    assert names("metrics.md") == found


def test_every_reason_to_ignore_an_event_is_explained() -> None:
    """As the webhook answers it, and `fulfillment trigger` shows it."""
    rows = re.findall(r"^\| (`[^|]*`) \|", (ROOT / "docs/trigger.md").read_text(), re.MULTILINE)
    assert sorted(re.findall("`([^`]*)`", " ".join(rows))) == sorted(Ignored)


def test_every_check_of_doctor_is_explained() -> None:
    """Where it is seen, and what is looked at."""
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| [^|]+ \|$", (ROOT / "docs/doctor.md").read_text(), re.MULTILINE)
    assert set(rows) - set(Verdict) == set(Check)


def test_every_dependency_has_its_reason() -> None:
    """One line each in docs/dependencies.md."""
    product, local = (tomllib.loads((ROOT / each).read_text()) for each in ("pyproject.toml", "local/pyproject.toml"))
    required = [
        *product["project"]["dependencies"],
        *local["project"]["dependencies"],
        *product["dependency-groups"]["dev"],
        *product["dependency-groups"]["fuzz"],
        *product["dependency-groups"]["docs"],
    ]
    used = {re.split(r"[<>=;]", each)[0] for each in required} - {product["project"]["name"]}
    rows = re.findall(r"^\| ([a-z0-9, -]+) \| .+ \|$", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    documented = {name for row in rows for name in row.split(", ") if name != "package"}
    assert documented - {"---"} == used


def test_no_lock_file_names_a_package_index() -> None:
    """They work with any index, and with none but hashes."""
    for lock in ("requirements.lock", "requirements-local.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text()
        assert "://" not in text
        assert "--index-url" not in text
        pinned = re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", text, re.MULTILINE)
        assert len(pinned) == len(re.findall(r"^[a-z0-9-]+[^#\n]*(?:\\)\n    --hash=", text, re.MULTILINE)) > 50


@pytest.mark.parametrize("file", ["docs/going-live.md", "charts/checkout-fulfillment/templates/NOTES.txt"])
def test_the_endpoint_that_a_person_is_told_to_register_has_no_problem(file: str) -> None:
    """Its events and its API version are those that the operator looks for at Stripe."""
    text = (ROOT / file).read_text()
    assert re.findall(r"api_version=([\w.-]+)", text) == [stripe.api_version]
    assert set(re.findall(r"enabled_events\[\]\"?=([\w.]+)", text)) == REQUIRED | RECOMMENDED
