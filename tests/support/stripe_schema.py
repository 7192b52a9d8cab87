"""Hypothesis strategies for whatever Stripe's published schema allows, from the module of Stripe's own mock.

Source: https://github.com/stripe/openapi, of which https://github.com/stripe/stripe-mock has a copy.
"""

import functools
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import strategies as st

from fulfillment_local.go_modules import MODULES

Schema: TypeAlias = Mapping[str, Any]

_MODULE = "github.com/stripe/stripe-mock"
_POINTER = "#/components/schemas/"
_DEEPEST = 5
"""Below this an object has what it requires, and an expandable field is an id."""
_MOST_OPTIONAL = 6
"""Optional fields of an object that are drawn at random, beside those that are asked for."""
_TEXTS = st.sampled_from(["", "a", "usd", "jpy", "cs_test_1", "li_1", "pi_1", "ünï\u0000code", "x" * 300, "\n"])
_INTEGERS = st.one_of(st.integers(-2, 6000), st.integers(-(2**70), 2**70))


@functools.cache
def components() -> Schema:
    """Load the schemas of Stripe's objects by name."""
    command = ["go", "mod", "download", "-json", _MODULE]
    said = subprocess.run(command, cwd=MODULES / "stripe-mock", check=True, capture_output=True, text=True)  # noqa: S603
    file = Path(json.loads(said.stdout)["Dir"]) / "embedded" / "openapi" / "spec3.json"
    found: Schema = json.loads(file.read_text())["components"]["schemas"]
    return found


def instances(name: str, *, often: frozenset[str] = frozenset()) -> st.SearchStrategy[Any]:
    """Draw JSON that a schema allows.

    Args:
        name: the schema's, such as `checkout.session`.
        often: the names of optional fields that are drawn every other time, at any depth.
    """
    return _instances({"$ref": _POINTER + name}, often, 0)


def _instances(schema: Schema, often: frozenset[str], depth: int) -> st.SearchStrategy[Any]:
    found = _not_null(schema, often, depth)
    return st.one_of(st.none(), found) if schema.get("nullable") else found


def _not_null(schema: Schema, often: frozenset[str], depth: int) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - a table
    match schema:
        case {"$ref": str(pointer)}:
            return _named(pointer.removeprefix(_POINTER), often, depth)
        case {"enum": list(values)}:
            return st.sampled_from(values)
        case {"anyOf": list(kinds)}:
            texts = [each for each in kinds if each.get("type") == "string"]
            return st.one_of([_instances(each, often, depth) for each in (texts if depth > _DEEPEST else []) or kinds])
        case {"type": "object"}:
            return _object(schema, often, depth)
        case {"type": "array", "items": items}:
            return st.lists(st.deferred(lambda: _instances(items, often, depth + 1)), max_size=2)
        case {"type": "string", "format": "decimal"}:
            return st.decimals(-1000, 1000, places=2).map(str)
        case {"type": "string"}:
            return _TEXTS.filter(lambda text: len(text) <= schema.get("maxLength", len(text)))
        case {"type": "integer"}:
            return _INTEGERS
        case {"type": "number"}:
            return st.floats(allow_nan=False, allow_infinity=False)
        case {"type": "boolean"}:
            return st.booleans()
        case _:
            return st.none()


@functools.cache
def _named(name: str, often: frozenset[str], depth: int) -> st.SearchStrategy[Any]:
    return _instances(components()[name], often, depth)


@st.composite
def _object(draw: st.DrawFn, schema: Schema, often: frozenset[str], depth: int) -> dict[str, Any]:
    properties: Schema = schema.get("properties", {})
    required = set(schema.get("required", ()))
    optional = sorted(properties.keys() - required) if depth <= _DEEPEST else []
    names = required | {each for each in optional if each in often and draw(st.booleans())}
    if rest := [each for each in optional if each not in often]:
        names |= draw(st.sets(st.sampled_from(rest), max_size=_MOST_OPTIONAL if depth == 0 else 1))
    drawn = {name: draw(_instances(properties[name], often, depth + 1)) for name in sorted(names)}
    if isinstance(schema.get("additionalProperties"), dict):
        values = _instances(schema["additionalProperties"], often, depth + 1)
        drawn |= draw(st.dictionaries(st.sampled_from(["cart", "seats"]), values, max_size=2))
    return drawn
