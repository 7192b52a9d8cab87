"""`fulfillment check-config`: checks the configuration as a start does, and runs nothing.

Each workload brings its own checks, by the entry-point group below.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Protocol

import click
import msgspec

from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.examples import examples
from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.findings import Check, Finding, Report, Verdict, WorkloadFinding
from fulfillment_runtime.kubernetes.rbac import Rule
from fulfillment_runtime.settings import WorkloadSettings

CHECKS = "fulfillment.checks"
"""The entry points that name every workload's checks: the workload → a `Checks`."""

_TIMEOUT = 5.0  # seconds, of one request to the API server


class Checks(Protocol):
    """Checks one workload's configuration."""

    def __call__(self, environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
        """Check it.

        Args:
            environ: environment variables, such as `os.environ`.
            online: whether to ask the API server, and Stripe, too.
        """


def check_kubeconfig(settings: WorkloadSettings) -> list[Finding]:
    """Read the kubeconfig, if one is named, as far as that asks nobody."""
    if settings.kubeconfig is None:
        return []
    from fulfillment_runtime.kubernetes.kubeconfig import namespace_at_hand  # noqa: PLC0415 - loads YAML

    try:
        namespace_at_hand(settings.kubeconfig, None)
    except SettingsError as error:
        return [Finding(Verdict.FAILURE, Check.SETTINGS, error.message)]
    return []


async def check_cluster(settings: WorkloadSettings, rules: Iterable[Rule]) -> Finding:
    """Ask the API server whether a workload may do what it must, with the credentials at hand."""
    from fulfillment_runtime.kubernetes.access import check_access  # noqa: PLC0415 - loads the client library
    from fulfillment_runtime.kubernetes.connection import connect  # noqa: PLC0415 - likewise

    try:
        async with connect(settings.kubeconfig, connections=1) as api:
            await check_access(api, settings.namespace, rules, timeout=_TIMEOUT)
    except (AccessDeniedError, SettingsError, UnavailableError) as error:
        return Finding(Verdict.FAILURE, Check.RIGHTS, error.message)
    return Finding(Verdict.OK, Check.RIGHTS, f"the API server allows it all in the namespace {settings.namespace}")


def _installed() -> list[str]:
    return sorted(entry_points(group=CHECKS).names)


@click.command(
    epilog=examples(
        "fulfillment check-config",
        "fulfillment check-config --settings operator --online",
        "kubectl exec deploy/checkout-fulfillment-operator -- fulfillment check-config --settings operator --online",
    )
)
@click.option(
    "--settings",
    "chosen",
    type=click.Choice(_installed()),
    multiple=True,
    envvar="CHECK_CONFIG_SETTINGS",
    help="Only this workload's; may be given several times. All, unless told otherwise; in a pod, that pod's.",
)
@click.option("--online", is_flag=True, help="Also ask the API server and Stripe, with the credentials at hand.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["lines", "json"]),
    default="lines",
    show_default=True,
    help="What is printed.",
)
def command(*, chosen: tuple[str, ...], online: bool, output: str) -> None:
    """Check the configuration in the environment, as at the start of each workload, and run nothing.

    One line for each finding: ok, unknown, warning or failure. The exit code is 78 when one is a failure.
    """
    workloads = chosen or tuple(_installed())
    if output == "json":
        found = asyncio.run(_collect(workloads, online=online))
        click.echo(msgspec.json.encode(Report(utc_now(), found)))
        failures = {each.finding.message for each in found if each.finding.verdict is Verdict.FAILURE}
    else:
        failures = asyncio.run(_tell(workloads, online=online))
    if failures:
        raise SettingsError(f"the configuration is wrong: {len(failures)} to mend")


async def _tell(workloads: Iterable[str], *, online: bool) -> set[str]:
    """Print each finding as soon as it is there, and return the failures."""
    failures: set[str] = set()
    async for workload, finding in _findings(workloads, online=online):
        if finding.message in failures:  # what is wrong for several workloads is mended once
            continue
        click.echo(f"{finding.verdict:<8}{workload}: {finding.message}")
        if finding.verdict is Verdict.FAILURE:
            failures.add(finding.message)
    return failures


async def _collect(workloads: Iterable[str], *, online: bool) -> list[WorkloadFinding]:
    return [WorkloadFinding(*each) async for each in _findings(workloads, online=online)]


async def _findings(workloads: Iterable[str], *, online: bool) -> AsyncIterator[tuple[str, Finding]]:
    for workload in workloads:
        for entry in entry_points(group=CHECKS, name=workload):
            checks: Checks = entry.load()
            async for finding in checks(os.environ, online=online):
                yield workload, finding
