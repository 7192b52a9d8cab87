"""The one command, `fulfillment`. Each room adds its subcommands by the entry-point group below.

A subcommand's module is imported only when it is called, so the service never loads the operator's libraries, and the
list of commands loads none.
"""

import ast
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

COMMANDS = "fulfillment.commands"


class _InstalledCommands(click.Group):
    """Finds subcommands among the installed entry points, and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(entry_points(COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        value = entry_points(COMMANDS).get(cmd_name)
        if value is None:
            return None
        module, _, attribute = value.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        """Write the list of commands as click does, but for that it imports each of them to have its docstring."""
        found = sorted(entry_points(COMMANDS).items())
        longest = formatter.width - 6 - max(len(name) for name, _ in found)
        commands = [click.Command(name, help=_docstring(value)) for name, value in found]
        with formatter.section("Commands"):
            formatter.write_dl([(str(each.name), each.get_short_help_str(longest)) for each in commands])


def entry_points(group: str) -> dict[str, str]:
    """Read the entry points of a group, name → `module:attribute`, from what is installed.

    `importlib.metadata` finds the same, and loads the libraries for mail and for archives first, which takes longer
    than all the rest of `--help`. Source of the form: "Entry points specification" of packaging.python.org.
    """
    found: dict[str, str] = {}
    for file in _entry_point_files():
        section = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                section = line.strip(" []")
            elif section == group and "=" in line:
                name, _, value = line.partition("=")
                found.setdefault(name.strip(), value.strip())
    return found


def _entry_point_files() -> Iterator[Path]:
    for folder in dict.fromkeys(sys.path):
        if not os.path.isdir(folder):  # noqa: PTH112 - a Path for each of them takes as long as the rest
            continue
        with os.scandir(folder) as entries:
            for each in entries:
                if each.name.endswith(".dist-info"):
                    file = Path(each.path, "entry_points.txt")
                    if file.is_file():
                        yield file


def _docstring(value: str) -> str:
    """Read the docstring of a function that an entry point names from its source."""
    module, _, attribute = value.partition(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    for each in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(each, ast.FunctionDef) and each.name == attribute:
            return ast.get_docstring(each) or ""
    return ""


@click.group(cls=_InstalledCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="checkout-fulfillment")
def main() -> None:
    """Fulfill paid Stripe Checkout Sessions on Kubernetes."""
