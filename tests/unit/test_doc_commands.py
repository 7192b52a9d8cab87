"""Every block of commands in the documentation is executed by a test, or is marked with why not.

Where it is executed, a command that is changed fails a test: what executes it reads the page.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from benchmarks.options import read_options as read_benchmarks_options
from faults.cases import CASES
from faults.options import read_options as read_faults_options
from fulfillment_cli.main import group
from fulfillment_local.versions import OLDER_KUBERNETES
from fuzz.targets import TARGETS
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
_INSTALLATION = "tests/chart/test_installation.py"
EXECUTED = {
    "README.md": {
        "make demo ": ".ci/run",
        "make images ": _INSTALLATION,
        "make test ": ".ci/run",
    },
    "CONTRIBUTING.md": {"make setup ": ".ci/run"},
    "charts/checkout-fulfillment/README.md.gotmpl": {
        "helm install": _INSTALLATION,
        "kubectl label crd": _INSTALLATION,
    },
    "docs/backup.md": {
        "FULFILLMENT_NAMESPACE=shop fulfillment export": "tests/integration/test_restore.py",
        "kubectl get fr": _PLUGIN,
    },
    "docs/fulfillmentrequest.md": {"": _KUBECTL},
    "docs/gitops.md": {"kubectl wait": _KUBECTL},
    "docs/http-backend.md": {"KEY=": "tests/integration/test_callback.py"},
    "docs/install.md": {
        "make images": _INSTALLATION,
        "make release": "tests/chart/test_release.py",
    },
    "docs/job-backend.md": {"kubectl get jobs": _KUBECTL},
    "docs/kubectl-plugin.md": {"kubectl fulfillment ": _PLUGIN},
    "docs/manual-backend.md": {"kubectl": _KUBECTL},
    "docs/doctor.md": {"kubectl fulfillment doctor": _PLUGIN},
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
    "docs/try.md": {"make demo": ".ci/run"},
    "docs/upgrade.md": {"helm uninstall": _INSTALLATION},
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


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CI = (ROOT / ".ci/run").read_text(encoding="utf-8")
READ = MAKEFILE + "".join(
    (ROOT / each).read_text(encoding="utf-8")
    for each in ("packaging/images.sh", "local/fulfillment_local/e2e_context.py")
)
"""What reads the variables that `make` is told."""
NOT_IN_CI = {
    "bench": "tests/integration/test_benchmarks.py runs what it runs",
    "coverage": "it is `make test`, and counts lines",
    "faults": "tests/integration/test_faults.py runs what it runs",
    "fuzz": "tests/unit/test_fuzz_corpus.py plays what it found",
    "setup": "every other target does, or a part of it",
    "test-kubernetes": "it runs tests of `make test` and `make test-chart`, against another API server",
}
"""Targets in blocks that .ci/run executes, but these."""


@pytest.mark.parametrize(
    "block",
    [each for each in BLOCKS if each.executed_by],
    ids=lambda block: f"{block.page}: {block.text.splitlines()[0][:40]}",
)
def test_a_command_that_is_changed_fails_a_test(block: Block) -> None:
    """What executes it, or what parses all of ours, reads the page; `make` has its own test, below."""
    lines = [line for line in block.text.splitlines() if line]
    if block.executed_by == ".ci/run":
        run = set(re.findall(r"make ([a-z0-9-]+)", " ".join(lines))) - set(NOT_IN_CI)
        assert [each for each in sorted(run) if not re.search(rf"\bmake ([a-z-]+ )*{each}\b", CI)] == []
    if all(line.startswith("make ") for line in lines):
        return
    readers = [(ROOT / each).read_text(encoding="utf-8") for each in (str(block.executed_by), _KUBECTL)]
    assert any(Path(block.page).name in each for each in readers) or block.page.startswith("docs/runbooks/")


def makes() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each `make` of the pages, in a block or in a line: its target, and what it is told."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = (found["text"] for found in _BLOCK.finditer(text) if found["language"] in _COMMANDS)
        lines = [line for block in blocks for line in block.splitlines()]
        for line in (*lines, *re.findall(r"`(make [a-z][^`]*)`", text)):
            if found := re.search(r"(?:^|\s)make ([a-z0-9-]+)(.*)", line.partition("#")[0]):
                told = (each.partition("=") for each in shlex.split(found[2]) if "=" in each)
                yield found[1], {name: value for name, _, value in told if value != "…"}


@pytest.mark.parametrize(("target", "told"), list(makes()), ids=str)
def test_make_knows_what_the_pages_tell_it(target: str, told: dict[str, str]) -> None:
    """The target is there, each variable is read, and what that names is there."""
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
    assert [name for name in told if not re.search(rf"\b{name}\b", READ)] == []
    if "TESTS" in told:
        assert (ROOT / told["TESTS"]).exists()
    match target:
        case "bench":
            read_benchmarks_options(told)
        case "faults":
            read_faults_options(told, CASES)
        case "fuzz":
            assert set(told.get("TARGETS", "event").split(",")) <= set(TARGETS)
        case "test-kubernetes":
            assert set(told.values()) <= set(OLDER_KUBERNETES)


def verbs() -> Iterator[tuple[str, str]]:
    """Yield each command of the plugin that a line of the pages names; those in blocks are executed."""
    for page in (*PAGES, ROOT / "CHANGELOG.md"):
        for verb in re.findall(r"`kubectl fulfillment ([a-z][a-z-]*)", page.read_text(encoding="utf-8")):
            yield str(page.relative_to(ROOT)), verb


@pytest.mark.parametrize(("page", "verb"), sorted(set(verbs())))
def test_the_plugin_has_the_commands_that_a_line_names(page: str, verb: str) -> None:
    """A reader types it as it stands."""
    known = group.list_commands(click.Context(group))
    assert verb in known, f"{page} names `kubectl fulfillment {verb}`"
