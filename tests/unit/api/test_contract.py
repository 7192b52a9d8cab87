"""The contract: names, amounts, the one-way rule, and the CustomResourceDefinition."""

from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_api.crd import custom_resource_definition
from fulfillment_api.money import display_amount
from fulfillment_api.names import request_name
from fulfillment_api.spec import PaymentStatus
from support.repository import ROOT

CRD_FILE = ROOT / "charts/checkout-fulfillment/files/crd.yaml"


def test_a_session_has_one_name() -> None:
    """The name is a fixed function of account and Session id, fit for an object and for a label."""
    assert request_name("cs_test_a1B2") == "cs-5zs37thc4ktv66ieh5tikznq54"
    assert len(request_name("cs_live_" + "x" * 247, "acct_1")) == 29


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_different_sessions_have_different_names(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Two Sessions, or one id under two accounts, never share a request."""
    assert (request_name(*one) == request_name(*other)) == (one == other)


@pytest.mark.parametrize(
    ("total", "currency", "expected"),
    [
        (1099, "usd", "10.99 USD"),
        (5, "eur", "0.05 EUR"),
        (0, "usd", "0.00 USD"),
        (-250, "usd", "-2.50 USD"),
        (500, "jpy", "500 JPY"),
        (12345, "kwd", "12.345 KWD"),
        (50000, "ugx", "500.00 UGX"),
    ],
)
def test_amounts_are_written_as_people_write_them(total: int, currency: str, expected: str) -> None:
    """Zero-decimal and three-decimal currencies are known."""
    assert display_amount(total, currency) == expected


def test_which_payment_status_may_follow_which() -> None:
    """Nothing leaves paid or no_payment_required; what failed or was canceled yields to paid."""
    allowed = {(old, new) for old in PaymentStatus for new in PaymentStatus if old.may_become(new)}
    assert allowed == {
        (PaymentStatus.UNPAID, PaymentStatus.PAID),
        (PaymentStatus.UNPAID, PaymentStatus.NO_PAYMENT_REQUIRED),
        (PaymentStatus.UNPAID, PaymentStatus.FAILED),
        (PaymentStatus.UNPAID, PaymentStatus.CANCELED),
        (PaymentStatus.FAILED, PaymentStatus.CANCELED),
        (PaymentStatus.FAILED, PaymentStatus.PAID),
        (PaymentStatus.CANCELED, PaymentStatus.PAID),
    }


def test_the_crd_that_is_installed_is_the_one_that_the_model_makes() -> None:
    """The chart's file is `fulfillment crd`, to the letter: `make crd` writes it."""
    assert yaml.safe_load(CRD_FILE.read_text()) == custom_resource_definition()


def test_no_list_of_required_fields_is_empty() -> None:
    """JSON Schema's draft 4 forbids one, and what goes by it then finds no schema at all."""

    def lists(node: object) -> Iterator[object]:
        if isinstance(node, dict):
            yield from ([node["required"]] if "required" in node else [])
        for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from lists(each)

    found = [*lists(custom_resource_definition())]
    assert found
    assert all(found)
