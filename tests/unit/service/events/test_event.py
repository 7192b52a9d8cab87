"""Parsing: whatever an API version made of an event, what matters is read, and nothing else can break it."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fulfillment_api.event_types import StripeEventType
from fulfillment_api.spec import Amount, Mode, PaymentStatus, ReversalKind, Session
from fulfillment_service.events.envelope import Envelope, decode_envelope
from fulfillment_service.events.event import (
    CheckoutEvent,
    Event,
    ExpiryEvent,
    OtherEvent,
    ReversalEvent,
    parse_event,
)
from fulfillment_service.events.event_fields import ChargeFields, SessionFields
from support.stripe_events import NOW, SESSION, charge_event, snapshot, thin

CREATED = datetime.fromtimestamp(NOW, UTC)


def decode(event: Any) -> Envelope:
    return decode_envelope(json.dumps(event))


def parse(event: Any) -> Event:
    return parse_event(decode(event))


def test_a_snapshot_shows_the_session() -> None:
    """The envelope's facts and the Session's, in the contract's words; personal data is not even read."""
    assert parse(snapshot(account="acct_1")) == CheckoutEvent(
        id="evt_1MhUT6E0b6fckueS",
        type=StripeEventType.COMPLETED,
        created_at=CREATED,
        livemode=False,
        account="acct_1",
        session=Session(
            id=SESSION["id"],
            account="acct_1",
            livemode=False,
            mode=Mode.PAYMENT,
            created_at=datetime.fromtimestamp(NOW - 60, UTC),
            payment_intent="pi_1MhUT5E0b6fckueS",
            customer="cus_NSPHp4fOlXGw8P",
            client_reference_id="cart-17",
            metadata={"colour": "navy"},
        ),
        payment_status=PaymentStatus.PAID,
        amount=Amount(total=1099, currency="usd", display="10.99 USD"),
        is_setup=False,
        is_thin=False,
    )
    assert not {"customer_details", "customer_email", "shipping_details"} & set(SessionFields.__struct_fields__)


@pytest.mark.parametrize(
    ("context", "account"),
    [(None, None), ("acct_1", "acct_1"), ("org_1/acct_1", "acct_1"), ({"odd": 1}, None)],
)
def test_a_thin_event_shows_the_same_in_its_own_words(context: Any, account: str | None) -> None:
    """Its type loses the leading `v1.`, its context is the account, and only the Session's id is known."""
    assert parse(thin(context=context)) == CheckoutEvent(
        id="evt_test_65S1MhUT6E0b6fckueS",
        type=StripeEventType.COMPLETED,
        created_at=datetime(2026, 11, 2, 12, 53, 20, tzinfo=UTC),
        livemode=False,
        account=account,
        session=Session(id=SESSION["id"], account=account, livemode=False),
        payment_status=None,
        amount=None,
        is_setup=False,
        is_thin=True,
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            charge_event("charge.refunded", id="ch_1"),
            {"kind": ReversalKind.REFUNDED, "charge": "ch_1"},
        ),
        (
            charge_event("charge.refunded", id="ch_1", refunded=False),
            {"kind": ReversalKind.PARTIALLY_REFUNDED, "charge": "ch_1"},
        ),
        (
            charge_event("charge.dispute.created", id="du_1", charge="ch_1"),
            {"kind": ReversalKind.DISPUTED, "charge": "ch_1"},
        ),
        (
            charge_event("charge.dispute.created", id="du_1", charge={"id": "ch_1"}, refunded=False),
            {"kind": ReversalKind.DISPUTED, "charge": "ch_1"},
        ),
        *(
            (charge_event(kind, id="du_1", charge="ch_1", status=status), {"kind": expected, "charge": "ch_1"})
            for kind in (
                "charge.dispute.created",
                "charge.dispute.closed",
                "charge.dispute.funds_withdrawn",
                "charge.dispute.funds_reinstated",
            )
            for status, expected in (
                ("needs_response", ReversalKind.DISPUTED),
                ("under_review", ReversalKind.DISPUTED),
                ("appeal_needs_response", ReversalKind.DISPUTED),
                ("warning_needs_response", ReversalKind.INQUIRY),
                ("warning_under_review", ReversalKind.INQUIRY),
                ("warning_closed", ReversalKind.INQUIRY_CLOSED),
                ("won", ReversalKind.DISPUTE_WON),
                ("lost", ReversalKind.DISPUTE_LOST),
                ("prevented", ReversalKind.DISPUTE_PREVENTED),
                ("a new one", ReversalKind.DISPUTED),  # a hint: Stripe is asked
                (7, ReversalKind.DISPUTED),
            )
        ),
        *(
            (charge_event(kind, id="re_1", charge="ch_1", status=status), {"kind": expected, "charge": "ch_1"})
            for kind, status, expected in (
                ("refund.failed", "failed", ReversalKind.REFUND_FAILED),
                ("refund.failed", None, ReversalKind.REFUND_FAILED),
                ("refund.updated", "failed", ReversalKind.REFUND_FAILED),
                ("refund.updated", "canceled", ReversalKind.REFUND_FAILED),
                ("refund.updated", "succeeded", None),
                ("refund.updated", "pending", None),
                ("refund.updated", None, None),
            )
        ),
        (
            charge_event("radar.early_fraud_warning.created", id="issfr_1", charge="ch_1"),
            {"kind": ReversalKind.FRAUD_WARNING, "charge": "ch_1"},
        ),
    ],
)
def test_a_reversal_is_about_a_charge_and_its_payment(event: dict[str, Any], expected: dict[str, Any]) -> None:
    """A refund's object is the charge, a dispute's names it: neither is a Session."""
    assert parse(event) == ReversalEvent(
        id="evt_2",
        type=StripeEventType(event["type"]),  # type: ignore[arg-type]
        created_at=CREATED,
        livemode=False,
        account=None,
        payment_intent=SESSION["payment_intent"],
        **expected,
    )


