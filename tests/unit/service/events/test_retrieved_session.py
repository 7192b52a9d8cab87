"""A Session that Stripe was asked for is taken for the event that says it was completed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fulfillment_service.events.envelope import decode_envelope
from fulfillment_service.events.event import CheckoutEvent, parse_event
from fulfillment_service.events.retrieved_session import NotCompleted, parse_retrieved_session
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.stored_fields import StoredFields
from fulfillment_service.events.translate import DesiredRequest, translate
from support.stripe_events import SESSION, snapshot

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def retrieved(account: str | None = None, **changes: Any) -> CheckoutEvent | NotCompleted:
    answer = {**SESSION, "status": "complete", **changes}
    return parse_retrieved_session(json.dumps(answer).encode(), SESSION["id"], account)


@pytest.mark.parametrize("account", [None, "acct_1032D82eZvKYlo2C"])
def test_it_makes_the_request_that_its_event_makes(account: str | None) -> None:
    """All but the event's id, which there is none of."""
    event = parse_event(decode_envelope(json.dumps(snapshot(session={"status": "complete"}, account=account))))
    requests = []
    for each in (event, retrieved(account)):
        assert isinstance(each, CheckoutEvent)
        stored = StoredFields(metadata_keys=frozenset(SESSION.get("metadata", {})), client_reference_id=True)
        change = translate(each, EventRules(stored=stored), observed_at=NOW)
        assert isinstance(change, DesiredRequest)
        requests.append((change.name, change.spec.session, change.spec.amount, change.spec.payment.status))
    assert requests[0] == requests[1]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "open"}, NotCompleted.OPEN),
        ({"status": "expired"}, NotCompleted.EXPIRED),
        ({"status": None}, NotCompleted.EXPIRED),
        ({"status": 7}, NotCompleted.EXPIRED),
        ({"id": "cs_test_another"}, NotCompleted.UNREADABLE),
        ({"livemode": None}, NotCompleted.UNREADABLE),
    ],
)
def test_what_was_not_completed_is_no_order(changes: dict[str, Any], expected: NotCompleted) -> None:
    """Stripe's word alone counts, and only about the Session that was asked for."""
    assert retrieved(**changes) is expected


@pytest.mark.parametrize("body", ["", "null", "[]", "{", '"cs"'])
def test_an_answer_that_is_no_session_is_unreadable(body: str) -> None:
    """Whatever it is."""
    assert parse_retrieved_session(body.encode(), SESSION["id"], None) is NotCompleted.UNREADABLE
