"""Writes the reference pages of the documentation from what they are about: `make reference`.

Settings and metrics have pages of their own, which tests hold to the code; these are made of it.
"""

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import click
import yaml

from fulfillment_api.status import ConditionType, Phase, Reason, Status
from fulfillment_cli.main import group as plugin
from fulfillment_operator.metrics import REASONS
from fulfillment_operator.policy.status_events import status_change
from fulfillment_runtime.commands.main import main as fulfillment

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/reference"

_CHART = ROOT / "charts/checkout-fulfillment"
_MADE = "<!-- Made by `make reference`: change what it is made of. -->\n\n"
_WIDTH = 100  # columns of a command's help


def pages() -> dict[str, str]:
    """Make every page: its file's name → its text."""
    made = {
        "alerts.md": _alerts(),
        "command-line.md": _command_line(),
        "dashboard.md": _dashboard(),
        "order-document.md": _order_document(),
        "reasons.md": _reasons(),
        "values.md": _values(),
    }
    return {name: f"{_MADE}{text.rstrip()}\n" for name, text in made.items()}


def _table(head: str, rows: Iterator[str]) -> str:
    rule = "|".join([" --- "] * head.count("|"))
    return "\n".join([f"| {head}", f"|{rule}|", *rows]).replace("| |", "|  |")


def _row(*cells: str) -> str:
    return f"| {' | '.join(each.replace('|', '&#124;').replace(chr(10), ' ') for each in cells)} |"


def _alerts() -> str:
    rules = yaml.safe_load((_CHART / "files/rules.yaml").read_text(encoding="utf-8"))
    found = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    values = yaml.safe_load((_CHART / "values.yaml").read_text(encoding="utf-8"))
    overdue = f"{values['recovery']['overdueAfterHours']} (`recovery.overdueAfterHours`)"
    rows = (
        _row(
            f"[{each['alert']}](../runbooks/{each['alert']}.md)",
            each["labels"]["severity"],
            f"`{each['for']}`",
            each["annotations"]["description"].replace("${overdue}", overdue),
        )
        for each in found
    )
    return (
        "# Alerts\n\nThe chart brings them to Prometheus (`monitoring.prometheusRule`) or to Grafana "
        "(`monitoring.grafanaAlerts`). Each has its runbook.\n\n"
        + _table("alert | severity | holds for | fires when |", rows)
    )


def _dashboard() -> str:
    dashboard = json.loads((_CHART / "files/dashboard.json").read_text(encoding="utf-8"))
    intro = (
        "The chart brings it to Grafana (`monitoring.dashboard`). One shows all releases: choose the data source and "
        "the namespace at its top."
    )
    sections = [f"# The dashboard\n\n{intro}"]
    rows: list[str] = []
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            rows = []
            sections.append(f"## {panel['title']}")
            sections.append("")
        for each in panel.get("panels", []) if panel["type"] == "row" else [panel]:
            rows.append(_row(each["title"], each["description"]))
        if len(sections) > 1:
            sections[-1] = _table("panel | what it shows |", iter(rows))
    return "\n\n".join(sections)


def _command_line() -> str:
    intro = (
        "`fulfillment` is the image's entry point. `kubectl fulfillment` is the same package's plugin: "
        "[kubectl fulfillment](../kubectl-plugin.md)."
    )
    sections = [f"# The command line\n\n{intro}"]
    for name, root in (("fulfillment", fulfillment), ("kubectl fulfillment", plugin)):
        sections.extend(_helps(root, name, None))
    return "\n\n".join(sections)


def _helps(command: click.Command, name: str, above: click.Context | None) -> Iterator[str]:
    given: dict[str, Any] = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(command, info_name=name, parent=above, **given)
    yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context).rstrip()}\n```"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            if found is not None and not found.hidden:
                yield from _helps(found, each, context)


def _order_document() -> str:
    schema = json.loads((ROOT / "docs/order-document.schema.json").read_text(encoding="utf-8"))
    intro = (
        "What a backend is handed, version 1, by its [JSON Schema](../order-document.schema.json). "
        "[How it comes](../http-backend.md#the-order-document)."
    )
    sections = [f"# The order document\n\n{intro}"]
    for name, definition in schema["$defs"].items():
        required = definition.get("required", [])
        rows = (
            _row(f"`{field}`", _type_of(about), "yes" if field in required else "", about.get("description", ""))
            for field, about in definition["properties"].items()
        )
        sections.append(f"## {name}\n\n{definition.get('description', '')}")
        sections.append(_table("field | type | always there | what it is |", rows))
    return "\n\n".join(sections)


def _type_of(about: Mapping[str, Any]) -> str:
    match about:
        case {"$ref": str(ref)}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": list(choices)}:
            return " or ".join(_type_of(each) for each in choices)
        case {"type": "array", "items": dict(items)}:
            return f"list of {_type_of(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"object of {_type_of(values)}"
        case {"enum": list(values)}:
            return " or ".join(f"`{json.dumps(each)}`" for each in values)
        case {"type": str(name)}:
            return name
        case {"type": list(names)}:
            return " or ".join(names)
        case _:
            return "any"


def _reasons() -> str:
    explained, kinds = _docstrings(Reason), _docstrings(ConditionType)
    by_phase = (
        _row(f"`{phase}`", f"`{reason}`", _event_type(phase, reason), explained.get(reason.name, ""))
        for phase, reasons in REASONS.items()
        for reason in reasons
    )
    shown = {reason for reasons in REASONS.values() for reason in reasons}
    others = (_row(f"`{each}`", explained.get(each.name, "")) for each in Reason if each not in shown)
    conditions = (_row(f"`{each}`", kinds.get(each.name, "")) for each in ConditionType)
    return "\n\n".join(
        [
            "# Reasons, conditions and Events",
            "What each means to a person: [the FulfillmentRequest](../fulfillmentrequest.md#phases-and-reasons).",
            "## Phases and their reasons\n\nEach transition is an Event of its reason, of the type given here.",
            _table("phase | reason | Event | what it says |", by_phase),
            "## Other reasons\n\nOf conditions, and of Events about refunds, disputes, mails and annotations.",
            _table("reason | what it says |", others),
            "## Conditions",
            _table("type | what it says |", conditions),
        ]
    )


def _event_type(phase: Phase, reason: Reason) -> str:
    status = Status(phase=phase, reason=reason, message="", observed_generation=1, conditions=[])
    (event,) = status_change(None, status).events
    return "Warning" if event.warning else "Normal"


def _docstrings(kind: type[Enum]) -> dict[str, str]:
    """Read the strings below an enum's members: member → text."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    if not isinstance(definition, ast.ClassDef):
        raise TypeError(kind)
    found: dict[str, str] = {}
    member = ""
    for node in definition.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                member = name
            case ast.Expr(value=ast.Constant(value=str(text))) if member:
                found[member] = inspect.cleandoc(text)
    return found


def _values() -> str:
    readme = (_CHART / "README.md").read_text(encoding="utf-8")
    return f"# The chart's values\n\n{readme.partition('## Values')[2].strip()}"


@click.command()
def main() -> None:
    """Write the reference pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
