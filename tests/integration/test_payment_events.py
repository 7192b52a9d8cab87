"""What becomes of an authorized payment reaches the request of its order: the service before a real API server."""

from collections.abc import Sequence
from typing import Any

import pytest

from fulfillment_api.names import request_name
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase, Reason, Status
from support.running_webhook import RunningWebhook
from support.stripe_events import SESSION, charge_event, payment_intent_event, snapshot

NAME = request_name(SESSION["id"])
AUTHORIZED = snapshot(session={"payment_status": "unpaid"})
CAPTURED = charge_event("charge.captured")
SUCCEEDED = payment_intent_event("payment_intent.succeeded") | {"id": "evt_3"}
CANCELED = payment_intent_event("payment_intent.canceled")
PARTLY_FUNDED = payment_intent_event("payment_intent.partially_funded") | {"id": "evt_5"}
LAPSED = charge_event("charge.expired") | {"id": "evt_3"}
FAILED = snapshot("checkout.session.async_payment_failed", id="evt_4")


def status(phase: Phase, reason: Reason) -> Status:
    return Status(phase=phase, reason=reason, message="", observed_generation=1, conditions=[])


@pytest.mark.parametrize(
    ("events", "results", "payment"),
    [
        ([CAPTURED], ["updated"], PaymentStatus.PAID),
        ([CAPTURED, CAPTURED], ["updated", "unchanged"], PaymentStatus.PAID),
        ([SUCCEEDED, CAPTURED], ["updated", "unchanged"], PaymentStatus.PAID),
        ([CANCELED], ["updated"], PaymentStatus.CANCELED),
        ([LAPSED, CANCELED], ["updated", "unchanged"], PaymentStatus.CANCELED),
        ([CANCELED, CAPTURED], ["updated", "updated"], PaymentStatus.PAID),
        ([CAPTURED, CANCELED], ["updated", "unchanged"], PaymentStatus.PAID),
        ([FAILED, CANCELED], ["updated", "updated"], PaymentStatus.CANCELED),
        ([CANCELED, FAILED], ["updated", "unchanged"], PaymentStatus.CANCELED),
    ],
)
async def test_how_an_authorization_ended_reaches_its_order(
    webhook: RunningWebhook, events: Sequence[dict[str, Any]], results: Sequence[str], payment: PaymentStatus
) -> None:
    """In any order: what is paid stays so, and the API server allows what the service writes."""
    await webhook.send(AUTHORIZED)
    assert [(await webhook.send(event))[1]["result"] for event in events] == results
    assert (await webhook.stored(NAME)).spec.payment.status is payment


@pytest.mark.parametrize(
    ("before", "event", "expected"),
    [
        (status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_REQUIRES_CAPTURE), SUCCEEDED, "updated"),
        (status(Phase.FULFILLED, Reason.FULFILLED), SUCCEEDED, "unchanged"),
        (status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_REQUIRES_CAPTURE), PARTLY_FUNDED, "unchanged"),
        (status(Phase.FAILED, Reason.FULFILLMENT_FAILED), SUCCEEDED, "unchanged"),
    ],
)
async def test_a_second_event_is_news_while_the_order_waits(
    webhook: RunningWebhook, before: Status, event: dict[str, Any], expected: str
) -> None:
    """Of several captures the last one counts, and Stripe's answer may have lagged the first event."""
    await webhook.send(AUTHORIZED)
    await webhook.send(CAPTURED)
    await webhook.requests.patch_status(NAME, before)
    assert (await webhook.send(event))[1]["result"] == expected


async def test_a_part_of_a_bank_transfer_is_news_while_the_order_waits(webhook: RunningWebhook) -> None:
    """The payment is unpaid as before; so that Stripe is asked how much has come, each part is another event."""
    await webhook.send(AUTHORIZED)
    await webhook.requests.patch_status(NAME, status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_REQUIRES_ACTION))
    parts = [PARTLY_FUNDED, PARTLY_FUNDED, PARTLY_FUNDED | {"id": "evt_6"}]
    assert [(await webhook.send(event))[1]["result"] for event in parts] == ["updated", "unchanged", "updated"]
    assert (await webhook.stored(NAME)).spec.payment.status is PaymentStatus.UNPAID


async def test_a_failed_payment_that_is_canceled_stays_a_failed_one(webhook: RunningWebhook) -> None:
    """The customer was told; what the seller then tidies up at Stripe is no news."""
    await webhook.send(AUTHORIZED)
    await webhook.requests.patch_status(NAME, status(Phase.FAILED, Reason.PAYMENT_FAILED))
    assert (await webhook.send(CANCELED))[1]["result"] == "unchanged"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (charge_event("charge.captured", payment_intent="pi_other"), "no-order"),
        (payment_intent_event("payment_intent.succeeded", id="pi_other"), "no-order"),
        (charge_event("charge.expired") | {"account": "acct_2"}, "no-order"),
        (charge_event("charge.captured", payment_intent=None), "no-payment-intent"),
    ],
)
async def test_a_payment_of_no_order_is_acknowledged(
    webhook: RunningWebhook, event: dict[str, Any], reason: str
) -> None:
    """It is answered and counted, from 0, and the order that is there stays."""
    await webhook.send(AUTHORIZED)
    labels = {"type": event["type"], "outcome": reason}
    assert await webhook.metric("fulfillment_webhook_events_total", **labels) == 0
    assert await webhook.send(event) == (200, {"result": "ignored", "reason": reason})
    assert await webhook.metric("fulfillment_webhook_events_total", **labels) == 1
    assert (await webhook.stored(NAME)).spec.payment.status is PaymentStatus.UNPAID
