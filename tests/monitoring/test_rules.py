"""The alerts, played by promtool: which fire when, and that no other does."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from fulfillment_service.events.rejections import EventRejectReason
from support.alert_cases import CASES, COUNTS, FAILURES, HEALTHY, Case
from support.monitoring_files import FILES, as_installed, grafana_rules, promtool_accepts, rules
from support.played_alerts import play, runs
from support.repository import ROOT


def installed(folder: Path) -> Path:
    """The rules as the chart fills them."""
    path = folder / "rules.yaml"
    path.write_text(as_installed((FILES / "rules.yaml").read_text()))
    return path


RUNS = list(runs(CASES))
RUN_OF = {case.name: number for number, run in enumerate(RUNS) for case in run.cases}


@pytest.fixture(scope="module")
def failures(promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], list[str]]:
    """Give what plays a case, along with others that take as long."""

    @cache
    def of_run(number: int) -> dict[str, list[str]]:
        run = RUNS[number]
        return play(promtool, tmp_path_factory.mktemp("alerts"), run.cases, every=run.every)

    return lambda case: of_run(RUN_OF[case.name]).get(case.name, [])


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.xdist_group(f"alerts, run {number}"), id=case.name)
        for number, run in enumerate(RUNS)
        for case in run.cases
    ],
)
def test_exactly_the_alerts_that_must_fire_do(case: Case, failures: Callable[[Case], list[str]]) -> None:
    """All rules are loaded, and `ALERTS` says which of them fire."""
    assert failures(case) == []


def test_no_two_cases_have_one_name() -> None:
    """A case is known by it."""
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_case_that_is_wrong_is_found(promtool: str, tmp_path: Path) -> None:
    """An alert that does not fire, and one that must not, are held against their case alone."""
    right = Case("right", {}, {9: set()})
    silent = Case("silent", {}, {9: {"CheckoutNoLeader"}})
    wrong = Case("wrong", {}, {9: set()}, without={*HEALTHY})
    found = play(promtool, tmp_path, [right, silent, wrong])
    assert {name: len(each) for name, each in found.items()} == {"silent": 1, "wrong": 1}
    assert 'alertname="CheckoutNoLeader"' in found["silent"][0]
    assert 'alertname="CheckoutOperatorDown"' in found["wrong"][0]


def test_promtool_accepts_the_rules(promtool: str, tmp_path: Path) -> None:
    """As the chart fills them."""
    promtool_accepts(promtool, "check", "rules", str(installed(tmp_path)))


def test_every_alert_has_a_case() -> None:
    """None is installed that was not seen to fire; and what reads counters or levels of failures is in its table."""
    of_tables = {count.alert for count in COUNTS} | {failure.alert for failure in FAILURES}
    tabled = re.compile(r'^(\(sum by [^>]* > 0 or sum by [^>]* > 0\)( or )?)+$|fulfillment_requests.*"failed"')
    reading = {rule["alert"] for rule in rules() if tabled.search(rule["expr"])}
    assert reading == of_tables
    assert {name for case in CASES for names in case.firing.values() for name in names} == {
        rule["alert"] for rule in rules()
    }


def test_an_event_is_rejected_for_nothing_that_no_alert_tells() -> None:
    """But for what anybody can cause, who has no signing secret."""
    anybodys = {EventRejectReason.NO_SIGNATURE, EventRejectReason.NOT_UTF8}
    told = {
        reason
        for rule in rules()
        for pattern in re.findall(
            r'fulfillment_webhook_rejections_total\{[^}]*reason=~"([^"]*)"', as_installed(rule["expr"])
        )
        for reason in EventRejectReason
        if re.fullmatch(pattern, reason)
    }
    assert told == set(EventRejectReason) - anybodys


def is_born_above_zero(case: Case, metric: str) -> bool:
    """Whether a counter was above 0 when it was first scraped, wherever it was scraped at all."""
    first = [values for series, values in case.series.items() if series.startswith(metric + "{")]
    return bool(first) and all(re.match(r"_x\d+ [1-9]", values) for values in first)


def test_every_alert_on_a_counter_has_a_case_right_after_a_start() -> None:
    """No start hides the first failure: each counter that an alert reads rose before its first scrape in a case."""
    read = {(rule["alert"], metric) for rule in rules() for metric in re.findall(r"increase\((\w+)", rule["expr"])}
    assert read
    assert [
        (alert, metric)
        for alert, metric in sorted(read)
        if not any(is_born_above_zero(case, metric) and alert in set().union(*case.firing.values()) for case in CASES)
    ] == []


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
