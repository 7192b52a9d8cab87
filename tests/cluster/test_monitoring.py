"""A real Prometheus scrapes the pods as the monitors say, and evaluates the chart's own rules and Grafana's."""

import json
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
import yaml

from fulfillment_api.status import Phase
from support.live_cluster import RELEASE, LiveCluster, eventually
from support.running_prometheus import RunningPrometheus
from support.stand_ins import StandIns

FIRES_WITHIN = 120.0  # seconds; the rules are evaluated every 30
IN_TROUBLE = {"CheckoutFulfillmentFailed", "CheckoutPaymentFailed", "CheckoutSignatureFailures"}
NOTHING_TO_SHOW = {"Orders that are not fulfilled", "Since the last recovery"}
"""Panels with a series that is there only while the operator has not looked at an order, or after a recovery."""


async def test_every_pod_is_scraped(cluster: LiveCluster, prometheus: RunningPrometheus) -> None:
    """The monitors select the pods of every workload, and nothing else; each says which version it is."""
    pods = {pod.name for component in ("webhook", "operator", "page") for pod in await cluster.pods(component)}
    targets = await eventually(
        prometheus.targets,
        lambda targets: len(targets) == len(pods) and all(each.health == "up" for each in targets),
        within=60,
        what="every pod is scraped",
    )
    assert pods == {each.labels["pod"] for each in targets}
    assert {cluster.namespace} == {each.labels["namespace"] for each in targets}
    versions = await prometheus.query("fulfillment_build_info")
    assert pods == {each.metric["pod"] for each in versions}


async def test_the_charts_own_rules_are_evaluated(monitoring: dict[str, Any], prometheus: RunningPrometheus) -> None:
    """All of them, without an error; and none fires in an installation that works."""
    wanted = [rule["alert"] for rule in monitoring[f"PrometheusRule/{RELEASE}"]["spec"]["groups"][0]["rules"]]
    rules = await eventually(
        prometheus.rules,
        lambda rules: all(each.health == "ok" for each in rules),
        within=60,
        what="rules are evaluated",
    )
    assert wanted == [each.name for each in rules]
    assert await prometheus.firing() == []


@pytest.fixture(scope="module")
async def failed_at(cluster: LiveCluster, shop: StandIns) -> float:
    """Let a payment fail, tell when, and let there be further trouble: a refused order, and an event of a forger."""
    start = time.monotonic()
    unpaid = await cluster.sell("async-failed")
    await shop.refuse_orders(HTTPStatus.UNPROCESSABLE_ENTITY, times=1)
    refused = await cluster.sell("paid")
    await cluster.trigger("paid", "--bad-signature")
    for session in (unpaid, refused):
        await cluster.order_in(session, Phase.FAILED)
    return start


async def test_a_failed_payment_fires(
    failed_at: float, prometheus: RunningPrometheus, figure: Callable[[str, str], None]
) -> None:
    """From the event to the alert it takes a scrape, and the time to the rules' next turn."""
    await eventually(
        prometheus.firing, lambda firing: "CheckoutPaymentFailed" in firing, within=FIRES_WITHIN, what="the alert fires"
    )
    taken = time.monotonic() - failed_at
    figure("a failed payment", f"fires {taken:.1f} s after its event; rules every 30 s, scrapes every 2 s")


@pytest.mark.usefixtures("failed_at")
async def test_grafanas_rules_agree(monitoring: dict[str, Any], prometheus: RunningPrometheus) -> None:
    """What Prometheus holds for pending or firing, Grafana's expression selects at that moment, and nothing else.

    A scrape that was under way during an evaluation shows in the one alone: the next evaluation tells.
    """
    await eventually(
        lambda: prometheus.query('count by (alertname) (ALERTS{alertstate="firing"})'),
        lambda series: {each.metric["alertname"] for each in series} >= IN_TROUBLE,
        within=FIRES_WITHIN,
        what="the alerts fire",
    )
    by_prometheus, by_grafana = await eventually(
        lambda: _both(monitoring, prometheus),
        lambda both: both[0] == both[1] and both[0]["CheckoutBackendErrors"],
        within=FIRES_WITHIN,
        what="the rules agree",
    )
    assert by_prometheus == by_grafana
    assert {name for name, series in by_prometheus.items() if series} >= {*IN_TROUBLE, "CheckoutBackendErrors"}
    assert [*by_prometheus] == [rule.name for rule in await prometheus.rules()]


Alerts = dict[str, list[dict[str, str]]]


async def _both(monitoring: dict[str, Any], prometheus: RunningPrometheus) -> tuple[Alerts, Alerts]:
    """Give what Prometheus' rules and Grafana's select at the moment of the last evaluation."""
    (text,) = monitoring[f"ConfigMap/{RELEASE}-grafana-alerts"]["data"].values()
    at = max(float(each.value[1]) for each in await prometheus.query("timestamp(ALERTS)"))
    alerts = await prometheus.query("ALERTS", at)
    by_prometheus: Alerts = {}
    by_grafana: Alerts = {}
    for rule in yaml.safe_load(text)["groups"][0]["rules"]:
        name, expression = rule["title"], rule["data"][0]["model"]["expr"]
        own = {"alertname", "alertstate", "__name__", *rule["labels"]}
        series = await prometheus.query(expression, at)
        by_grafana[name] = _sorted([each.metric for each in series if float(each.value[1]) > 0], {"__name__"})
        by_prometheus[name] = _sorted([each.metric for each in alerts if each.metric["alertname"] == name], own)
    return by_prometheus, by_grafana


def _sorted(found: list[dict[str, str]], without: set[str]) -> list[dict[str, str]]:
    kept = [{k: v for k, v in labels.items() if k not in without} for labels in found]
    return sorted(kept, key=lambda labels: sorted(labels.items()))


async def test_every_panel_of_the_dashboard_shows_something(
    cluster: LiveCluster,
    monitoring: dict[str, Any],
    prometheus: RunningPrometheus,
    figure: Callable[[str, str], None],
) -> None:
    """As Grafana asks, with its variables filled in. One order waits for its payment."""
    await cluster.order_in(await cluster.sell("unpaid"), Phase.AWAITING_PAYMENT)
    waits = f'fulfillment_oldest_request_timestamp_seconds{{phase="{Phase.AWAITING_PAYMENT}"}}'
    await eventually(lambda: prometheus.query(waits), bool, within=60, what="the order that waits is scraped")
    (text,) = monitoring[f"ConfigMap/{RELEASE}-dashboard"]["data"].values()
    variables = {"$namespace": cluster.namespace, "$__rate_interval": "4m", "$__range": "1h"}
    pattern = re.compile("|".join(map(re.escape, variables)))
    page = json.loads(text)
    asked = [(panel["title"], target["expr"]) for panel in page["panels"] for target in panel.get("targets", ())]
    asked += [(each["name"], each["expr"]) for each in page["annotations"]["list"]]
    filled = [(title, pattern.sub(lambda found: variables[found[0]], expression)) for title, expression in asked]
    empty = [title for title, expression in filled if not await prometheus.query(expression)]
    figure("the dashboard", f"{len(asked) - len(empty)} of {len(asked)} expressions show something")
    assert set(empty) <= NOTHING_TO_SHOW
