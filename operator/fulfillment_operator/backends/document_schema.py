"""The JSON Schema of the order document, made of its types: `make order-schema` writes it into docs."""

import json
from typing import Any

import click
import msgspec

from fulfillment_operator.backends.document import OrderDocument

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def document_schema() -> dict[str, Any]:
    """Return the schema, as plain data."""
    (reference,), definitions = msgspec.json.schema_components([OrderDocument], ref_template="#/$defs/{name}")
    return {"$schema": _DIALECT, **reference, "$defs": {name: _written(each) for name, each in definitions.items()}}


def _written(definition: dict[str, Any]) -> dict[str, Any]:
    """Describe an object as it is written: a field that has a default is left out rather than null."""
    required = definition.get("required", [])
    properties = {
        name: each if name in required else _without_null(each) for name, each in definition["properties"].items()
    }
    return {**definition, "properties": properties}


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    schema = {key: value for key, value in field.items() if key != "default"}
    if alternatives := schema.pop("anyOf", None):
        (present,) = (each for each in alternatives if each != {"type": "null"})
        schema = {**present, **schema}
    return schema


if __name__ == "__main__":
    click.echo(json.dumps(document_schema(), indent=2, ensure_ascii=False))
