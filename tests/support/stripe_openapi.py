"""Stripe's published schema of its API, which stands in the module of Stripe's own mock; and values that it allows."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fulfillment_local.go_modules import MODULES

Schema = dict[str, Any]

_MODULE = "github.com/stripe/stripe-mock"
_POINTER = "#/components/schemas/"
_ONLY_THESE = {"additionalProperties": False}
_TEXTS = ("", "a", "usd", "in_1", "Größe")
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(0, 100),
    "string": st.sampled_from(_TEXTS),
}


@cache
def components() -> dict[str, Schema]:
    """Return the schemas of Stripe's objects by their names."""
    go = shutil.which("go")
    assert go is not None
    found = subprocess.run(  # noqa: S603 - our own arguments
        [go, "mod", "download", "-json", _MODULE],
        cwd=MODULES / "stripe-mock",
        capture_output=True,
        text=True,
        check=True,
    )
    file = Path(json.loads(found.stdout)["Dir"]) / "embedded/openapi/spec3.json"
    schemas: dict[str, Schema] = json.loads(file.read_text(encoding="utf-8"))["components"]["schemas"]
    return schemas


def properties_of(name: str) -> dict[str, Schema]:
    """Return the fields of an object."""
    found: dict[str, Schema] = components()[name]["properties"]
    return found


def allowed(name: str, *, without: frozenset[str] = frozenset()) -> st.SearchStrategy[Any]:
    """Draw objects that the schema allows, but for some fields. What could be expanded is an id."""
    return _of({"$ref": _POINTER + name}, without)


def _of(schema: Schema, without: frozenset[str] = frozenset()) -> st.SearchStrategy[Any]:
    drawn = _of_present(schema, without)
    return st.none() | drawn if schema.get("nullable") else drawn


def _of_present(schema: Schema, without: frozenset[str]) -> st.SearchStrategy[Any]:
    match schema:
        case {"$ref": str(pointer)}:
            return _of(components()[pointer.removeprefix(_POINTER)], without)
        case {"anyOf": [first, *_]}:
            return _of(first)
        case {"enum": list(values)}:
            return st.sampled_from(values)
        case {"type": "array", "items": items}:
            return st.lists(_of(items), max_size=2)
        case {"type": "object", "properties": dict(fields)}:
            required = schema.get("required", [])
            drawn = {field: _of(each) for field, each in fields.items() if field not in without}
            return st.fixed_dictionaries(
                {field: each for field, each in drawn.items() if field in required},
                optional={field: each for field, each in drawn.items() if field not in required},
            )
        case {"type": "object"}:
            return st.dictionaries(st.sampled_from(_TEXTS), st.sampled_from(_TEXTS), max_size=2)
        case _:
            return _SCALARS[schema["type"]]


def mistakes_in(name: str, value: object) -> list[str]:
    """Return why a value is no such object of Stripe's: a field that the schema does not name is wrong, too."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - it takes seconds

    validator = Draft202012Validator({"$ref": _POINTER + name, "components": {"schemas": _closed_components()}})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@cache
def _closed_components() -> dict[str, Schema]:
    return {name: _closed(each) for name, each in components().items()}


def _closed(schema: Any) -> Any:
    """Turn a schema of OpenAPI 3.0 into one of JSON Schema, which knows no `nullable`, and close its objects."""
    match schema:
        case {"nullable": True, **rest}:
            return {"anyOf": [_closed(rest), {"type": "null"}]}
        case {"properties": dict(fields), **rest}:
            return {**rest, "properties": {key: _closed(each) for key, each in fields.items()}, **_ONLY_THESE}
        case dict():
            return {key: each if key == "enum" else _closed(each) for key, each in schema.items()}
        case list():
            return [_closed(each) for each in schema]
        case _:
            return schema
