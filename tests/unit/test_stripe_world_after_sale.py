"""What comes after a sale in the stand-in for Stripe: the charge, its refund, its dispute, and the events of both."""

import pytest

from fulfillment_local.stripe_world.charges import charge_object
from fulfillment_local.stripe_world.model import AfterSale, Mode, Order, Outcome, Settlement
from fulfillment_local.stripe_world.objects import snapshot_event_object, thin_event_object
from fulfillment_local.stripe_world.world import StripeWorld, TransitionError, new_world


@pytest.fixture
def world() -> StripeWorld:
    return new_world(seed=7, clock=lambda: 1_790_000_000.5)


@pytest.mark.parametrize(
    ("after", "kind", "refunded", "disputed"),
    [
        (AfterSale.REFUNDED, "charge.refunded", True, False),
        (AfterSale.PARTLY_REFUNDED, "charge.refunded", False, False),
        (AfterSale.DISPUTED, "charge.dispute.created", False, True),
    ],
)
def test_it_is_told_of_the_charge(
    world: StripeWorld, after: AfterSale, kind: str, refunded: bool, disputed: bool
) -> None:
    """The event names the PaymentIntent, and the charge shows what happened; the Session stays paid."""
    session, _ = world.play(Order())
    event = world.come_after(session.id, after)
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
    """Partly, and then all of it; each but once. An event keeps what it saw."""
    session, _ = world.play(Order())
    world.come_after(session.id, AfterSale.DISPUTED)
    part = world.come_after(session.id, AfterSale.PARTLY_REFUNDED)
    world.come_after(session.id, AfterSale.REFUNDED)
    for after in AfterSale:
        with pytest.raises(TransitionError, match=f"was {after} before"):
            world.come_after(session.id, after)
    assert snapshot_event_object(world.events[part.id])["data"]["object"]["refunded"] is False


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
        world.come_after(session.id, AfterSale.REFUNDED)


def test_a_subscription_is_refunded_by_its_invoice(world: StripeWorld) -> None:
    """Its Session names the invoice, and not the payment; the event names the payment alone."""
    session, _ = world.play(Order(mode=Mode.SUBSCRIPTION))
    intent = world.payment_of(session.invoice or "")
    assert intent is not None
    assert (session.payment_intent, world.payment_of(session.id)) == (None, intent)
    event = world.come_after(session.id, AfterSale.REFUNDED)
    assert snapshot_event_object(event)["data"]["object"]["payment_intent"] == intent.id


def test_a_delayed_payment_that_came_can_be_given_back(world: StripeWorld) -> None:
    """As a card's."""
    session, _ = world.play(Order(outcome=Outcome.UNPAID))
    world.settle(session.id, Settlement.SUCCEEDED)
    assert world.come_after(session.id, AfterSale.REFUNDED).type == "charge.refunded"
