"""The order document's published schema, and what holds a document to it."""

import json
from typing import Any

from support.repository import ROOT

SCHEMA_FILE = ROOT / "docs/order-document.schema.json"


def mistakes_in(document: object) -> list[str]:
    """Return what is wrong with a document: a field that the schema does not name is wrong, too."""
    from jsonschema import Draft202012Validator, FormatChecker  # noqa: PLC0415 - it takes seconds

    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    closed = {**schema, "$defs": {name: _closed(each) for name, each in schema["$defs"].items()}}
    validator = Draft202012Validator(closed, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def _closed(definition: dict[str, Any]) -> dict[str, Any]:
    return {**definition, "additionalProperties": False}
