"""The one command, as far as it finds its subcommands."""

import importlib.metadata

import click
import pytest
from click.testing import CliRunner

from fulfillment_runtime.commands.main import COMMANDS, entry_points, main


def test_it_finds_the_entry_points_that_are_installed() -> None:
    """As the standard library finds them, without what that loads."""
    installed = importlib.metadata.entry_points(group=COMMANDS)
    assert entry_points(COMMANDS) == {each.name: each.value for each in installed}


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_help_is_what_click_would_show(columns: int) -> None:
    """A command's line is its own docstring, however wide the terminal is, though no command is loaded for it."""
    commands = {each.name: each.load() for each in importlib.metadata.entry_points(group=COMMANDS)}
    of_click = click.Group("fulfillment", commands=commands, help=main.help, params=main.params)
    shown = [
        CliRunner().invoke(each, ["--help"], prog_name="fulfillment", terminal_width=columns, max_content_width=columns)
        for each in (main, of_click)
    ]
    options = shown[0].output.partition("Commands:")[2]
    assert options
    assert options == shown[1].output.partition("Commands:")[2]
