"""Every value is described in one way everywhere, matters, and reaches what it is for."""

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fulfillment_local.programs import ChartPrograms
from support.chart_rendering import CHART, DEFAULTS, VALUES, HelmError, Manifest, render
from support.chart_values import DESCRIPTIONS, Values, get, leaves, put, without

EVERYTHING: Values = yaml.safe_load(VALUES["everything"].read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

# What another value hides, so that to see it matter, that one is set to this.
HIDDEN_BY = {
    "image.registry": ("global.imageRegistry", ""),
    "image.tag": ("image.digest", ""),
    "webhook.replicas": ("webhook.autoscaling.enabled", False),
    "webhook.podDisruptionBudget.maxUnavailable": ("webhook.podDisruptionBudget.minAvailable", None),
    "page.podDisruptionBudget.maxUnavailable": ("page.podDisruptionBudget.minAvailable", None),
    "operator.podDisruptionBudget.maxUnavailable": ("operator.podDisruptionBudget.minAvailable", None),
    "monitoring.grafanaAlerts.datasourceUid": ("monitoring.grafanaAlerts.delete", False),
}
# Only for messages: a secret in values is refused with words that help.
REFUSED = {
    "stripe.apiKey",
    "stripe.webhookSecret",
    "stripe.webhookSecrets",
    "backend.http.secret",
    "mail.smtp.username",
    "mail.smtp.password",
}


@cache
def rendered(helm: Path, values: str) -> list[Manifest] | str:
    """Return the manifests, or why there are none."""
    try:
        return render(helm, json.loads(values))
    except HelmError as error:
        return str(error)


def test_everything_sets_every_value() -> None:
    """The values file that tries everything leaves nothing out, and sets each to another value than its default."""
    assert sorted(leaves(EVERYTHING)) == sorted(leaves())
    same = {path for path in leaves() if get(EVERYTHING, path) == get(DEFAULTS, path)}
    assert {path for path in same if get(DEFAULTS, path) is not True} == set()


@pytest.mark.parametrize("path", sorted(leaves()))
def test_every_value_matters(programs: ChartPrograms, path: str) -> None:
    """Rendered both ways, with its default and with another value, each makes a difference."""
    other, shown = HIDDEN_BY.get(path, (path, get(EVERYTHING, path)))
    values = put(EVERYTHING, other, shown)
    switched = get(values, path) is get(DEFAULTS, path) is True
    changed = put(values, path, value=False) if switched else without(values, path)

    assert rendered(programs.helm, json.dumps(changed)) != rendered(programs.helm, json.dumps(values))


def test_no_common_label_takes_the_place_of_the_charts(programs: ChartPrograms) -> None:
    """What finds an object by those, as doctor does, finds it whatever is set; other labels are added to each."""
    ours = without(EVERYTHING, "extraObjects")
    plain = labels(render(programs.helm, without(ours, "commonLabels")))
    standard = {name for each in plain.values() for name in each if name.startswith(("app.kubernetes.io/", "helm.sh/"))}

    common = {**dict.fromkeys(standard, "other"), "team": "shop"}
    found = labels(render(programs.helm, put(ours, "commonLabels", common)))

    assert "app.kubernetes.io/part-of" in standard
    assert found == {name: {**common, **each} for name, each in plain.items()}


def labels(manifests: list[Manifest]) -> dict[tuple[str, str], dict[str, str]]:
    return {(each["kind"], each["metadata"]["name"]): each["metadata"]["labels"] for each in manifests}


def test_every_value_has_a_comment() -> None:
    """Each line of values.yaml is explained, in the form that helm-docs reads."""
    assert sorted(leaves()) == sorted(DESCRIPTIONS)


def test_the_schema_describes_what_values_yaml_does() -> None:
    """The schema has each value of values.yaml, in the same words, and no other but those it exists to refuse."""
    described = dict(descriptions(SCHEMA))
    sections = {path for path in described if any(each.startswith(f"{path}.") for each in DESCRIPTIONS)}
    assert all(described[path] for path in sections)
    values = {path: text for path, text in described.items() if path not in sections | REFUSED | {"enabled"}}
    assert values == DESCRIPTIONS
    assert {*described} >= REFUSED


def test_the_schema_is_strict() -> None:
    """A section takes no key that it does not name, so that a misspelt one is found; `global` is other charts', too."""
    open_sections = {
        path
        for path, schema in sections_of(SCHEMA)
        if "properties" in schema and schema.get("additionalProperties") is not False
    }
    assert open_sections == {"global"}


def test_readme_is_what_helm_docs_writes(programs: ChartPrograms) -> None:
    """The chart's README is made from its values, by `make chart-docs`."""
    arguments = ("--dry-run", "--log-level=warning", "--sort-values-order=file", f"--chart-search-root={CHART}")
    written = subprocess.run(  # noqa: S603 - our own arguments
        [programs.helm_docs, *arguments], capture_output=True, text=True, check=True
    )
    assert (CHART / "README.md").read_text(encoding="utf-8") == written.stdout


def descriptions(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the schema says of each path."""
    for path, each in sections_of(schema):
        if path:
            yield path, each.get("description", "")


def sections_of(schema: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each path of values that the schema names, with its schema."""
    yield above, schema
    for key, each in schema.get("properties", {}).items():
        yield from sections_of(each, f"{above}.{key}".lstrip("."))
