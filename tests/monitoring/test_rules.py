"""The alerts, played by promtool: which fire when, and that no other does."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts/checkout-fulfillment/files"
DAY = 1440
FAILED = 'phase="failed",reason="PaymentFailed"'
LOST = 'phase="failed",reason="FulfillmentFailed"'
EVENTS = 'fulfillment_webhook_events_total{type="t",outcome="created",POD}'
HEALTHY = {
    'fulfillment_leader{pod="a"}': "1x3000",
    'fulfillment_leader{pod="b"}': "0x3000",
    'fulfillment_webhook_in_flight{pod="w"}': "0x3000",
}


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FILES / "rules.yaml").read_text())["groups"][0]["rules"]
    return found


def grafana() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FILES / "grafana-alerts.yaml").read_text())["groups"][0]["rules"]
    return found


@dataclass(frozen=True)
class Case:
    """Series a minute apart, and the alerts that fire at each minute asked for."""

    name: str
    series: dict[str, str]
    firing: dict[int, set[str]]
    without: set[str] = field(default_factory=set)


def requests(labels: str, pod: str = "a") -> str:
    return f'fulfillment_requests{{{labels},pod="{pod}"}}'


def transitions(labels: str, pod: str = "a") -> str:
    return f'fulfillment_transitions_total{{{labels},pod="{pod}"}}'


def errors(error: str) -> str:
    return f'fulfillment_reconcile_errors_total{{error="{error}",pod="a"}}'


def rises(name: str, series: str, alert: str, at: int = 30, quiet: int = 8) -> Case:
    """One that is quiet at 0, and fires while a counter rises from minute 10 on."""
    return Case(name, {series: "0x9 1+1x100 101x200"}, {quiet: set(), at: {alert}, 300: set()})


PAYMENT = {"CheckoutPaymentFailed"}
CASES = [
    Case("all is well", {}, {60: set()}),
    Case(
        "the first failed payment ever, until it is deleted",
        {requests(FAILED): "0x9 1x49 0x100", transitions(FAILED): "0x9 1x200"},
        {9: set(), 10: PAYMENT, 60: PAYMENT, 70: set()},
    ),
    Case(
        "a failure that nobody deletes is news for a day, and the next one is news again",
        {requests(FAILED): f"0x9 1x{DAY + 500} 2x100", transitions(FAILED): f"0x9 1x{DAY + 500} 2x100"},
        {10: PAYMENT, DAY + 100: set(), DAY + 520: PAYMENT},
    ),
    Case(
        "a restart inside the window: the counter begins again, and the alert goes on",
        {requests(FAILED): "0x9 1x10 _x1 0x0 1x200", transitions(FAILED): "0x9 1x10 _x1 0x200"},
        {15: PAYMENT, 21: PAYMENT, 22: PAYMENT, 23: PAYMENT, 24: PAYMENT, 100: PAYMENT},
    ),
    Case(
        "a restart after the window repeats nothing, even when the level is not read yet",
        {
            requests(FAILED): f"0x9 1x{DAY + 200} _x1 0x0 1x200",
            transitions(FAILED): f"0x9 1x{DAY + 200} _x1 0x200",
        },
        {10: PAYMENT, DAY + 200: set(), **{key: set() for key in range(DAY + 209, DAY + 225)}},
    ),
    Case(
        "a crash before the counter was scraped: the level has risen",
        {requests(FAILED): "0x9 _x1 1x100", transitions(FAILED): "0x9 _x1 0x100"},
        {9: set(), 13: PAYMENT, 60: PAYMENT},
    ),
    Case(
        "two replicas, and the other takes the lead: only the leader tells the level",
        {
            requests(FAILED): "0x9 1x10 _x100",
            transitions(FAILED): "0x9 1x10 _x100",
            requests(FAILED, "b"): "_x21 1x100",
            transitions(FAILED, "b"): "0x120",
        },
        {9: set(), 15: PAYMENT, 20: PAYMENT, 21: PAYMENT, 22: PAYMENT, 100: PAYMENT},
    ),
    Case(
        "a paid order that failed fires until someone has dealt with it, restart or not",
        {requests(LOST): f"0x9 1x{DAY + 500} _x1 0x0 1x20 0x100"},
        {
            9: set(),
            10: {"CheckoutFulfillmentFailed"},
            DAY + 520: {"CheckoutFulfillmentFailed"},
            DAY + 560: set(),
        },
    ),
    Case(
        "a request that is refused",
        {
            requests('phase="failed",reason="SessionNotFound"'): "0x9 1x49 0x100",
            transitions('phase="failed",reason="SessionNotFound"'): "0x9 1x200",
        },
        {9: set(), 10: {"CheckoutOrderRefused"}, 70: set()},
    ),
    Case(
        "an order in fulfilling since minute 0",
        {'fulfillment_oldest_request_timestamp_seconds{phase="fulfilling",pod="a"}': "0x120 _x100"},
        {60: set(), 80: set(), 95: {"CheckoutOrderStuck"}, 140: set()},
    ),
    Case(
        "a payment that is overdue",
        {'fulfillment_oldest_request_timestamp_seconds{phase="awaiting-payment",pod="a"}': f"-{13 * 86400}x3000"},
        {DAY - 10: set(), DAY + 70: {"CheckoutPaymentOverdue"}},
    ),
    rises(
        "a wrong signature",
        'fulfillment_webhook_refusals_total{reason="wrong-signature",pod="w"}',
        "CheckoutSignatureFailures",
        at=10,
    ),
    Case(
        "a request without a signature is no alert",
        {'fulfillment_webhook_refusals_total{reason="no-signature",pod="w"}': "0+5x100"},
        {50: set()},
    ),
    Case(
        "events stop, and the pod restarts meanwhile",
        {EVENTS.replace("POD", 'pod="w"'): f"0+1x100 100x500 0x{DAY + 500}"},
        {50: set(), 800: set(), DAY + 150: {"CheckoutEventsMissing"}},
    ),
    Case("no event ever", {EVENTS.replace("POD", 'pod="w"'): "0x3000"}, {DAY + 500: set()}),
    rises("the key is refused", errors("stripe-misconfigured"), "CheckoutStripeMisconfigured", at=10),
    rises("Stripe is away", errors("stripe-unavailable"), "CheckoutStripeUnavailable"),
    rises(
        "the backend is away",
        'fulfillment_backend_attempts_total{backend="http",result="try-again",pod="a"}',
        "CheckoutBackendErrors",
    ),
    rises("mail fails", 'fulfillment_mails_total{reason="MailRefused",pod="a"}', "CheckoutMailErrors", at=10),
    Case("mail is sent", {'fulfillment_mails_total{reason="MailSent",pod="a"}': "0+1x100"}, {50: set()}),
    rises("an error nobody foresaw", errors("unexpected"), "CheckoutReconcileErrors", at=10),
    rises("a request that cannot be read", errors("undecodable"), "CheckoutReconcileErrors", at=10),
    rises("the API server is away", errors("kubernetes"), "CheckoutStatusNotWritten"),
    rises(
        "the webhook answers 503",
        'fulfillment_webhook_duration_seconds_count{status="503",pod="w"}',
        "CheckoutWebhookErrors",
    ),
    Case(
        "the webhook answers 200",
        {'fulfillment_webhook_duration_seconds_count{status="200",pod="w"}': "0+1x100"},
        {50: set()},
    ),
    Case(
        "no webhook service is there",
        {},
        {3: set(), 10: {"CheckoutWebhookDown"}},
        {'fulfillment_webhook_in_flight{pod="w"}'},
    ),
    Case(
        "no operator is there",
        {},
        {3: set(), 10: {"CheckoutOperatorDown"}},
        {'fulfillment_leader{pod="a"}', 'fulfillment_leader{pod="b"}'},
    ),
    Case("one standby", {}, {1: set(), 10: {"CheckoutNoLeader"}}, {'fulfillment_leader{pod="a"}'}),
    Case(
        "the leader hears nothing of the orders that come; a standby never did",
        {
            EVENTS.replace("POD", 'pod="w"'): "0x9 0+1x100",
            'fulfillment_watch_last_event_timestamp_seconds{pod="a"}': "0+60x10 600x100",
            'fulfillment_watch_last_event_timestamp_seconds{pod="b"}': "0x110",
        },
        {10: set(), 25: set(), 40: {"CheckoutOperatorDeaf"}},
    ),
    Case(
        "the leader hears the orders; a standby hears none",
        {
            EVENTS.replace("POD", 'pod="w"'): "0+1x100",
            'fulfillment_watch_last_event_timestamp_seconds{pod="a"}': "0+60x100",
            'fulfillment_watch_last_event_timestamp_seconds{pod="b"}': "0x100",
        },
        {60: set()},
    ),
]


def in_shop(series: str) -> str:
    return series.replace("{", '{namespace="shop",', 1)


def installed(folder: Path) -> Path:
    """The rules as the chart fills them."""
    path = folder / "rules.yaml"
    text = (FILES / "rules.yaml").read_text()
    path.write_text(text.replace("${namespace}", "shop").replace("${runbooks}", "https://docs.example/runbooks"))
    return path


def run(promtool: str, *arguments: str) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - promtool
    assert done.returncode == 0, done.stdout + done.stderr


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
    run(promtool, "test", "rules", str(path))


def test_promtool_accepts_the_rules(promtool: str, tmp_path: Path) -> None:
    """As the chart fills them."""
    run(promtool, "check", "rules", str(installed(tmp_path)))


def test_every_alert_has_a_case() -> None:
    """None is installed that was not seen to fire."""
    assert {name for case in CASES for names in case.firing.values() for name in names} == {
        rule["alert"] for rule in rules()
    }


def test_the_files_are_what_the_source_says(tmp_path: Path) -> None:
    """They are generated, never edited."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "monitoring")}
    subprocess.run([sys.executable, "-m", "fulfillment_monitoring", str(tmp_path)], env=environment, check=True)  # noqa: S603 - our own module
    for name in ("rules.yaml", "grafana-alerts.yaml"):
        assert (FILES / name).read_text() == (tmp_path / name).read_text()


def test_grafana_has_the_same_rules() -> None:
    """Expression, time, labels and annotations agree, and every uid is one."""
    ours = [(r["alert"], r["expr"], r["for"], r["labels"], r["annotations"]) for r in rules()]
    theirs = [(r["title"], r["data"][0]["model"]["expr"], r["for"], r["labels"], r["annotations"]) for r in grafana()]
    assert theirs == ours
    uids = {rule["uid"] for rule in grafana()}
    assert len(uids) == len(ours)
    assert all(re.fullmatch("[a-z0-9-]{1,40}", uid) for uid in uids)


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    """The address ends in the page's name under docs/runbooks."""
    pages = {page.name for page in (ROOT / "docs/runbooks").glob("*.md")}
    assert pages == {rule["annotations"]["runbook_url"].removeprefix("${runbooks}/") for rule in rules()}
