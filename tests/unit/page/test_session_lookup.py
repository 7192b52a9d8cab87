"""Which Session that Stripe was asked for makes a request."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fulfillment_api.names import request_name
from fulfillment_page.session_id import SessionId
from fulfillment_page.session_lookup import LookupOutcome, request_of
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.translate import DesiredRequest

ACCOUNT = "acct_1032D82eZvKYlo2C"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
ID = "cs_test_a1P5YYluaNII2Sw4YvDcqWDVcCaEF88dgjX1R52zahnP5GOEowMj42pzSq"


def asked(filters: Filters = Filters(), account: str | None = None, **changes: Any) -> DesiredRequest | LookupOutcome:  # noqa: B008 - frozen
    answer = {
        "id": ID,
        "status": "complete",
        "payment_status": "paid",
        "livemode": False,
        "mode": "payment",
        "created": int((NOW - timedelta(minutes=5)).timestamp()),
        "amount_total": 1099,
        "currency": "usd",
        **changes,
    }
    rules = EventRules(filters=filters)
    return request_of(json.dumps(answer).encode(), SessionId(ID, account), rules, now=NOW)


@pytest.mark.parametrize("payment", ["paid", "unpaid", "no_payment_required"])
def test_a_completed_session_makes_a_request(payment: str) -> None:
    """One whose payment takes days, too: it awaits that."""
    desired = asked(payment_status=payment)
    assert isinstance(desired, DesiredRequest)
    assert (desired.name, desired.spec.payment.status) == (request_name(ID), payment)


def test_one_of_a_connected_account_makes_the_request_of_that_account() -> None:
    """If it is one whose orders count."""
    desired = asked(Filters(accounts={ACCOUNT}), ACCOUNT)
    assert isinstance(desired, DesiredRequest)
    assert (desired.name, desired.spec.session.account) == (request_name(ID, ACCOUNT), ACCOUNT)
    assert asked(Filters(accounts={"acct_another"}), ACCOUNT) == "not-counted"


@pytest.mark.parametrize(
    ("changes", "filters", "expected"),
    [
        ({"status": "open"}, Filters(), "open"),
        ({"status": "expired"}, Filters(), "expired"),
        ({"id": "cs_test_b"}, Filters(), "unreadable"),
        ({"mode": "setup"}, Filters(), "not-counted"),
        ({"livemode": True}, Filters(livemode=False), "not-counted"),
        ({}, Filters(payment_links={"plink_1"}), "not-counted"),
        ({"metadata": {"app": "blog"}}, Filters(metadata={"app": "shop"}), "not-counted"),
        ({"created": int((NOW - timedelta(days=2, seconds=1)).timestamp())}, Filters(), "too-old"),
        ({"created": None}, Filters(), "too-old"),
    ],
)
def test_no_other_session_does(changes: dict[str, Any], filters: Filters, expected: str) -> None:
    """An order that is missing days later may have been deleted: a visit would fulfill it twice."""
    assert asked(filters, **changes) == expected
