"""The program `kubectl-fulfillment`, which kubectl finds on PATH and runs as `kubectl fulfillment`."""

from typing import Any

import click

from fulfillment_cli import instructing, looking
from fulfillment_cli.options import where_options

NAME = "kubectl fulfillment"
"""What a person types."""


@click.group(name=NAME, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="checkout-fulfillment")
@where_options
def group(**_where: Any) -> None:  # noqa: ANN401 - click's options, which each command reads
    """Look at orders that were paid with Stripe Checkout, and lend them a hand.

    NAME is an order's name as `list` shows it, or the id of its Checkout Session, cs_….
    """


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
    group(prog_name=NAME)
