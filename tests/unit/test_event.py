"""Decoding: whatever an API version made of an event, what matters is read, and nothing else can break it."""

import json
from typing import Any

import msgspec
import pytest

from fulfillment_service.event import Event, SessionObject, decode_event
from fulfillment_service.refusals import Refusal, RefusedError
from stripe_events import NOW, SESSION, snapshot, thin


def decode(event: Any) -> Event:
    return decode_event(json.dumps(event))


def test_a_snapshot_shows_the_session() -> None:
    """The envelope's facts and the Session's, each as Stripe wrote it; personal data is not even read."""
    read = {name: value for name, value in SESSION.items() if name in SessionObject.__struct_fields__}
    assert decode(snapshot(account="acct_1")) == Event(
        id="evt_1MhUT6E0b6fckueS",
        type="checkout.session.completed",
        livemode=False,
        account="acct_1",
        created=NOW,
        is_thin=False,
        session=SessionObject(**read),
    )
    assert not {"customer_details", "customer_email", "shipping_details"} & set(SessionObject.__struct_fields__)


@pytest.mark.parametrize(
    ("context", "account"),
    [(None, None), ("acct_1", "acct_1"), ("org_1/acct_1", "acct_1"), ({"odd": 1}, None)],
)
def test_a_thin_event_shows_the_same_in_its_own_words(context: Any, account: str | None) -> None:
    """Its type loses the leading `v1.`, its context is the account, and only the Session's id is known."""
    assert decode(thin(context=context)) == Event(
        id="evt_test_65S1MhUT6E0b6fckueS",
        type="checkout.session.completed",
        livemode=False,
        account=account,
        created="2026-11-02T12:53:20.000Z",
        is_thin=True,
        session=SessionObject(id=SESSION["id"]),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"data": None},
        {"data": []},
        {"data": {}},
        {"data": {"object": None}},
        {"data": {"object": "cs_test_1"}},
        {"data": {"object": {}}},
    ],
)
def test_an_event_about_nothing_is_an_event(changes: dict[str, Any]) -> None:
    """Stripe's ping has a null object: that is no reason to refuse it."""
    assert decode(snapshot(**changes)).session == SessionObject()


@pytest.mark.parametrize("changes", [{"related_object": None}, {"related_object": []}, {"type": None}, {"type": 7}])
def test_a_thin_event_about_nothing_is_an_event(changes: dict[str, Any]) -> None:
    """Thin events about an account have no related object, and one without a type was seen."""
    event = decode(thin(**changes))
    assert (event.session.id, event.type) in (
        (None, "checkout.session.completed"),
        (SESSION["id"], None),
    )


def test_a_bare_envelope_is_an_event() -> None:
    """Every part may be absent."""
    assert decode({}) == Event(
        id=None, type=None, livemode=None, account=None, created=None, is_thin=False, session=SessionObject()
    )


def test_odd_types_are_passed_on_as_they_are() -> None:
    """Judging them is the translation's part: decoding never fails on them."""
    session = {"id": 7, "metadata": [], "customer": {"id": "cus_1"}, "amount_total": "10", "created": "2026-11-02"}
    event = decode(snapshot(session=session, id=None, livemode="no", account=[], request="req_1"))
    assert (event.id, event.livemode, event.account) == (None, "no", [])
    assert {name: getattr(event.session, name) for name in session} == session


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Refusal.NOT_JSON),
        ("hello", Refusal.NOT_JSON),
        ('{"id": "evt_1"', Refusal.NOT_JSON),
        ('{"id": NaN}', Refusal.NOT_JSON),
        ("{} {}", Refusal.NOT_JSON),
        ('{"data": ' + "[" * 100_000 + "]" * 100_000 + "}", Refusal.NOT_JSON),
        ("[]", Refusal.NOT_AN_OBJECT),
        ("null", Refusal.NOT_AN_OBJECT),
        ('"evt_1"', Refusal.NOT_AN_OBJECT),
        ("7", Refusal.NOT_AN_OBJECT),
    ],
)
def test_what_is_no_event_is_refused(text: str, reason: Refusal) -> None:
    """With the reason, and nothing of the body in the message."""
    with pytest.raises(RefusedError) as caught:
        decode_event(text)
    assert caught.value.reason is reason
    assert str(caught.value) in {"the body is not JSON", "the body is not a JSON object"}


def test_the_struct_refuses_nothing() -> None:
    """Every field of a Session takes every JSON value."""
    values: tuple[Any, ...] = (None, True, 1, 1.5, "x", [], {})
    for value in values:
        everything = dict.fromkeys(SessionObject.__struct_fields__, value)
        assert msgspec.to_builtins(decode(snapshot(session=everything)).session) == everything
