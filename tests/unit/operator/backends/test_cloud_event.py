"""The CloudEvent of an order: what the library of CloudEvents reads of it, however we encode it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.bindings.http import from_http_event
from cloudevents.core.formats.json import JSONFormat

from fulfillment_api.names import request_name
from fulfillment_operator.backends.document import order_document
from fulfillment_operator.backends.http.backend import EVENT_TYPE, cloud_event
from fulfillment_operator.backends.order import PaidOrder
from fulfillment_operator.checkout.session_answer import parse_session
from support.builders import SESSION_ID, make_request, make_session
from support.stripe_answer import asking

NOW = datetime(2026, 11, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize("text", ["Åse", "\N{ROCKET}"])
@pytest.mark.parametrize("at", [NOW, NOW - timedelta(microseconds=NOW.microsecond), None])
def test_it_holds_the_document_and_the_time(text: str, at: datetime | None) -> None:
    """Whatever Stripe sent."""
    session = make_session(metadata={"note": text})
    order = PaidOrder(request_name(SESSION_ID), "shop", make_request().spec.session, session)
    message = cloud_event(order, at, key="key", event_type=EVENT_TYPE)
    event = from_http_event(message, JSONFormat())
    assert event.get_data() == json.loads(json.dumps(order_document(order)))  # a tuple is an array
    assert (event.get_id(), event.get_type()) == ("key", EVENT_TYPE)
    assert ("time" in json.loads(message.body)) is (at is not None)
    assert at in {event.get_time(), None}  # the library fills in the present
    assert (event.get_source(), event.get_datacontenttype()) == (
        "/namespaces/shop/fulfillmentrequests",
        "application/json",
    )


async def test_half_of_a_surrogate_pair_is_posted_as_a_character_that_stands_for_it() -> None:
    """JSON can name it, and UTF-8 cannot hold it: whoever reads Stripe's answer puts another in its place."""
    body = json.dumps({"id": SESSION_ID, "payment_status": "paid", "metadata": {"note": "half \ud800 of a pair"}})
    async with asking(body.encode()) as (reader, _):
        answer = parse_session((await reader.get("/v1/checkout/sessions", {}, account=None)).data, SESSION_ID)
    order = PaidOrder(request_name(SESSION_ID), "shop", make_request().spec.session, answer.complete(payment=None))
    event = json.loads(cloud_event(order, NOW, key="key", event_type=EVENT_TYPE).body)
    assert event["data"]["session"]["metadata"] == {"note": "half \ufffd of a pair"}
