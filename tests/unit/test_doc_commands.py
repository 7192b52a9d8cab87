"""Every block of commands in the documentation is executed by a test, or is marked with why not."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from support.repository import ROOT

PAGES = (
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "charts/checkout-fulfillment/README.md.gotmpl",
)
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_COMMANDS = {"sh", "console", "bash"}

_KUBECTL = "tests/integration/test_documented_commands.py"
_RUNBOOKS = "tests/integration/test_runbooks.py"
_PLUGIN = "tests/integration/test_kubectl_plugin_docs.py"
EXECUTED = {
    "README.md": {
        "make setup ": ".ci/run",
        "make images ": "tests/cluster/test_installation.py",
        "make test ": ".ci/run",
    },
    "CONTRIBUTING.md": {"make setup ": ".ci/run"},
    "charts/checkout-fulfillment/README.md.gotmpl": {
        "helm install": "tests/cluster/test_installation.py",
        "kubectl label crd": "tests/chart/test_installation.py",
    },
    "docs/backup.md": {"fulfillment export": "tests/integration/test_restore.py", "kubectl get fr": _PLUGIN},
    "docs/fulfillmentrequest.md": {"": _KUBECTL},
    "docs/http-backend.md": {"KEY=": "tests/integration/test_callback.py"},
    "docs/install.md": {
        "make images": "tests/cluster/test_installation.py",
        "make release": "tests/chart/test_release.py",
    },
    "docs/job-backend.md": {"kubectl get jobs": _KUBECTL},
    "docs/kubectl-plugin.md": {"kubectl fulfillment ": _PLUGIN},
    "docs/manual-backend.md": {"kubectl": _KUBECTL},
    "docs/doctor.md": {"kubectl fulfillment doctor": "tests/cluster/test_installation.py"},
    "docs/reliability.md": {"make faults": "tests/integration/test_faults.py"},
    "docs/security.md": {
        "kubectl auth can-i": "tests/chart/test_rights.py",
        "make test TESTS": ".ci/run",
        "make bench": "tests/integration/test_benchmarks.py",
    },
    "docs/recovery.md": {"": "tests/chart/test_recovery_page.py"},
    "docs/retention.md": {"fulfillment export": "tests/integration/test_export.py"},
    "docs/routes.md": {"$ fulfillment route": "tests/integration/test_route_command.py"},
    "docs/settings.md": {"fulfillment check-config": "tests/integration/test_check_config.py"},
    "docs/trigger.md": {"export STRIPE": "tests/integration/test_trigger.py"},
    "docs/try.md": {"make setup": ".ci/run"},
    "docs/upgrade.md": {"helm uninstall": "tests/cluster/test_reinstallation.py"},
    "docs/performance.md": {"make bench": "tests/integration/test_benchmarks.py"},
}
"""Page → how a block begins → the test, or what else of the project, that executes its commands."""


class Block(NamedTuple):
    """A block of commands."""

    page: str
    text: str
    why_not: str

    @property
    def executed_by(self) -> str | None:
        if self.page.startswith("docs/runbooks/"):
            return _RUNBOOKS
        known = EXECUTED.get(self.page, {})
        return next((test for start, test in known.items() if self.text.startswith(start)), None)


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            if found["language"] in _COMMANDS:
                yield Block(str(page.relative_to(ROOT)), found["text"], found["why"] or "")


BLOCKS = list(blocks())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}: {block.text.splitlines()[0][:40]}")
def test_a_block_is_executed_or_says_why_not(block: Block) -> None:
    """Not both: a reason that no longer holds goes."""
    assert bool(block.executed_by) != bool(block.why_not), block.text


def test_what_executes_them_is_there() -> None:
    """Each is a file of the project's; and each beginning is that of a block."""
    named = {test for known in EXECUTED.values() for test in known.values()} | {_RUNBOOKS}
    assert [test for test in sorted(named) if not (ROOT / test).exists()] == []
    begun = {(page, start) for page, known in EXECUTED.items() for start in known}
    found = {
        (each.page, start) for each in BLOCKS for start in EXECUTED.get(each.page, {}) if each.text.startswith(start)
    }
    assert found == begun
