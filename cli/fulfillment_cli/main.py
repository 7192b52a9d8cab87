"""The program `kubectl-fulfillment`, which kubectl finds on PATH and runs as `kubectl fulfillment`."""

import click

from fulfillment_cli import instructing, looking
from fulfillment_cli.cluster import Where
from fulfillment_cli.options import cluster_options


@click.group(name="kubectl fulfillment", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="checkout-fulfillment")
@cluster_options
@click.pass_context
def group(context: click.Context, /, where: Where) -> None:
    """Look at orders that were paid with Stripe Checkout, and lend them a hand."""
    context.obj = where


for _command in (
    looking.list_command,
    looking.show,
    looking.open_command,
    instructing.retry,
    instructing.pause,
    instructing.resume,
    instructing.complete,
    instructing.fail,
    instructing.acknowledge,
):
    group.add_command(_command)


def main() -> None:
    """Run it under the name that a person typed."""
    group(prog_name="kubectl fulfillment")
