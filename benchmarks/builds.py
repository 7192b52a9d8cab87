"""The builds of the product that are measured: this one, and another commit's, each with an environment of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fulfillment_local.fake_stripe.api import TEST_KEY

ROOT = Path(__file__).parent.parent
"""The repository."""

_BUILDS = ROOT / ".builds"


NEWER_SETTINGS = {
    "FULFILLMENT_BIND_ADDRESS": "127.0.0.1",
    "STRIPE_ENDPOINT_REQUESTS_PER_SECOND": "1000",
}
"""Settings that older builds do not have, each with a valid value."""

_OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
"""What a make tells a make that it runs: the one of another commit is to be run as by itself."""
_UNKNOWN = re.compile(r"(\w+) is no setting")


class BuildError(Exception):
    """A commit is not there, or cannot be built; the message has the tool's own words."""


@dataclass(frozen=True, slots=True, eq=False)
class Build:
    """A build that is installed."""

    name: str
    """What the table calls it."""
    commit: str
    programs: Path
    """The folder of its commands, and of the Python that they run in."""

    unknown_settings: frozenset[str]
    """Those of `NEWER_SETTINGS` that it does not know: one of them ends a workload."""

    @property
    def fulfillment(self) -> Path:
        """The product's one command."""
        return self.programs / "fulfillment"

    def known(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Leave out of the settings of a workload what this build does not know."""
        return {name: value for name, value in settings.items() if name not in self.unknown_settings}


def this_build() -> Build:
    """Return what this process is installed with."""
    try:
        commit = _output("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except BuildError:  # an archive of the sources has no history
        commit = "unknown"
    return _installed("this build", commit, Path(sys.executable).parent)


def build_of(revision: str) -> Build:
    """Check a commit out beside this one, and install it as its own Makefile says; once for each commit.

    Raises:
        BuildError: there is no such commit, or it cannot be installed.
    """
    commit = _output("git", "rev-parse", "--verify", "--short=12", f"{revision}^{{commit}}")
    folder = _BUILDS / commit
    if not folder.exists():
        _output("git", "worktree", "prune")
        _output("git", "worktree", "add", "--detach", str(folder), commit)
    _output("make", f"--directory={folder}", "setup", f"PYTHON={_interpreter()}")  # nothing, when it was
    return _installed("BASE", commit, folder / ".venv" / "bin")


def neutral_environ() -> dict[str, str]:
    """Return this process's environment without any setting of the product's."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("FULFILLMENT_", "STRIPE_"))}


def _installed(name: str, commit: str, programs: Path) -> Build:
    known = dict(NEWER_SETTINGS)
    while unknown := _unknown_setting(programs / "fulfillment", known):
        del known[unknown]
    return Build(name, commit, programs, frozenset(NEWER_SETTINGS.keys() - known.keys()))


def _unknown_setting(fulfillment: Path, settings: Mapping[str, str]) -> str | None:
    """Return the first of the settings that an operator does not know, as `fulfillment check-config` says it."""
    command = [str(fulfillment), "check-config", "--settings", "operator"]
    environ = {**neutral_environ(), "STRIPE_API_KEY": TEST_KEY, **settings}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    found = _UNKNOWN.search(done.stdout + done.stderr)
    return found[1] if found and found[1] in settings else None


def _interpreter() -> str:
    """Find the Python that this one's environment was made with: both builds run in the same."""
    return str(Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"))


def _output(*command: str) -> str:
    program = shutil.which(command[0])
    if program is None:
        raise BuildError(f"{command[0]} is not on PATH")
    environ = {name: value for name, value in os.environ.items() if name not in _OF_MAKE}
    done = subprocess.run(  # noqa: S603 - our own arguments
        [program, *command[1:]], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()
