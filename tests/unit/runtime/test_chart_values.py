"""Messages name the chart's value beside the variable, and docs/settings.md does."""

import re

import pytest

from fulfillment_runtime.chart_values import CHART_VALUES, with_chart_values
from fulfillment_runtime.settings import known_settings
from support.repository import ROOT

WITHOUT_A_VALUE = {
    "FULFILLMENT_BIND_ADDRESS",
    "FULFILLMENT_LEASE_NAME",
    "FULFILLMENT_MANAGEMENT_PORT",
    "FULFILLMENT_NAMESPACE",
    "FULFILLMENT_PAGE_PORT",
    "FULFILLMENT_RECOVERY_NAME",
    "FULFILLMENT_WEBHOOK_PORT",
    "KUBECONFIG",
}
"""What the chart sets by itself: a pod has one way only."""


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("FULFILLMENT_SMTP_HOST is not set", "FULFILLMENT_SMTP_HOST (mail.smtp.host) is not set"),
        ("STRIPE_API_KEY_FILE names a folder", "STRIPE_API_KEY_FILE (stripe.existingSecret) names a folder"),
        ("FULFILLMENT_NAMESPACE is wrong", "FULFILLMENT_NAMESPACE is wrong"),
        ("FULFILLMENT_ROUTES, FULFILLMENT_ROUTES", "FULFILLMENT_ROUTES (backend.routes), FULFILLMENT_ROUTES"),
        ("the API key is of test mode", "the API key is of test mode"),
    ],
)
def test_a_message_names_both(message: str, named: str) -> None:
    """Once; and one that names both already is left as it is."""
    assert with_chart_values(message) == named
    assert with_chart_values(named) == named


def test_every_setting_has_its_value() -> None:
    """But for those that the chart sets by itself."""
    assert CHART_VALUES.keys() == known_settings().keys() - WITHOUT_A_VALUE


def test_the_page_of_settings_names_the_same() -> None:
    """Which is where a person looks."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`([\w.]+)`)? ?\|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    assert {variable: value for variable, value in rows if value} == CHART_VALUES
