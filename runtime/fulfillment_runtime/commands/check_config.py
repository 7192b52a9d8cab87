"""`fulfillment check-config`: checks the configuration as a start does, and runs nothing.

Each workload brings its own checks, by the entry-point group below.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from importlib.metadata import entry_points
from typing import Protocol

import click

from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes.rbac import Rule
from fulfillment_runtime.settings import WorkloadSettings

CHECKS = "fulfillment.checks"
"""The entry points that name every workload's checks: the workload → a `Checks`."""

_TIMEOUT = 5.0  # seconds, of one request to the API server


@unique
class Verdict(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    NOTE = "note"
    """A person may want to know it; all works nevertheless."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    verdict: Verdict
    message: str


class Checks(Protocol):
    """Checks one workload's configuration."""

    def __call__(self, environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
        """Check it.

        Args:
            environ: environment variables, such as `os.environ`.
            online: whether to ask the API server, and Stripe, too.
        """


def findings(ok: str, mistakes: Iterable[str]) -> list[Finding]:
    """Make findings of mistakes; of none, the finding that all is well."""
    return [Finding(Verdict.WRONG, each) for each in mistakes] or [Finding(Verdict.OK, ok)]


def check_kubeconfig(settings: WorkloadSettings) -> list[Finding]:
    """Read the kubeconfig, if one is named, as far as that asks nobody."""
    if settings.kubeconfig is None:
        return []
    from fulfillment_runtime.kubernetes.kubeconfig import namespace_at_hand  # noqa: PLC0415 - loads YAML

    try:
        namespace_at_hand(settings.kubeconfig, None)
    except SettingsError as error:
        return [Finding(Verdict.WRONG, error.message)]
    return []


async def check_cluster(settings: WorkloadSettings, rules: Iterable[Rule]) -> Finding:
    """Ask the API server whether a workload may do what it must, with the credentials at hand."""
    from fulfillment_runtime.kubernetes.access import check_access  # noqa: PLC0415 - loads the client library
    from fulfillment_runtime.kubernetes.connection import connect  # noqa: PLC0415 - likewise

    try:
        async with connect(settings.kubeconfig, connections=1) as api:
            await check_access(api, settings.namespace, rules, timeout=_TIMEOUT)
    except (AccessDeniedError, SettingsError, UnavailableError) as error:
        return Finding(Verdict.WRONG, error.message)
    return Finding(Verdict.OK, f"the API server allows it all in the namespace {settings.namespace}")


def _installed() -> list[str]:
    return sorted(entry_points(group=CHECKS).names)


@click.command()
@click.option(
    "--settings",
    "chosen",
    type=click.Choice(_installed()),
    multiple=True,
    help="Only this workload's; may be given several times. All, unless told otherwise.",
)
@click.option("--online", is_flag=True, help="Also ask the API server and Stripe, with the credentials at hand.")
def command(*, chosen: tuple[str, ...], online: bool) -> None:
    """Check the configuration in the environment, as at the start of each workload, and run nothing.

    One line for each finding: ok, note or wrong. The exit code is 78 when something is wrong.
    """
    wrong = asyncio.run(_tell(chosen or tuple(_installed()), online=online))
    if wrong:
        raise SettingsError(f"the configuration is wrong: {wrong} to mend")


async def _tell(workloads: Iterable[str], *, online: bool) -> int:
    wrong: set[str] = set()
    for workload in workloads:
        for entry in entry_points(group=CHECKS, name=workload):
            checks: Checks = entry.load()
            async for finding in checks(os.environ, online=online):
                if finding.message in wrong:  # what is wrong for several workloads is mended once
                    continue
                click.echo(f"{finding.verdict:<6}{workload}: {finding.message}")
                if finding.verdict is Verdict.WRONG:
                    wrong.add(finding.message)
    return len(wrong)
