"""What an event says of an authorized payment: a table of event and hint."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fulfillment_api.spec import Payment, PaymentStatus
from fulfillment_service.events.envelope import decode_envelope
from fulfillment_service.events.event import parse_event
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.translate import PaymentHint, SpecChange, translate
from support.stripe_events import SESSION, charge_event, payment_intent_event, thin

OBSERVED = datetime(2026, 11, 2, 12, 53, 21, 250_000, tzinfo=UTC)
INTENT = SESSION["payment_intent"]


def decide(event: dict[str, Any], filters: Filters = Filters()) -> SpecChange | Ignored:  # noqa: B008 - frozen
    rules = EventRules(filters=filters)
    return translate(parse_event(decode_envelope(json.dumps(event))), rules, observed_at=OBSERVED)


def hint(status: PaymentStatus, **changes: Any) -> PaymentHint:
    payment = Payment(status=status, event="evt_2", observed_at=OBSERVED.replace(microsecond=0))
    facts: dict[str, Any] = {"livemode": False, "account": None, "payment_intent": INTENT}
    return PaymentHint(payment=payment, **(facts | changes))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (charge_event("charge.captured", captured=True), hint(PaymentStatus.PAID)),
        (payment_intent_event("payment_intent.succeeded"), hint(PaymentStatus.PAID)),
        (payment_intent_event("payment_intent.canceled"), hint(PaymentStatus.CANCELED)),
        (charge_event("charge.expired", captured=False), hint(PaymentStatus.CANCELED)),
        (payment_intent_event("payment_intent.partially_funded"), hint(PaymentStatus.UNPAID)),
        (
            charge_event("charge.captured", payment_intent={"id": "pi_9"}),
            hint(PaymentStatus.PAID, payment_intent="pi_9"),
        ),
        (
            payment_intent_event("payment_intent.canceled", id="pi_9"),
            hint(PaymentStatus.CANCELED, payment_intent="pi_9"),
        ),
        (charge_event("charge.captured") | {"account": "acct_1"}, hint(PaymentStatus.PAID, account="acct_1")),
        (
            thin("v1.payment_intent.canceled", id="evt_2", related_object={"id": INTENT}),
            hint(PaymentStatus.CANCELED),
        ),
    ],
)
def test_an_event_says_how_an_authorization_ended(event: dict[str, Any], expected: PaymentHint) -> None:
    """By the PaymentIntent, which a charge names and a PaymentIntent is: a thin event of the latter is enough."""
    assert decide(event) == expected


@pytest.mark.parametrize(
    ("event", "filters", "expected"),
    [
        (charge_event("charge.captured", payment_intent=None), Filters(), Ignored.NO_PAYMENT_INTENT),
        (payment_intent_event("payment_intent.canceled", id=None), Filters(), Ignored.NO_PAYMENT_INTENT),
        (thin("v1.charge.expired", related_object={"id": "ch_1"}), Filters(), Ignored.NO_PAYMENT_INTENT),
        (charge_event("charge.captured"), Filters(livemode=True), Ignored.LIVEMODE),
        (payment_intent_event("payment_intent.processing"), Filters(), Ignored.EVENT_TYPE),
    ],
)
def test_what_is_no_hint_is_ignored_with_a_reason(event: dict[str, Any], filters: Filters, expected: Ignored) -> None:
    """The reason is what the metrics and the answer say."""
    assert decide(event, filters) is expected


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (charge_event("charge.captured", id="ch_1"), {"charge": "ch_1", "payment_intent": INTENT}),
        (payment_intent_event("payment_intent.canceled"), {"payment_intent": INTENT}),
    ],
)
def test_what_a_log_line_names(event: dict[str, Any], subject: dict[str, str]) -> None:
    """What the event is about, by what that is."""
    assert parse_event(decode_envelope(json.dumps(event))).subject == subject
