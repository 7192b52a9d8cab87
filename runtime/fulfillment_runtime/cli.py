"""The one command, `fulfillment`. Each room adds its subcommands by the entry-point group below.

A subcommand's module is imported only when it is called, so the service never loads the operator's libraries.
"""

from importlib.metadata import entry_points

import click
import yaml

from fulfillment_api.crd import custom_resource_definition

COMMANDS = "fulfillment.commands"
_OURS = "fulfillment_"


class _InstalledCommands(click.Group):
    """Finds subcommands among the installed entry points, and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(entry_points(group=COMMANDS).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        for entry in entry_points(group=COMMANDS, name=cmd_name):
            try:
                command: click.Command = entry.load()
            except ModuleNotFoundError as error:
                if error.name is None or error.name.startswith(_OURS):
                    raise
                return _lacking(cmd_name, error.name)
            return command
        return None


def _lacking(command: str, module: str) -> click.Command:
    """Make what stands for a command whose libraries are not installed: `--help` lists it, and it says what to do."""
    needs = f"needs {module}: pip install 'checkout-fulfillment[local]'"

    def say() -> None:
        raise click.ClickException(f"this command {needs}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(command, callback=say, help=f"(It {needs})", context_settings=anything)


@click.group(cls=_InstalledCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="checkout-fulfillment")
def main() -> None:
    """Fulfill paid Stripe Checkout Sessions on Kubernetes."""


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice: YAML's anchors are for no reader of a CustomResourceDefinition."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


@click.command()
def crd() -> None:
    """Print the CustomResourceDefinition, for `kubectl apply -f -`."""
    click.echo(yaml.dump(custom_resource_definition(), Dumper=_Plain, sort_keys=False, width=110), nl=False)
