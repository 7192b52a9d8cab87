"""The program `kubectl-fulfillment`, which kubectl finds on PATH and runs as `kubectl fulfillment`."""

from importlib import import_module
from typing import Any

import click

from fulfillment_cli.options import examples, with_config_flags

NAME = "kubectl fulfillment"
"""What a person types."""

_COMMANDS = {
    "doctor": "doctor.command:doctor",
    "list": "list_command:list_command",
    "show": "view_commands:show",
    "open": "view_commands:open_command",
    "wait": "wait_command:wait",
    **{verb: f"act_commands:{verb}" for verb in ("retry", "pause", "resume", "complete", "fail", "acknowledge")},
}


class _Commands(click.Group):
    """Imports the command that is called, and no other."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"fulfillment_cli.{module}"), attribute)
        return command


@click.group(
    cls=_Commands,
    name=NAME,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("list --phase failed", "show cs_test_a1QUnr9y5xaxRy8mxvq7OJyjJ", "doctor -n shop"),
)
@click.version_option(package_name="checkout-fulfillment")
@with_config_flags
def group(**_flags: Any) -> None:  # noqa: ANN401 - click's options, which each command reads
    """View orders that were paid with Stripe Checkout, and act on them.

    NAME is an order's name as `list` shows it, or the id of its Checkout Session, cs_….
    """


def main() -> None:
    """Run it under the name that a person typed."""
    group(prog_name=NAME)
