"""Each row of the table of payments in docs/fulfillmentrequest.md, on a real API server, with the stand-in for Stripe.

And what Stripe answers late, or in a form that nobody expects.
"""

import re
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from fulfillment_api.spec import PaymentStatus, Reversal, ReversalKind
from fulfillment_api.status import ConditionType, Phase
from fulfillment_local.fake_stripe.model import AfterPayment, Event, EventType, Mode, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.traffic import Alter
from fulfillment_local.trigger import SCENARIOS
from support.repository import ROOT
from support.running_operator import Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

_ROW = re.compile(
    r"^\| `([a-z-]+)` \| `?([a-z_]+)`?(?:, .*?)? \| `([a-z-]+)`, `(\w+)` \| (.*?) \| (yes|no) \|$", re.MULTILINE
)
_HINTS = {
    EventType.ASYNC_PAYMENT_SUCCEEDED: PaymentStatus.PAID,
    EventType.ASYNC_PAYMENT_FAILED: PaymentStatus.FAILED,
    EventType.CAPTURED: PaymentStatus.PAID,
    EventType.PAYMENT_CANCELED: PaymentStatus.CANCELED,
    EventType.AUTHORIZATION_EXPIRED: PaymentStatus.CANCELED,
    EventType.PARTIALLY_FUNDED: PaymentStatus.UNPAID,
}


class Row(NamedTuple):
    """A row of the table: what people can try with `fulfillment trigger`, and what the order then shows."""

    scenario: str
    intent: str
    phase: str
    reason: str
    message: str
    is_mailed: str


ROWS = [Row(*found) for found in _ROW.findall((ROOT / "docs" / "fulfillmentrequest.md").read_text())]


def hint_of(event: Event) -> PaymentStatus:
    return _HINTS.get(event.type) or PaymentStatus(event.session.payment_status)


def test_the_table_has_every_payment_that_can_be_tried() -> None:
    """All but what comes after a sale, or is none."""
    others = {"expired", "refunded", "disputed", "subscription", "setup"}
    played = {name for name, each in SCENARIOS.items() if not each.after}
    assert {row.scenario for row in ROWS} == played - others


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.scenario)
async def test_a_payment_shows_as_the_docs_say(shop: Shop, row: Row) -> None:
    """Phase, reason, message and mail: by the PaymentIntent, whose status is as the docs say."""
    played, world = SCENARIOS[row.scenario], shop.stripe.world
    session, event = world.play(Order(outcome=played.outcome, mode=played.mode, amount=5900))
    assert event is not None
    if played.settlement is not None:
        event = world.settle(session.id, played.settlement) or event
    intent = world.payment_of(session.id)
    assert row.intent == (intent.status if intent else "none")
    async with at_work(shop):
        name = await shop.make(session.id, hint_of(event))
        request = await shop.becomes(name, Phase(row.phase), row.reason)
    assert request.status is not None
    assert request.status.order is not None
    paid = request.status.condition(ConditionType.PAID)
    assert paid is not None
    assert row.message in paid.message
    assert len(shop.mailbox.mails) == (row.is_mailed == "yes")
    assert request.status.phase is Phase.FULFILLED or row.message in request.status.message


async def test_a_captured_order_is_fulfilled_within_seconds(shop: Shop) -> None:
    """What was captured is what status and receipt name, though more was authorized."""
    async with at_work(shop, receipts=True):
        name = await shop.sell(Order(outcome=Outcome.AUTHORIZED, amount=5900), PaymentStatus.UNPAID)
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT, "PaymentRequiresCapture")
        shop.stripe.world.settle(waiting.spec.session.id, Settlement.PARTLY_CAPTURED)
        await shop.hint(name, PaymentStatus.PAID)
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    assert request.status.order is not None
    assert request.status.order.amount is not None
    assert request.status.order.amount.display == "29.50 USD"
    (mail,) = shop.mailbox.mails
    assert mail.text is not None
    assert "29.50 USD" in mail.text
    assert "59.00 USD" not in mail.text


async def test_an_authorization_that_is_released_blames_nobody(shop: Shop) -> None:
    """Stripe tells of it as of a refund, too, which was never a payment: no mail, and no refund."""
    async with at_work(shop):
        name = await shop.sell(Order(outcome=Outcome.AUTHORIZED), PaymentStatus.UNPAID)
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT, "PaymentRequiresCapture")
        shop.stripe.world.settle(waiting.spec.session.id, Settlement.CANCELED)
        await shop.patch_spec(name, Reversal(kind=ReversalKind.REFUNDED))
        request = await shop.becomes(name, Phase.FAILED, "PaymentCanceled")
    assert request.status is not None
    assert request.status.message == "the payment was canceled (requested_by_customer), not declined"
    assert request.status.condition(ConditionType.REFUNDED) is None
    assert shop.mailbox.mails == ()


async def test_what_was_not_captured_is_not_refunded(shop: Shop) -> None:
    """Stripe counts it so, though nobody paid it: half of an authorization is captured, and handed over."""
    async with at_work(shop):
        session, _ = shop.stripe.world.play(Order(outcome=Outcome.AUTHORIZED, amount=5900))
        shop.stripe.world.settle(session.id, Settlement.PARTLY_CAPTURED)
        request = await shop.becomes(await shop.make(session.id), Phase.FULFILLED, "Fulfilled")
        assert request.status is not None
        assert request.status.condition(ConditionType.REFUNDED) is None
        other, _ = shop.stripe.world.play(Order(outcome=Outcome.AUTHORIZED, amount=5900))
        shop.stripe.world.settle(other.id, Settlement.PARTLY_CAPTURED)
        shop.stripe.world.play_after_payment(other.id, AfterPayment.REFUNDED)
        await shop.becomes(await shop.make(other.id), Phase.FAILED, "Refunded")


