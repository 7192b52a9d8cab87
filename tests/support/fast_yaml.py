"""YAML by libyaml. Without it PyYAML takes most of a second for what a chart renders."""

from collections.abc import Iterable
from typing import Any

import yaml


def load_all(text: str) -> list[Any]:
    """Read documents, without those that are empty."""
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def dump_all(documents: Iterable[Any]) -> str:
    """Write documents."""
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper)
