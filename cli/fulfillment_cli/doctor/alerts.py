"""Whether Prometheus has the alerts, where it can be asked (HTTP API, `GET /api/v1/rules`)."""

import asyncio
import urllib.error
import urllib.request

import msgspec
from msgspec import Struct

from fulfillment_cli.output import counted
from fulfillment_runtime.findings import Check, Finding, Verdict

GROUP = "checkout-fulfillment"
"""How the chart calls its group of rules."""
_TIMEOUT = 10.0  # seconds
_TURN_ON = "set monitoring.prometheusRule.enabled, and see that Prometheus selects the object"


class _Rule(Struct, frozen=True):
    name: str = ""
    query: str = ""
    health: str = "unknown"
    state: str = ""


class _RuleGroup(Struct, frozen=True):
    name: str
    rules: list[_Rule]


class _Groups(Struct, frozen=True):
    groups: list[_RuleGroup] = []


class _Rules(Struct, frozen=True):
    """Prometheus' answer, as far as it is read."""

    data: _Groups = _Groups()


async def judge_alerts(url: str, namespace: str) -> Finding:
    """Ask Prometheus for the alerts: whether they are loaded, can be evaluated, and fire.

    Args:
        url: where Prometheus is, such as http://localhost:9090.
        namespace: of the installation. Others in the cluster have alerts of the same names.
    """
    if not url.startswith(("http://", "https://")):
        return Finding(Verdict.UNKNOWN, Check.ALERTS, f"--prometheus {url} is no URL: http://localhost:9090")
    try:
        body = await asyncio.to_thread(_get, f"{url.rstrip('/')}/api/v1/rules?type=alert")
        found = msgspec.json.decode(body, type=_Rules)
    except (OSError, ValueError, msgspec.DecodeError) as error:  # a refusal by its status is an OSError, too
        return Finding(Verdict.UNKNOWN, Check.ALERTS, f"Prometheus at {url} cannot be asked: {error}")
    rules = [rule for group in found.data.groups if group.name == GROUP for rule in group.rules]
    return _judged([each for each in rules if f'namespace="{namespace}"' in each.query], namespace)


def _judged(rules: list[_Rule], namespace: str) -> Finding:
    """Say whether the alerts are there, can be evaluated, and fire."""
    if not rules:
        missing = f"Prometheus has none of the group {GROUP} for the namespace {namespace}"
        return Finding(Verdict.FAILURE, Check.ALERTS, f"{missing}: {_TURN_ON}")
    if broken := sorted({each.name for each in rules if each.health == "err"}):
        return Finding(Verdict.WARNING, Check.ALERTS, f"Prometheus cannot evaluate {', '.join(broken)}: see its log")
    if firing := sorted({each.name for each in rules if each.state == "firing"}):
        fires = f"{', '.join(firing)} {'fires' if len(firing) == 1 else 'fire'}"
        return Finding(Verdict.WARNING, Check.ALERTS, f"{fires}: docs/runbooks/{firing[0]}.md says what to do")
    return Finding(Verdict.OK, Check.ALERTS, f"Prometheus has {counted(len(rules), 'alert', 'alerts')}, and none fires")


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - http or https, as was checked
        body: bytes = answer.read()
        return body
