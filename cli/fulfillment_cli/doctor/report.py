"""How doctor's findings are shown. Pure."""

from collections.abc import Iterable
from enum import IntEnum

from fulfillment_cli.output import hanging
from fulfillment_runtime.findings import Check, Finding, Verdict

_VERDICT_WIDTH = max(len(each) for each in Verdict) + 2
_CHECK_WIDTH = max(len(each) for each in Check) + 2
_SEVERITY = [*Verdict]


class ExitCode(IntEnum):
    """What the exit code says: the worst verdict."""

    OK = 0
    FAILURE = 3
    WARNING = 4
    UNKNOWN = 5


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """Give the exit code of the worst verdict: a failure, then a warning, then what is unknown."""
    worst = max((each.verdict for each in findings), key=_SEVERITY.index, default=Verdict.OK)
    return ExitCode[worst.name]


def finding_lines(finding: Finding, verdict: str, width: int | None) -> str:
    """Show a finding: its verdict, what was looked at, and what was found.

    Args:
        finding: it.
        verdict: its verdict, as the terminal shows it.
        width: of the terminal, in characters; None: there is none, and each finding is one line.
    """
    padding = " " * (_VERDICT_WIDTH - len(finding.verdict))
    head = f"{verdict}{padding}{finding.check:<{_CHECK_WIDTH}}"
    return hanging(head, finding.message, _VERDICT_WIDTH + _CHECK_WIDTH, width)
