"""What comes after Checkout reaches the request of its order: the webhook service before a real API server."""

from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from fulfillment_api.names import request_name
from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import Phase, Reason, Status
from support.running_webhook import RunningWebhook
from support.stripe_events import SESSION, charge_event, snapshot

NAME = request_name(SESSION["id"])
SOLD = snapshot()
REFUNDED, DISPUTED = charge_event("charge.refunded"), charge_event("charge.dispute.created")
EXPIRED = snapshot("checkout.session.expired")


@pytest.mark.parametrize(
    ("events", "results", "kind"),
    [
        ([REFUNDED], ["updated"], ReversalKind.REFUNDED),
        ([DISPUTED], ["updated"], ReversalKind.DISPUTED),
        ([EXPIRED], ["updated"], None),
        ([REFUNDED, REFUNDED], ["updated", "unchanged"], ReversalKind.REFUNDED),
        ([DISPUTED, REFUNDED], ["updated", "updated"], ReversalKind.REFUNDED),
        ([REFUNDED, EXPIRED], ["updated", "unchanged"], ReversalKind.REFUNDED),
        ([EXPIRED, DISPUTED], ["updated", "updated"], ReversalKind.DISPUTED),
    ],
)
async def test_a_hint_reaches_its_order(
    webhook: RunningWebhook, events: Sequence[dict[str, Any]], results: Sequence[str], kind: ReversalKind | None
) -> None:
    """The newest stands in spec; a duplicate writes nothing."""
    await webhook.send(SOLD)
    assert [(await webhook.send(event))[1]["result"] for event in events] == results
    spec = (await webhook.stored(NAME)).spec
    hint = spec.expiry if kind is None else spec.reversal
    assert hint is not None
    assert hint.event is not None
    assert hint.observed_at is not None
    assert kind == (spec.reversal.kind if spec.reversal else None)


async def test_a_hint_reaches_a_fulfilled_order(webhook: RunningWebhook) -> None:
    """But not that its Session expired: of one that was completed that is nonsense."""
    await webhook.send(SOLD)
    fulfilled = Status(phase=Phase.FULFILLED, reason=Reason.FULFILLED, message="", observed_generation=1, conditions=[])
    await webhook.requests.patch_status(NAME, fulfilled)
    assert (await webhook.send(EXPIRED))[1]["result"] == "unchanged"
    assert (await webhook.send(REFUNDED))[1]["result"] == "updated"
    assert (await webhook.stored(NAME)).metadata.generation == 2


REFUND_FAILED = charge_event("refund.failed", id="re_1", charge="ch_1", status="failed") | {"id": "evt_3"}
AGAIN = REFUNDED | {"id": "evt_4"}


@pytest.mark.parametrize(
    ("events", "results", "stands"),
    [
        ([REFUNDED, REFUND_FAILED, AGAIN], ["updated", "updated", "updated"], "evt_4"),
        ([REFUNDED, REFUNDED, AGAIN, AGAIN], ["updated", "unchanged", "updated", "unchanged"], "evt_4"),
    ],
)
async def test_a_newer_event_is_news_although_one_of_its_kind_was_seen(
    webhook: RunningWebhook, events: Sequence[dict[str, Any]], results: Sequence[str], stands: str
) -> None:
    """As a second refund, after one that failed; a duplicate writes nothing."""
    await webhook.send(SOLD)
    assert [(await webhook.send(event))[1]["result"] for event in events] == results
    reversal = (await webhook.stored(NAME)).spec.reversal
    assert reversal is not None
    assert reversal.event == stands


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (charge_event("charge.refunded", payment_intent="pi_other"), "no-order"),
        (charge_event("charge.dispute.created", payment_intent="pi_other"), "no-order"),
        (charge_event("charge.refunded") | {"account": "acct_2"}, "no-order"),
        (charge_event("charge.refunded") | {"livemode": True}, "no-order"),
        (charge_event("charge.dispute.created", payment_intent=None), "no-payment-intent"),
        (charge_event("refund.updated", status="succeeded"), "refund-updated"),
        (snapshot("checkout.session.expired", session={"id": "cs_test_other"}), "expired"),
        (snapshot("checkout.session.expired", livemode=True), "expired"),
    ],
)
async def test_a_hint_for_no_order_is_acknowledged(webhook: RunningWebhook, event: dict[str, Any], reason: str) -> None:
    """Else Stripe would send it for days; it is answered and counted, from 0, and the order that is there stays."""
    await webhook.send(SOLD)
    labels = {"type": event["type"], "outcome": reason}
    assert await webhook.metric("fulfillment_webhook_events_total", **labels) == 0
    assert await webhook.send(event) == (200, {"result": "ignored", "reason": reason})
    assert await webhook.metric("fulfillment_webhook_events_total", **labels) == 1
    assert (await webhook.stored(NAME)).spec.reversal is None


async def test_an_order_of_another_account_is_found_by_its_own(webhook: RunningWebhook) -> None:
    """The account is part of the order's identity."""
    await webhook.send(snapshot(account="acct_1"))
    assert (await webhook.send(REFUNDED))[1]["result"] == "ignored"
    assert await webhook.send(REFUNDED | {"account": "acct_1"}) == (200, {"result": "updated"})


async def test_an_order_whose_events_name_no_payment_is_found_once_stripe_was_asked(webhook: RunningWebhook) -> None:
    """As one that a thin event made, or a subscription, whose invoices are paid: the operator writes it into status."""
    await webhook.send(snapshot(session={"payment_intent": None, "subscription": "sub_1", "mode": "subscription"}))
    assert await webhook.send(REFUNDED) == (200, {"result": "ignored", "reason": "no-order"})
    reconciled = Status(
        phase=Phase.FULFILLED,
        reason="Fulfilled",
        message="…",
        observed_generation=1,
        conditions=[],
        payment_intent=REFUNDED["data"]["object"]["payment_intent"],
    )
    await webhook.requests.patch_status(NAME, reconciled)
    assert await webhook.send(REFUNDED) == (200, {"result": "updated"})
    reversal = (await webhook.stored(NAME)).spec.reversal
    assert reversal is not None
    assert reversal.kind is ReversalKind.REFUNDED


@pytest.mark.parametrize(
    ("event", "names"),
    [
        (EXPIRED, {"session": SESSION["id"]}),
        (
            charge_event("charge.refunded", id="ch_1", payment_intent="pi_other"),
            {"charge": "ch_1", "payment_intent": "pi_other"},
        ),
        (charge_event("charge.refunded", id="ch_1", payment_intent=None), {"charge": "ch_1"}),
        (
            charge_event("charge.dispute.created", id="du_1", charge="ch_1", livemode=True),
            {"charge": "ch_1", "payment_intent": SESSION["payment_intent"]},
        ),
        (snapshot("invoice.paid", session={"id": "in_1"}), {}),
    ],
)
async def test_the_log_says_what_an_ignored_event_is_about(
    webhook: RunningWebhook, event: dict[str, Any], names: dict[str, str]
) -> None:
    """A Session, or the charge and the payment that were refunded or disputed: each by its own name."""
    with capture_logs() as logs:
        assert (await webhook.send(event))[1]["result"] == "ignored"
    (line,) = logs
    assert (line["event"], line["event_id"], line["type"]) == ("webhook.ignored", event["id"], event["type"])
    assert {key: line[key] for key in ("session", "charge", "payment_intent") if key in line} == names