def test_an_expiry_is_about_a_session() -> None:
    """And about nothing else: no payment was made."""
    assert parse(snapshot("checkout.session.expired")) == ExpiryEvent(
        id="evt_1MhUT6E0b6fckueS",
        type=StripeEventType.EXPIRED,
        created_at=CREATED,
        livemode=False,
        account=None,
        session_id=SESSION["id"],
    )


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (snapshot(), {"session": SESSION["id"]}),
        (snapshot("checkout.session.expired"), {"session": SESSION["id"]}),
        (
            charge_event("charge.refunded", id="ch_1", payment_intent="pi_1"),
            {"charge": "ch_1", "payment_intent": "pi_1"},
        ),
        (charge_event("charge.dispute.created", id="du_1", payment_intent="pi_1"), {"payment_intent": "pi_1"}),
        (thin("v1.charge.refunded", related_object={"id": "ch_1"}), {"charge": "ch_1"}),
        (snapshot("invoice.paid", session={"id": "in_1"}), {}),
    ],
)
def test_what_a_log_line_names(event: dict[str, Any], subject: dict[str, str]) -> None:
    """What the event is about, by what that is."""
    assert parse(event).subject == subject


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
    """Stripe's ping has a null object: that is no reason to reject it."""
    assert parse(snapshot("ping", **changes)) == OtherEvent(id="evt_1MhUT6E0b6fckueS", type="ping")
    refund = parse(snapshot("charge.refunded", **changes))
    assert isinstance(refund, ReversalEvent)
    assert refund.subject == {}


@pytest.mark.parametrize("changes", [{"related_object": None}, {"related_object": []}, {"type": None}, {"type": 7}])
def test_a_thin_event_about_nothing_is_an_event(changes: dict[str, Any]) -> None:
    """Thin events about an account have no related object, and one without a type was seen."""
    envelope = decode(thin("v1.account.updated", **changes))
    assert envelope.is_thin
    assert parse_event(envelope) == OtherEvent(
        id="evt_test_65S1MhUT6E0b6fckueS", type=None if "type" in changes else "account.updated"
    )


def test_odd_types_are_left_out() -> None:
    """Parsing never fails on them."""
    session = {"metadata": [], "customer": {"id": "cus_1"}, "amount_total": "10", "created": "2026-11-02"}
    event = parse(snapshot(session=session, id=None, livemode="no", account="", request="req_1", created=[]))
    assert isinstance(event, CheckoutEvent)
    assert (event.id, event.livemode, event.account, event.created_at) == (None, False, None, None)
    assert (event.session.metadata, event.session.customer, event.session.created_at) == ({}, "cus_1", None)
    assert event.amount is None


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x", [], {}, {"id": 7}, [[]], -(10**40)])
def test_a_field_may_have_any_value(value: Any) -> None:
    """Every field of a Session, and of a charge, takes every JSON value."""
    session = dict.fromkeys(SessionFields.__struct_fields__, value) | {"id": "cs_test_1"}
    event = parse(snapshot(session=session))
    assert isinstance(event, CheckoutEvent)
    assert msgspec.convert(msgspec.to_builtins(event.session), Session) == event.session
    for kind in ("charge.refunded", "charge.dispute.created"):
        charge = dict.fromkeys(ChargeFields.__struct_fields__, value)
        assert isinstance(parse(charge_event(kind, **charge)), ReversalEvent)
