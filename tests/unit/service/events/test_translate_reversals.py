"""What an event says of an order after Checkout: tables of event and hint."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fulfillment_api.names import request_name
from fulfillment_api.spec import Expiry, Reversal, ReversalKind
from fulfillment_service.events.envelope import decode_envelope
from fulfillment_service.events.event import parse_event
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.translate import ExpiryHint, ReversalHint, SpecChange, translate
from support.stripe_events import NOW, SESSION, charge_event, snapshot, thin

OBSERVED = datetime(2026, 11, 2, 12, 53, 21, 250_000, tzinfo=UTC)
SECOND = OBSERVED.replace(microsecond=0)
REFUNDED, DISPUTED, EXPIRED = "charge.refunded", "charge.dispute.created", "checkout.session.expired"


def decide(event: dict[str, Any], filters: Filters = Filters()) -> SpecChange | Ignored:  # noqa: B008 - frozen
    rules = EventRules(filters=filters)
    return translate(parse_event(decode_envelope(json.dumps(event))), rules, observed_at=OBSERVED)


def hint(kind: ReversalKind, **changes: Any) -> ReversalHint:
    reversal = Reversal(kind=kind, event="evt_2", observed_at=SECOND)
    facts: dict[str, Any] = {
        "livemode": False,
        "account": None,
        "payment_intent": SESSION["payment_intent"],
    }
    return ReversalHint(reversal=reversal, **(facts | changes))


EXPIRY_HINT = ExpiryHint(
    name=request_name(SESSION["id"]),
    session_id=SESSION["id"],
    account=None,
    livemode=False,
    expiry=Expiry(event="evt_2", observed_at=SECOND),
)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (charge_event(REFUNDED), hint(ReversalKind.REFUNDED)),
        (charge_event(DISPUTED), hint(ReversalKind.DISPUTED)),
        (charge_event(DISPUTED, payment_intent={"id": "pi_9"}), hint(ReversalKind.DISPUTED, payment_intent="pi_9")),
        (charge_event(REFUNDED, refunded=None), hint(ReversalKind.REFUNDED)),  # a hint: Stripe is asked
        (charge_event(REFUNDED, refunded=False), hint(ReversalKind.PARTIALLY_REFUNDED)),
        (charge_event("charge.dispute.closed", status="won"), hint(ReversalKind.DISPUTE_WON)),
        (charge_event(REFUNDED) | {"account": "acct_1"}, hint(ReversalKind.REFUNDED, account="acct_1")),
        (charge_event(REFUNDED) | {"livemode": True}, hint(ReversalKind.REFUNDED, livemode=True)),
        (snapshot(EXPIRED, id="evt_2", session={"payment_intent": None}), EXPIRY_HINT),
        (thin(f"v1.{EXPIRED}", id="evt_2"), EXPIRY_HINT),
    ],
)
def test_a_hint_for_an_order(event: dict[str, Any], expected: ReversalHint | ExpiryHint) -> None:
    """A refund and a dispute name the payment, an expiry names the Session."""
    assert expected == decide(event)


@pytest.mark.parametrize(
    ("event", "filters", "expected"),
    [
        (charge_event("refund.updated", status="succeeded"), Filters(), Ignored.REFUND_UPDATED),
        (charge_event(REFUNDED, payment_intent=None), Filters(), Ignored.NO_PAYMENT_INTENT),
        (charge_event(DISPUTED, payment_intent="no id"), Filters(), Ignored.NO_PAYMENT_INTENT),
        (thin("v1.charge.refunded"), Filters(), Ignored.NO_PAYMENT_INTENT),
        (charge_event(REFUNDED), Filters(livemode=True), Ignored.LIVEMODE),
        (snapshot(EXPIRED), Filters(livemode=True), Ignored.LIVEMODE),
        (charge_event(REFUNDED) | {"account": "acct_2"}, Filters(accounts=("acct_1",)), Ignored.ACCOUNT),
        (
            charge_event(REFUNDED) | {"created": NOW - 46 * 24 * 60 * 60},
            Filters(retention=timedelta(days=45)),
            Ignored.OLDER_THAN_RETENTION,
        ),
        (charge_event("charge.succeeded"), Filters(), Ignored.EVENT_TYPE),
    ],
)
def test_what_is_no_hint_is_ignored_with_a_reason(event: dict[str, Any], filters: Filters, expected: Ignored) -> None:
    """The reason is what the metrics and the answer say."""
    assert decide(event, filters) is expected


def test_payment_links_and_metadata_filter_no_hint() -> None:
    """A charge shows neither; that there is an order says that it passed them."""
    filters = Filters(payment_links=("plink_1",), metadata={"app": "shop"})
    assert isinstance(decide(charge_event(REFUNDED), filters), ReversalHint)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (snapshot(EXPIRED, session={"id": None}), EventRejectReason.NO_SESSION_ID),
        (charge_event(REFUNDED) | {"account": "no id"}, EventRejectReason.INVALID_ACCOUNT),
    ],
)
def test_a_hint_that_does_not_say_of_what_is_rejected(event: dict[str, Any], expected: EventRejectReason) -> None:
    """As an event about a sale is."""
    with pytest.raises(EventRejectedError) as caught:
        decide(event)
    assert caught.value.reason is expected
