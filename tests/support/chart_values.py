"""The chart's values as values.yaml has them: what may be set, by path, such as `webhook.replicas`."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from support.chart_rendering import CHART, DEFAULTS

Values = dict[str, Any]

_DESCRIPTION = re.compile(r"^( *)# -- (?:\([a-z ]+\) )?(.+)$")
_KEY = re.compile(r"^( *)([A-Za-z]+):")


def _described() -> Iterator[tuple[str, str]]:
    """Yield each value that has a comment as helm-docs reads it: path, comment."""
    path: list[str] = []
    comment = None
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        if match := _DESCRIPTION.match(line):
            comment = match[2]
        elif match := _KEY.match(line):
            path[len(match[1]) // 2 :] = [match[2]]
            if comment is not None:
                yield ".".join(path), comment
            comment = None


DESCRIPTIONS = dict(_described())
"""What each value is for, by path."""


def get(values: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a path.

    Raises:
        KeyError: nothing.
    """
    found: Any = values
    for key in path.split("."):
        found = found[key]
    return found


def put(values: Values, path: str, value: Any) -> Values:
    """Return values with another one at a path."""
    changed = deepcopy(values)
    *sections, last = path.split(".")
    section = changed
    for key in sections:
        section = section.setdefault(key, {})
    section[last] = value
    return changed


def without(values: Values, path: str) -> Values:
    """Return values without what stands at a path, so that the default stands there."""
    changed = deepcopy(values)
    *sections, last = path.split(".")
    section = changed
    for key in sections:
        section = section[key]
    del section[last]
    return changed


def leaves(values: Mapping[str, Any] = DEFAULTS, above: str = "") -> Iterator[str]:
    """Yield the paths of what can be set: a value with a comment, or one that is no section."""
    for key, value in values.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and value and path not in DESCRIPTIONS:
            yield from leaves(value, f"{path}.")
        else:
            yield path
