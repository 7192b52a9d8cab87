"""Makes JSON schemas for kubeconform of what an API server tells about itself at /openapi/v3."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

LOCATION = "{{.Group}}-{{.ResourceAPIVersion}}-{{.ResourceKind}}.json"
"""The names of the files, as kubeconform's templates have it; the core group's is its version."""

_POINTER = "#/components/schemas/"


def write_schemas(document: Schema, folder: Path) -> None:
    """Write a schema for each kind of a group's document. Unknown fields are refused, as `kubeconform -strict` asks."""
    components: dict[str, Schema] = document["components"]["schemas"]
    for name, component in components.items():
        for kind in component.get("x-kubernetes-group-version-kind", []):
            needed = _reachable(name, components)
            schema = {
                "$ref": _POINTER + name,
                "components": {"schemas": {each: _closed(components[each]) for each in needed}},
            }
            file = f"{kind['group'] or kind['version']}-{kind['version']}-{kind['kind'].lower()}.json"
            (folder / file).write_text(json.dumps(schema), encoding="utf-8")


def _reachable(name: str, components: dict[str, Schema]) -> set[str]:
    found: set[str] = set()
    to_visit = [name]
    while to_visit:
        each = to_visit.pop()
        if each not in found:
            found.add(each)
            to_visit.extend(_references(components[each]))
    return found


def _references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(pointer)}:
            yield pointer.removeprefix(_POINTER)
        case dict():
            for each in value.values():
                yield from _references(each)
        case list():
            for each in value:
                yield from _references(each)
        case _:
            return


def _closed(value: Any) -> Any:
    """Refuse fields that an object with fields does not have, unless it says that it keeps them."""
    match value:
        case {"properties": dict(), **rest} if not rest.keys() & {
            "additionalProperties",
            "x-kubernetes-preserve-unknown-fields",
        }:
            return {**{key: _closed(each) for key, each in value.items()}, "additionalProperties": False}
        case dict():
            return {key: _closed(each) for key, each in value.items()}
        case list():
            return [_closed(each) for each in value]
        case _:
            return value
