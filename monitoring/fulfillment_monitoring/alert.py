"""What an alert is. Nothing here knows Prometheus' or Grafana's files."""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Severity(StrEnum):
    """How soon a person must act."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert; its runbook is the page of its name."""

    name: str
    expression: str
    hold: str
    """How long the expression must hold before the alert fires: `for`."""
    severity: Severity
    summary: str
    description: str
