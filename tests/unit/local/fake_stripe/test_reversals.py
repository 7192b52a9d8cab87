"""What comes after a sale in the stand-in for Stripe: the charge, its refund, its dispute, and the events of both."""

import pytest

from fulfillment_local.fake_stripe.charges import charge_object
from fulfillment_local.fake_stripe.model import AfterPayment, Mode, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.objects import snapshot_event_object, thin_event_object
from fulfillment_local.fake_stripe.world import StripeWorld, TransitionError, new_world


@pytest.fixture
def world() -> StripeWorld:
    return new_world(seed=7, clock=lambda: 1_790_000_000.5)


@pytest.mark.parametrize(
    ("after", "kind", "refunded", "disputed"),
    [
        (AfterPayment.REFUNDED, "charge.refunded", True, False),
        (AfterPayment.PARTLY_REFUNDED, "charge.refunded", False, False),
        (AfterPayment.DISPUTED, "charge.dispute.created", False, True),
    ],
)
def test_it_is_told_of_the_charge(
    world: StripeWorld, after: AfterPayment, kind: str, refunded: bool, disputed: bool
) -> None:
    """The event names the PaymentIntent, and the charge shows what happened; the Session stays paid."""
    session, _ = world.play(Order())
    event = world.play_after_payment(session.id, after)
    told = snapshot_event_object(event)
    assert told["type"] == kind
    assert told["data"]["object"]["payment_intent"] == session.payment_intent
    charge = charge_object(world.payment_intents[session.payment_intent or ""])
    assert (charge["refunded"], charge["disputed"]) == (refunded, disputed)
    assert (charge["amount_refunded"] > 0) is (kind == "charge.refunded")
    assert world.sessions[session.id].payment_status == "paid"
    thin = thin_event_object(event)
    assert thin["type"] == f"v1.{kind}"
    assert thin["related_object"]["id"] == told["data"]["object"]["id"]


def test_an_order_can_be_disputed_and_refunded(world: StripeWorld) -> None:
    """Partly, and then all of it; nothing that cannot come of what came before. An event keeps what it saw."""
    session, _ = world.play(Order())
    world.play_after_payment(session.id, AfterPayment.DISPUTED)
    part = world.play_after_payment(session.id, AfterPayment.PARTLY_REFUNDED)
    world.play_after_payment(session.id, AfterPayment.REFUNDED)
    world.play_after_payment(session.id, AfterPayment.FRAUD_WARNING)
    possible = {
        AfterPayment.REFUND_FAILED,
        AfterPayment.REFUND_CANCELED,
        AfterPayment.DISPUTE_WON,
        AfterPayment.DISPUTE_REINSTATED,
        AfterPayment.DISPUTE_LOST,
        AfterPayment.DISPUTE_PREVENTED,
    }
    for after in set(AfterPayment) - possible:
        with pytest.raises(
            TransitionError, match=f"cannot be {after}: 5900 of 5900 is refunded, and its disputes are "
        ):
            world.play_after_payment(session.id, after)
    assert snapshot_event_object(world.events[part.id])["data"]["object"]["refunded"] is False


@pytest.mark.parametrize(
    ("comes", "kind", "shown"),
    [
        ([AfterPayment.REFUNDED, AfterPayment.REFUND_FAILED], "refund.failed", ("refund", "failed")),
        ([AfterPayment.REFUNDED, AfterPayment.REFUND_CANCELED], "refund.updated", ("refund", "canceled")),
        ([AfterPayment.INQUIRY], "charge.dispute.created", ("dispute", "warning_needs_response")),
        ([AfterPayment.INQUIRY, AfterPayment.INQUIRY_CLOSED], "charge.dispute.closed", ("dispute", "warning_closed")),
        (
            [AfterPayment.INQUIRY, AfterPayment.DISPUTED],
            "charge.dispute.funds_withdrawn",
            ("dispute", "needs_response"),
        ),
        ([AfterPayment.DISPUTED, AfterPayment.DISPUTE_WON], "charge.dispute.closed", ("dispute", "won")),
        (
            [AfterPayment.DISPUTED, AfterPayment.DISPUTE_REINSTATED],
            "charge.dispute.funds_reinstated",
            ("dispute", "won"),
        ),
        ([AfterPayment.DISPUTED, AfterPayment.DISPUTE_LOST], "charge.dispute.closed", ("dispute", "lost")),
        ([AfterPayment.DISPUTED, AfterPayment.DISPUTE_PREVENTED], "charge.dispute.closed", ("dispute", "prevented")),
        ([AfterPayment.FRAUD_WARNING], "radar.early_fraud_warning.created", ("radar.early_fraud_warning", None)),
    ],
)
def test_a_refund_and_a_dispute_go_on(
    world: StripeWorld, comes: list[AfterPayment], kind: str, shown: tuple[str, str | None]
) -> None:
    """Each by an event of Stripe's about what changed, which names the payment."""
    session, _ = world.play(Order())
    event = [world.play_after_payment(session.id, each) for each in comes][-1]
    about = snapshot_event_object(event)["data"]["object"]
    assert (event.type, about["object"], about.get("status")) == (kind, *shown)
    assert about["payment_intent"] == session.payment_intent
    assert thin_event_object(event)["related_object"]["id"] == about["id"]
    charge = charge_object(world.payment_intents[session.payment_intent or ""])
    assert charge["amount_refunded"] == 0
    assert charge["disputed"] is (shown[0] == "dispute")


@pytest.mark.parametrize(
    "order",
    [
        Order(outcome=Outcome.UNPAID),
        Order(outcome=Outcome.FREE),
        Order(outcome=Outcome.OPEN),
        Order(outcome=Outcome.FREE, mode=Mode.SUBSCRIPTION),
    ],
)
def test_what_was_not_paid_cannot_be_given_back(world: StripeWorld, order: Order) -> None:
    """No payment, no refund."""
    session, _ = world.play(order)
    with pytest.raises(TransitionError, match="no payment of"):
        world.play_after_payment(session.id, AfterPayment.REFUNDED)


def test_a_subscription_is_refunded_by_its_invoice(world: StripeWorld) -> None:
    """Its Session names the invoice, and not the payment; the event names the payment alone."""
    session, _ = world.play(Order(mode=Mode.SUBSCRIPTION))
    intent = world.payment_of(session.invoice or "")
    assert intent is not None
    assert (session.payment_intent, world.payment_of(session.id)) == (None, intent)
    event = world.play_after_payment(session.id, AfterPayment.REFUNDED)
    assert snapshot_event_object(event)["data"]["object"]["payment_intent"] == intent.id


def test_a_delayed_payment_that_came_can_be_given_back(world: StripeWorld) -> None:
    """As a card's."""
    session, _ = world.play(Order(outcome=Outcome.UNPAID))
    world.settle(session.id, Settlement.SUCCEEDED)
    assert world.play_after_payment(session.id, AfterPayment.REFUNDED).type == "charge.refunded"
