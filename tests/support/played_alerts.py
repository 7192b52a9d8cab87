"""Plays alert cases with promtool: all of them at once, each as a shop in a namespace of its own."""

import json
import math
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.alert_cases import DAY, HEALTHY, Case
from support.monitoring_files import FILES, as_installed, rules

_OF_ONE_NAMESPACE = 'namespace="${namespace}"'
_OF_EACH_NAMESPACE = 'namespace=~"case-.*"'
_TELLS_ITS_MATCHERS = "absent("
"""A function whose result has the labels that its selector asks for: such a rule is needed for each namespace."""
_FAILURE = re.compile(r'^    expr: .*?namespace=\\"(case-\d+)\\".*?(?=^    expr: |\Z)', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Run:
    """Cases that are played together."""

    cases: Sequence[Case]
    every: int
    """Minutes between two evaluations."""


def runs(cases: Iterable[Case]) -> Iterable[Run]:
    """Sort cases into runs of about the same work: each case of a run takes as long as the longest."""
    for within, at_once, every in ((120, 50, 1), (260, 40, 1), (DAY, 30, 1), (math.inf, 5, 5)):
        alike = [case for case in cases if case.minutes <= within]
        cases = [case for case in cases if case.minutes > within]
        for first in range(0, len(alike), at_once):
            yield Run(alike[first : first + at_once], every)


def play(promtool: str, folder: Path, cases: Sequence[Case], *, every: int = 1) -> dict[str, list[str]]:
    """Evaluate all rules again and again, and ask which alerts fire.

    A rule sees every namespace, where an installed one sees its own: so one evaluation serves all cases, and a rule
    that mixed up two shops would be found.

    Args:
        promtool: its path.
        folder: where files may be written.
        cases: what is played. All take as long as the longest of them, and each evaluation costs.
        every: minutes between two evaluations.

    Returns:
        What promtool says against a case, by the case's name: nothing where just the right alerts fire.

    Raises:
        ValueError: what promtool says is of no case: it cannot read the rules.
    """
    namespaces = {f"case-{number}": case for number, case in enumerate(cases)}
    rule_file, tests = folder / "rules.yaml", folder / "tests.yaml"
    rule_file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": list(_rules(namespaces))}]}))
    content = {"rule_files": [str(rule_file)], "evaluation_interval": f"{every}m", "tests": [_test(namespaces)]}
    tests.write_text(yaml.safe_dump(content))
    done = subprocess.run([promtool, "test", "rules", str(tests)], capture_output=True, text=True, check=False)  # noqa: S603 - promtool
    failures: dict[str, list[str]] = defaultdict(list)
    for failure in _FAILURE.finditer(done.stderr):
        failures[namespaces[failure[1]].name].append(failure[0])
    if done.returncode and not failures:
        raise ValueError(done.stdout + done.stderr)
    return failures


def _rules(namespaces: Iterable[str]) -> Iterable[dict[str, Any]]:
    text = (FILES / "rules.yaml").read_text().replace(_OF_ONE_NAMESPACE, _OF_EACH_NAMESPACE)
    for rule, of_each in zip(rules(), yaml.safe_load(as_installed(text))["groups"][0]["rules"], strict=True):
        if _TELLS_ITS_MATCHERS in rule["expr"]:
            yield from (json.loads(as_installed(json.dumps(rule), namespace)) for namespace in namespaces)
        else:
            yield of_each


def _test(namespaces: dict[str, Case]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [
            {"series": series.replace("{", f'{{namespace="{namespace}",', 1), "values": values}
            for namespace, case in namespaces.items()
            for series, values in ({k: v for k, v in HEALTHY.items() if k not in case.without} | case.series).items()
        ],
        "promql_expr_test": [
            {
                "expr": f'count by (alertname) (ALERTS{{alertstate="firing",namespace="{namespace}"}})',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)],
            }
            for namespace, case in namespaces.items()
            for minute, names in case.firing.items()
        ],
    }
