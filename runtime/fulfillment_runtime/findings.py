"""What a check of an installation found: one line, with a verdict. Of `check-config` and of `doctor` alike."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

import msgspec


@unique
class Verdict(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It could not be looked at. The message says why."""
    WARNING = "warning"
    """All works, and a person should see to it."""
    FAILURE = "failure"
    """Something does not work, or will not."""


@unique
class Check(StrEnum):
    """What was looked at."""

    CRD = "crd"
    PODS = "pods"
    IMAGES = "images"
    LEADER = "leader"
    SECRETS = "secrets"
    SETTINGS = "settings"
    RIGHTS = "rights"
    API_KEY = "api-key"
    ENDPOINT = "endpoint"
    LAST_EVENT = "last-event"
    ROUND_TRIP = "round-trip"
    BACKENDS = "backends"
    MAIL = "mail"
    ORDERS = "orders"
    ALERTS = "alerts"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    verdict: Verdict
    check: Check
    message: str
    """What was found, and of what is not well what to do; no secret, no personal data."""
    livemode: bool | None = None
    """Of a finding about the API key, its mode."""


class WorkloadFinding(msgspec.Struct, frozen=True):
    """What was found of one workload."""

    workload: str
    finding: Finding


class Report(msgspec.Struct, frozen=True):
    """All that was found, as JSON: `doctor` reads it."""

    time: datetime
    """By the clock of the machine that was asked."""
    findings: list[WorkloadFinding]


def findings(check: Check, ok: str, mistakes: Iterable[str]) -> list[Finding]:
    """Make findings of mistakes; of none, the finding that all is well."""
    return [Finding(Verdict.FAILURE, check, each) for each in mistakes] or [Finding(Verdict.OK, check, ok)]
