"""The program `kubectl_complete-fulfillment`, which kubectl asks how `kubectl fulfillment …` may go on.

It gets the words of the command line, of which the last is incomplete, and prints a candidate a line, with its
description after a tab; then a colon and a directive. That is what kubectl's completion scripts take, from cobra.
"""

import sys
from enum import IntEnum, unique

import click
from click.shell_completion import CompletionItem, ShellComplete

from fulfillment_cli.main import NAME, group


@unique
class Directive(IntEnum):
    """What the shell does with the candidates; cobra's ShellCompDirective."""

    WITH_FILES = 0
    """Where there are none, files are candidates."""
    ERROR = 1
    """There are none, since something went wrong."""
    ONLY_THESE = 4


def main() -> None:
    """Complete the command line that the arguments begin."""
    words, incomplete = sys.argv[1:-1], sys.argv[-1] if len(sys.argv) > 1 else ""
    try:
        items = ShellComplete(group, {}, NAME, "").get_completions(words, incomplete)
    except click.ClickException as error:  # kubectl's scripts show nothing of it; `kubectl __complete` does
        error.show()
        click.echo(f":{Directive.ERROR:d}")
        return
    for item in items:
        if item.type == "plain":
            click.echo(_line(item))
    with_files = any(item.type == "file" for item in items)
    click.echo(f":{Directive.WITH_FILES if with_files else Directive.ONLY_THESE:d}")


def _line(item: CompletionItem) -> str:
    return f"{item.value}\t{' '.join(item.help.split())}" if item.help else str(item.value)
