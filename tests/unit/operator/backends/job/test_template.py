"""The template of a Job, as the settings have it."""

import pytest

from fulfillment_operator.backends.job.template import parse_template

SETTING = "FULFILLMENT_JOB_TEMPLATE"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "FULFILLMENT_JOB_TEMPLATE is no YAML: while parsing"),
        ("", "Expected `object`, got `null`"),
        ("spec: 7", "Expected `object`, got `int` - at `$.spec`"),
        ("spec: {template: {spec: {}}}", "Object missing required field `containers` - at `$.spec.template.spec`"),
        (
            "spec: {template: {spec: {containers: [{env: {REGION: eu}}]}}}",
            "Expected `array | null`, got `object` - at `$.spec.template.spec.containers[0].env`",
        ),
        (
            "spec: {template: {spec: {containers: [{volumeMounts: 7}]}}}",
            "Expected `array | null`, got `int` - at `$.spec.template.spec.containers[0].volumeMounts`",
        ),
        (
            "spec: {template: {spec: {containers: [], initContainers: {wait: {}}}}}",
            "Expected `array | null`, got `object` - at `$.spec.template.spec.initContainers`",
        ),
        (
            "spec: {template: {spec: {containers: [], initContainers: [null]}}}",
            "Expected `object`, got `null` - at `$.spec.template.spec.initContainers[0]`",
        ),
        (
            "spec: {template: {spec: {containers: [], volumes: 7}}}",
            "Expected `array | null`, got `int` - at `$.spec.template.spec.volumes`",
        ),
        (
            "spec: {template: {metadata: [x], spec: {containers: []}}}",
            "Expected `object | null`, got `array` - at `$.spec.template.metadata`",
        ),
        (
            "spec: {template: {metadata: {labels: x}, spec: {containers: []}}}",
            "Expected `object | null`, got `str` - at `$.spec.template.metadata.labels`",
        ),
        ("kind: Job\nspec: {}", "Object contains unknown field `kind`"),
        ("metadata: {name: x}\nspec: {}", "Object contains unknown field `name` - at `$.metadata`"),
    ],
)
def test_what_is_no_template(text: str, message: str) -> None:
    """Refused with the place that is wrong."""
    with pytest.raises(ValueError) as rejected:  # noqa: PT011 - the message is compared below
        parse_template(text, SETTING)
    assert message in str(rejected.value)
