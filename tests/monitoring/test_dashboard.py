"""The dashboard: what it asks for is there to be had, and a person can read it."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from fulfillment_api.recovery import LastRun
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_operator.metrics import OperatorMetrics, RequestsCollector, request_level
from fulfillment_operator.upkeep.recovery_metrics import RecoveryCollector
from fulfillment_operator.upkeep.retention_sweep import RetentionMetrics
from fulfillment_operator.upkeep.webhook_endpoint_check import WebhookEndpointMetrics
from fulfillment_page.metrics import PageMetrics
from fulfillment_page.session_lookup import LookupOutcome
from fulfillment_runtime.management import process_registry
from fulfillment_service.http.metrics import CallbackMetrics, WebhookMetrics
from support.builders import make_request
from support.monitoring_files import FILES, as_installed, promtool_accepts, rules

VARIABLES = {"$namespace": "shop", "$__rate_interval": "5m", "$__range": "1d"}
SELECTOR = re.compile(r"([a-z_A-Z]+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def page() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text())
    return found


PANELS = [panel for panel in page()["panels"] if panel["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    of_panels = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
    return [*of_panels, *((each["name"], each["expr"]) for each in page()["annotations"]["list"])]


def filled(expression: str) -> str:
    """Fill in Grafana's variables and the chart's."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return as_installed(expression)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """It has a title, a sentence, a unit, a name for each series, and no data source of its own."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for source in (panel, *panel["targets"]):
        assert source["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(target["legendFormat"] for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_titles_and_numbers_are_of_one_panel() -> None:
    """A link to a panel stays one."""
    panels = page()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)


def test_panels_fill_the_grid_without_overlap() -> None:
    """Each row of the grid's 24 columns is taken from edge to edge, once."""
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in page()["panels"]
        for x, y in itertools.product(range(panel["gridPos"]["w"]), range(panel["gridPos"]["h"]))
    ]
    height = max(y for _, y in cells) + 1
    assert sorted(cells) == sorted(itertools.product(range(24), range(height)))


def test_the_page_belongs_to_no_one_installation() -> None:
    """A person chooses the data source and the namespace; the address is always the same."""
    found = page()
    assert found["uid"] == "checkout-fulfillment"
    assert [each["name"] for each in found["templating"]["list"]] == ["datasource", "namespace"]
    used = set(re.findall(r"\$\{?\w+\}?", json.dumps(found)))
    assert used == {"${datasource}", "${runbooks}", *VARIABLES}


def test_links_go_to_runbooks_that_are_there() -> None:
    """The chart fills in where they are."""
    links = {link["url"] for panel in PANELS for link in panel.get("links", ())}
    assert links <= {rule["annotations"]["runbook_url"] for rule in rules()}
    assert len(links) > 10


def test_promtool_accepts_every_expression(promtool: str, tmp_path: Path) -> None:
    """With Grafana's variables filled in."""
    records = [
        {"record": f"panel:{number}", "expr": filled(expression)}
        for number, (_, expression) in enumerate(expressions())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    promtool_accepts(promtool, "check", "rules", str(path))


@pytest.mark.parametrize(
    ("pods", "ago"),
    [
        ({"w1": (0, 600)}, 3000),
        ({"w1": (0, 600), "w2": (3480, 3480)}, 3000),  # the other pod is new, and has heard nothing
        ({"w1": (0, 600), "w2": (60, 1200)}, 2400),
        ({"w1": (1200, 1200), "w2": (3480, 3480)}, 2400),  # nobody has heard anything
    ],
)
def test_a_pod_that_starts_is_no_event(
    promtool: str, tmp_path: Path, pods: dict[str, tuple[int, int]], ago: int
) -> None:
    """The newest event that a pod took counts, whatever started since; without any, since when none came."""
    series = {
        f'{metric}{{namespace="shop",job="w",instance="i",pod="{pod}"}}': values[number]
        for pod, values in pods.items()
        for number, metric in enumerate(
            ("fulfillment_start_timestamp_seconds", "fulfillment_webhook_last_event_timestamp_seconds")
        )
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": each, "values": f"{value}x60"} for each, value in series.items()],
        "promql_expr_test": [
            {
                "expr": filled(dict(expressions())["Last event"]),
                "eval_time": "1h",
                "exp_samples": [{"labels": "{}", "value": ago}],
            }
        ],
    }
    path = tmp_path / "tests.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    promtool_accepts(promtool, "test", "rules", str(path))


def metrics() -> Iterator[Metric]:
    """Give all that the workloads serve, with a request of every phase in the cluster."""
    requests = [make_request()]
    for phase in (Phase.AWAITING_PAYMENT, Phase.FULFILLING, Phase.FAILED):
        status = Status(phase=phase, reason=Reason.PAYMENT_FAILED, message="m", observed_generation=1, conditions=[])
        requests.append(make_request(status=status))
    operator, webhook, page = process_registry(0), process_registry(0), process_registry(0)
    OperatorMetrics(operator, "http")
    operator.register(RequestsCollector(lambda: map(request_level, requests), lambda: 0, list))
    RetentionMetrics(operator)
    WebhookEndpointMetrics(operator)
    recovery = RecoveryCollector()
    recovery.update(LastRun())
    operator.register(recovery)
    WebhookMetrics(webhook, started_at=0.0)
    CallbackMetrics(webhook)
    PageMetrics(page, LookupOutcome)
    for registry in (operator, webhook, page):
        yield from registry.collect()


SERIES = [(sample.name, sample.labels) for family in metrics() for sample in family.samples]
ALERTS = [(rule["alert"], rule["expr"]) for rule in rules()]


def matches(labels: dict[str, str], label: str, operator: str, value: str) -> bool:
    match operator:
        case "=":
            return labels[label] == value
        case "!=":
            return labels[label] != value
        case "=~":
            return re.fullmatch(value, labels[label]) is not None
        case _:
            return re.fullmatch(value, labels[label]) is None


@pytest.mark.parametrize(("title", "expression"), [*expressions(), *ALERTS])
def test_an_expression_selects_series_that_there_are(title: str, expression: str) -> None:
    """The metric, its labels, and the values that are asked for; and of one namespace only."""
    selectors = SELECTOR.findall(filled(expression))
    assert selectors, title
    assert set(re.findall(r"\b(?:fulfillment|process)_\w+", expression)) <= {metric for metric, _ in selectors}
    for metric, inside in selectors:
        matchers = MATCHER.findall(inside)
        assert matchers[0][:2] == ("namespace", "=")
        if metric == "ALERTS":
            continue
        assert [
            labels
            for name, labels in SERIES
            if name == metric and all(matches(labels, *matcher) for matcher in matchers[1:])
        ], f"{metric}{{{inside}}}"


def failures_counted(expression: str) -> set[str]:
    """Tell the reasons of failed requests that nobody acknowledged, and that an expression counts."""
    return {
        labels["reason"]
        for metric, inside in SELECTOR.findall(filled(expression))
        for name, labels in SERIES
        if name == metric == "fulfillment_requests"
        and labels["phase"] == "failed"
        and labels["acknowledged"] == "false"
        and all(matches(labels, *matcher) for matcher in MATCHER.findall(inside) if matcher[0] != "namespace")
    }


def test_the_failures_that_turn_red_are_those_that_have_an_alert() -> None:
    """What a person ended, or had refunded, is dealt with, and waits for nobody."""
    tile = dict(expressions())["Failed, not acknowledged"]
    alerting = {reason for _, expression in ALERTS for reason in failures_counted(expression)}
    assert "FulfillmentFailed" in alerting
    assert alerting == failures_counted(tile)
