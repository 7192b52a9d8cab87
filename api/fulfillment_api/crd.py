"""The CustomResourceDefinition, made from the typed model: the model is the one source of the schema."""

from inspect import cleandoc
from typing import Any

import msgspec

from fulfillment_api import names
from fulfillment_api.spec import Spec
from fulfillment_api.status import Status

_NAME_RULE = {
    "rule": f"self.metadata.name.matches('{names.NAME_PATTERN}')",
    "message": "metadata.name is made from the Session: the webhook service, or `fulfillment trigger`, makes requests",
}
_SELECTABLE = (
    ".status.phase",
    ".status.reason",
    ".spec.session.id",
    ".spec.payment.status",
    ".spec.session.paymentIntent",
    ".status.paymentIntent",
    ".spec.reversal.kind",
)
_COLUMNS: list[dict[str, Any]] = [
    {
        "name": "Phase",
        "type": "string",
        "jsonPath": ".status.phase",
        "description": "Where the order stands.",
    },
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": ".status.reason",
        "description": "Why it is in this phase.",
    },
    {
        "name": "Amount",
        "type": "string",
        # What Stripe answered, which is less than the event told where only a part was captured; until then what that
        # told. `..amount.display` would find either, in any order. A path must begin with a dot, and a union of two
        # after a single one finds nothing.
        "jsonPath": "..['status.order.amount.display','spec.amount.display']",
        "description": "What the order costs.",
    },
    {
        "name": "Payment",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Paid')].reason",
        "description": "What Stripe said of the payment when it was last asked.",
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {
        "name": "Presentment",
        "type": "string",
        "jsonPath": ".status.order.presentment.display",
        "description": "What the buyer saw and paid, in another currency.",
        "priority": 1,
    },
    {"name": "Attempts", "type": "integer", "jsonPath": ".status.fulfillment.attempts", "priority": 1},
    {"name": "Backend", "type": "string", "jsonPath": ".status.fulfillment.backend", "priority": 1},
    {"name": "Reference", "type": "string", "jsonPath": ".status.fulfillment.reference", "priority": 1},
    {"name": "Session", "type": "string", "jsonPath": ".spec.session.id", "priority": 1},
    {
        "name": "Acknowledged",
        "type": "string",
        "jsonPath": ".metadata.annotations." + names.ACKNOWLEDGED.replace(".", r"\."),
        "description": "The reason of a failure that a person has acknowledged, and what was done.",
        "priority": 1,
    },
    {"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1},
]


def custom_resource_definition() -> dict[str, Any]:
    """Return the `apiextensions.k8s.io/v1` CustomResourceDefinition of FulfillmentRequest, as plain data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "selectableFields": [{"jsonPath": path} for path in _SELECTABLE],
                    "additionalPrinterColumns": _COLUMNS,
                    "schema": {"openAPIV3Schema": _schema()},
                }
            ],
        },
    }


def _schema() -> dict[str, Any]:
    (spec, status), definitions = msgspec.json.schema_components([Spec, Status], ref_template="{name}")
    return {
        "type": "object",
        "description": "An order that was placed with Stripe Checkout, and what became of it.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _by_field(_structural(spec, definitions)),
            "status": _by_field(_structural(status, definitions)),
        },
        "x-kubernetes-validations": [_NAME_RULE],
    }


def _by_field(schema: dict[str, Any]) -> dict[str, Any]:
    """Let each field of spec or status be owned as a whole, and so each condition, as it is written.

    For each part of what can be owned by itself, `managedFields` has a line in every object (Kubernetes, "Merge
    strategy"): they were half of what etcd held of an order.
    """
    for field in schema["properties"].values():
        for owned in (field, field.get("items", {})):
            if owned.get("type") == "object":
                owned["x-kubernetes-map-type"] = "atomic"
    return schema


def _structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Turn JSON Schema into a structural schema (Kubernetes, "Specifying a structural schema").

    No `$ref`, no null type (an absent field says it), no defaults, int64 integers.
    """
    schema = _inlined(node, definitions)
    for absent in ("title", "default", "propertyNames"):
        schema.pop(absent, None)
    if not schema.get("required", True):  # tools that go by JSON Schema's draft 4 take no empty list
        del schema["required"]
    if "description" in schema:
        schema["description"] = cleandoc(schema["description"])  # as Python does itself from 3.13 on
    if "enum" in schema:
        schema["type"] = "string"
    if schema.get("type") == "integer":
        schema["format"] = "int64"
    if "properties" in schema:
        schema["properties"] = {
            name: _structural(value, definitions) for name, value in sorted(schema["properties"].items())
        }
    for nested in ("items", "additionalProperties"):
        if isinstance(schema.get(nested), dict):
            schema[nested] = _structural(schema[nested], definitions)
    return schema


def _inlined(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Put a type where it is referred to; a description where a field is used wins over that of its type."""
    schema = dict(node)
    if alternatives := schema.pop("anyOf", None):
        (present,) = (each for each in alternatives if each != {"type": "null"})
        schema = {**present, **schema}
    if reference := schema.pop("$ref", None):
        schema = {**definitions[reference], **schema}
    return schema
