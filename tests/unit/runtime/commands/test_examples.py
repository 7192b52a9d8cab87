"""The help of each command that a person types ends with command lines that it understands."""

import shlex
from pathlib import Path

import click
import pytest

from fulfillment_runtime.commands.main import COMMANDS, entry_points, main

WITHOUT = {"doctor", "operator", "page", "service"}
"""The first has the plugin's, and a person types the others seldom."""


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found
    return found


EXAMPLES = {
    name: [line.strip() for line in (command(name).epilog or "").splitlines()[2:]]
    for name in entry_points(COMMANDS).keys() - {"demo", "trigger"} - WITHOUT
}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_command_understands_its_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind a pipe or a redirection is the shell's."""
    monkeypatch.chdir(tmp_path)
    for file in ("orders.jsonl", "session.json"):
        Path(file).touch()
    lines = [line for line in EXAMPLES[name] if f"fulfillment {name}" in line]
    assert lines
    for line in lines:
        words = shlex.split(line.partition(f"fulfillment {name}")[2].partition(" | ")[0].partition(" > ")[0])
        command(name).make_context(name, words).close()