@pytest.mark.parametrize(
    ("stale", "shown"),
    [
        ({"status": "open", "payment_status": "unpaid"}, "SessionOpen"),
        ({"payment_status": "unpaid", "payment_intent": None}, "PaymentProcessing"),
        (
            {
                "payment_status": "unpaid",
                "payment_intent": {"id": "pi_1", "status": "requires_payment_method", "last_payment_error": {}},
            },
            "PaymentProcessing",
        ),
    ],
)
async def test_an_answer_that_lags_its_event_is_asked_for_again(shop: Shop, stale: dict[str, Any], shown: str) -> None:
    """Within seconds, not hours; and nobody is mailed on the word of the older one."""
    shop.stripe.faults.set([Alter(fields=stale, times=1)])
    async with at_work(shop, recheck_interval=timedelta(hours=6)):
        session, _ = shop.stripe.world.play(Order())
        name = await shop.make(session.id, PaymentStatus.PAID)
        await shop.becomes(name, Phase.FULFILLED)
    assert await shop.events(name) == [("Normal", shown), ("Normal", "Fulfilled")]
    assert shop.mailbox.mails == ()


ITEM = {"id": "li_7", "object": "item", "description": "Mug", "quantity": 1, "price": None}


@pytest.mark.parametrize(
    "answer",
    [
        Alter(fields={"status": None}),
        Alter(fields={}, without=("status", "metadata", "line_items", "payment_method_types", "mode", "id")),
        Alter(fields={"metadata": {"cart": "c1", "discount": None, "seats": 1}}),
        Alter(fields={"metadata": []}),
        Alter(fields={"metadata": None, "customer_details": None, "collected_information": None}),
        Alter(fields={"line_items": None}),
        Alter(fields={"line_items": [{"price": "price_1", "quantity": 2}]}),
        Alter(fields={"line_items": {"object": "list", "data": [], "has_more": True}}),
        Alter(fields={"line_items": {"object": "list", "data": [{"price": None}], "has_more": False}}),
        Alter(fields={"line_items": {"data": None}}),
        Alter(fields={"customer_details": {"email": 7, "address": "x"}, "amount_total": "10", "currency": 5}),
        Alter(fields={"payment_intent": None, "invoice": {"id": 5}}),
        Alter(fields={"payment_intent": {"id": "pi_1", "status": "succeeded", "latest_charge": []}}),
    ],
    ids=lambda each: f"{each.fields}{each.without}"[:60],
)
async def test_an_answer_of_an_odd_form_strands_no_order(shop: Shop, answer: Alter) -> None:
    """Null, absent and wrongly typed fields that say nothing of the payment; line items that lack are asked for."""
    session, _ = shop.stripe.world.play(Order(line_items=12))
    shop.stripe.faults.set([replace(answer, times=1)])  # the Session, and not the line items that are asked for then
    async with at_work(shop) as operator:
        name = await shop.make(session.id)
        request = await shop.becomes(name, Phase.FULFILLED)
        for error in ("stripe-unavailable", "session-unreadable", "unexpected"):
            assert await operator.metric("fulfillment_reconcile_errors_total", error=error) == 0
    assert request.status is not None
    assert request.status.order is not None
    assert [each.id for each in request.status.order.line_items] == [each.id for each in session.line_items]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Alter(fields={"payment_status": None}), "the Session's payment_status is none that this version knows"),
        (Alter(fields={"status": "paused"}), "the Session's status is none that this version knows"),
        (Alter(fields={"line_items": None, "data": [{}]}), "Stripe's list of the Session's line items has no end"),
    ],
)
async def test_what_cannot_be_judged_is_its_own_orders_failure(shop: Shop, answer: Alter, message: str) -> None:
    """Not Stripe's: another reason, another kind of error, three times; others are served, and a retry asks again."""
    async with at_work(shop) as operator:
        shop.stripe.faults.set([answer])
        name = await shop.sell(Order(line_items=2))
        request = await shop.becomes(name, Phase.FAILED, "SessionUnreadable")
        shop.stripe.faults.set([])
        errors = "fulfillment_reconcile_errors_total"
        assert await operator.metric(errors, error="session-unreadable") == 3
        assert await operator.metric(errors, error="stripe-unavailable") == 0
        await shop.annotate(name, retry="1")
        await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    assert request.status.message.startswith(message)
    assert await shop.events(name) == [("Warning", "SessionUnreadable"), ("Normal", "Fulfilled")]


async def test_a_payment_under_way_is_told_to_nobody_as_failed(shop: Shop) -> None:
    """It failed, and the buyer tries again: it may succeed or fail once more, and then the customer is mailed."""
    world = shop.stripe.world
    async with at_work(shop):
        session, _ = world.play(Order(outcome=Outcome.UNPAID))
        world.settle(session.id, Settlement.RETRIED)
        name = await shop.make(session.id, PaymentStatus.FAILED)
        await shop.becomes(name, Phase.AWAITING_PAYMENT, "PaymentProcessing")
        assert shop.mailbox.mails == ()
        world.settle(session.id, Settlement.FAILED)
        await shop.becomes(name, Phase.FAILED, "PaymentFailed")
    assert len(shop.mailbox.mails) == 1


async def test_a_trial_is_handed_over(shop: Shop) -> None:
    """Without saying that it costs nothing."""
    async with at_work(shop):
        name = await shop.sell(Order(mode=Mode.SUBSCRIPTION, outcome=Outcome.TRIAL), PaymentStatus.NO_PAYMENT_REQUIRED)
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    paid = request.status.condition(ConditionType.PAID)
    assert paid is not None
    assert (paid.status, paid.reason) == ("True", "NoPaymentRequired")
    assert "costs nothing" not in paid.message
