"""The command `doctor`."""

from collections.abc import AsyncIterator

import click
import msgspec
from msgspec import Struct

from fulfillment_cli.cluster import TIMEOUT, ConfigFlags, cluster_at_hand
from fulfillment_cli.doctor.checkup import checkup
from fulfillment_cli.doctor.in_pod import kubectl_exec
from fulfillment_cli.doctor.reader import InstallationReader
from fulfillment_cli.doctor.report import exit_code, finding_lines
from fulfillment_cli.options import cluster_options, examples, run
from fulfillment_cli.terminal import coloured, terminal_width
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.findings import Finding


@click.command(
    epilog=examples("doctor -n shop", "doctor -n shop --prometheus http://localhost:9090", "doctor -n shop -o json")
)
@cluster_options
@click.option(
    "--prometheus",
    metavar="URL",
    envvar="PROMETHEUS_URL",
    help="Ask Prometheus there for the alerts, such as http://localhost:9090; or PROMETHEUS_URL.",
)
@click.option(
    "-o", "--output", type=click.Choice(["lines", "json"]), default="lines", show_default=True, help="What is printed."
)
def doctor(flags: ConfigFlags, prometheus: str | None, output: str) -> None:
    """Say what is wrong with an installation, and what to do.

    Each line has a verdict: ok, unknown (it could not be looked at), warning or failure. The exit code is that of the
    worst: 0, 5, 4 or 3. What only the pods see, such as Stripe's answer to the API key, is asked there by kubectl exec.
    An order that Stripe does not know is sent through it all, and deleted again.
    """
    found = run(_doctor(flags, prometheus, as_lines=output == "lines"))
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(_Report(found)), indent=2))
    click.get_current_context().exit(exit_code(found))


class _Report(Struct, frozen=True):
    """All findings, as JSON."""

    findings: list[Finding]


async def _doctor(flags: ConfigFlags, prometheus: str | None, *, as_lines: bool) -> list[Finding]:
    found = []
    async for finding in _findings(flags, prometheus):
        found.append(finding)
        if as_lines:  # as soon as it is known: a pod that asks Stripe takes a while
            click.echo(finding_lines(finding, coloured(finding.verdict), terminal_width()))
    return found


async def _findings(flags: ConfigFlags, prometheus: str | None) -> AsyncIterator[Finding]:
    async with cluster_at_hand(flags) as cluster:
        reader = InstallationReader(cluster.api, cluster.namespace, TIMEOUT)
        execute = kubectl_exec(flags, cluster.namespace)
        async for finding in checkup(cluster, reader, execute, prometheus, utc_now()):
            yield finding
