"""What comes after Checkout reaches the request of its order: the webhook service before a real API server."""

from collections.abc import Sequence
from typing import Any

import pytest

from fulfillment_api.names import request_name
from fulfillment_api.spec import SaleKind
from fulfillment_api.status import Phase, Reason, Status
from running_webhook import RunningWebhook
from stripe_events import SESSION, charge_event, snapshot

NAME = request_name(SESSION["id"])
SOLD = snapshot()
REFUNDED, DISPUTED = charge_event("charge.refunded"), charge_event("charge.dispute.created")
EXPIRED = snapshot("checkout.session.expired")


@pytest.mark.parametrize(
    ("events", "results", "kind"),
    [
        ([REFUNDED], ["updated"], SaleKind.REFUNDED),
        ([DISPUTED], ["updated"], SaleKind.DISPUTED),
        ([EXPIRED], ["updated"], SaleKind.EXPIRED),
        ([REFUNDED, REFUNDED], ["updated", "unchanged"], SaleKind.REFUNDED),
        ([DISPUTED, REFUNDED], ["updated", "updated"], SaleKind.REFUNDED),
        ([REFUNDED, EXPIRED], ["updated", "unchanged"], SaleKind.REFUNDED),
        ([EXPIRED, DISPUTED], ["updated", "updated"], SaleKind.DISPUTED),
    ],
)
async def test_news_reaches_its_order(
    webhook: RunningWebhook, events: Sequence[dict[str, Any]], results: Sequence[str], kind: SaleKind
) -> None:
    """The newest stands in spec; a duplicate writes nothing."""
    await webhook.send(SOLD)
    assert [(await webhook.send(event))[1]["result"] for event in events] == results
    sale = (await webhook.stored(NAME)).spec.sale
    assert sale is not None
    assert sale.kind is kind
    assert sale.event is not None
    assert sale.observed_at is not None


async def test_news_reaches_a_fulfilled_order(webhook: RunningWebhook) -> None:
    """But not that its Session expired: of one that was completed that is nonsense."""
    await webhook.send(SOLD)
    fulfilled = Status(phase=Phase.FULFILLED, reason=Reason.FULFILLED, message="", observed_generation=1, conditions=[])
    await webhook.requests.write_status(NAME, fulfilled)
    assert (await webhook.send(EXPIRED))[1]["result"] == "unchanged"
    assert (await webhook.send(REFUNDED))[1]["result"] == "updated"
    assert (await webhook.stored(NAME)).metadata.generation == 2


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (charge_event("charge.refunded", payment_intent="pi_other"), "no-order"),
        (charge_event("charge.dispute.created", payment_intent="pi_other"), "no-order"),
        (charge_event("charge.refunded") | {"account": "acct_2"}, "no-order"),
        (charge_event("charge.refunded") | {"livemode": True}, "no-order"),
        (charge_event("charge.dispute.created", payment_intent=None), "no-payment-intent"),
        (charge_event("charge.refunded", refunded=False), "partial-refund"),
        (snapshot("checkout.session.expired", session={"id": "cs_test_other"}), "expired"),
        (snapshot("checkout.session.expired", livemode=True), "expired"),
    ],
)
async def test_news_of_no_order_is_acknowledged(webhook: RunningWebhook, event: dict[str, Any], reason: str) -> None:
    """Else Stripe would send it for days; it is told and counted, from 0, and the order there is stays as it was."""
    await webhook.send(SOLD)
    labels = {"type": event["type"], "outcome": reason}
    assert await webhook.metric("fulfillment_webhook_events_total", **labels) == 0
    assert await webhook.send(event) == (200, {"result": "ignored", "reason": reason})
    assert await webhook.metric("fulfillment_webhook_events_total", **labels) == 1
    assert (await webhook.stored(NAME)).spec.sale is None


async def test_an_order_of_another_account_is_found_by_its_own(webhook: RunningWebhook) -> None:
    """The account is part of the order's identity."""
    await webhook.send(snapshot(account="acct_1"))
    assert (await webhook.send(REFUNDED))[1]["result"] == "ignored"
    assert await webhook.send(REFUNDED | {"account": "acct_1"}) == (200, {"result": "updated"})


async def test_an_order_whose_events_name_no_payment_is_found_once_stripe_was_asked(webhook: RunningWebhook) -> None:
    """As one that a thin event made, or a subscription, whose invoices are paid: the operator writes it into status."""
    await webhook.send(snapshot(session={"payment_intent": None, "subscription": "sub_1", "mode": "subscription"}))
    assert await webhook.send(REFUNDED) == (200, {"result": "ignored", "reason": "no-order"})
    looked_at = Status(
        phase=Phase.FULFILLED,
        reason="Fulfilled",
        message="…",
        observed_generation=1,
        conditions=[],
        payment_intent=REFUNDED["data"]["object"]["payment_intent"],
    )
    await webhook.requests.write_status(NAME, looked_at)
    assert await webhook.send(REFUNDED) == (200, {"result": "updated"})
    sale = (await webhook.stored(NAME)).spec.sale
    assert sale is not None
    assert sale.kind is SaleKind.REFUNDED
