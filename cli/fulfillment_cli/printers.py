"""Prints objects for programs, as kubectl does: JSON and YAML."""

from collections.abc import Sequence
from typing import Any

import click
import msgspec


def print_json(content: msgspec.Struct) -> None:
    """Print one JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=2))


def print_yaml(contents: Sequence[msgspec.Struct]) -> None:
    """Print YAML documents."""
    import yaml  # noqa: PLC0415 - who asks for none waits for none

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the other takes ten times as long
    plain = [msgspec.json.decode(msgspec.json.encode(each)) for each in contents]  # a time is a string, as in JSON
    click.echo(yaml.dump_all(plain, Dumper=dumper, allow_unicode=True), nl=False)
