"""Receipts, with a running operator, a real API server and a real SMTP server."""

import pytest
from kubernetes.aio import client

from fulfillment_api.names import COMPLETE
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import ConditionStatus, ConditionType, Phase
from fulfillment_local.stripe_world.model import Order, Outcome
from running_operator import ADDRESS, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")


def notified(request: FulfillmentRequest) -> tuple[ConditionStatus, str] | None:
    found = request.status and request.status.condition(ConditionType.CUSTOMER_NOTIFIED)
    return (found.status, found.reason) if found else None


async def test_the_customer_of_a_fulfilled_order_is_sent_one(shop: Shop) -> None:
    """Once, and the condition says so."""
    async with at_work(shop, receipts=True) as operator:
        name = await shop.sell(Order(email="jenny@example.com"))
        request = await shop.becomes(name, Phase.FULFILLED)
        assert await operator.metric("fulfillment_mails_total", mail="receipt", reason="MailSent") == 1
    assert notified(request) == (ConditionStatus.TRUE, "MailSent")
    (mail,) = shop.mailbox.mails
    assert (mail.subject, mail.recipients) == ("Your order at Harbour Goods is complete", ("jenny@example.com",))


async def test_a_mail_that_fails_holds_no_order_and_is_not_tried_again(shop: Shop) -> None:
    """The condition and the metrics say what came of it."""
    shop.mailbox.trouble.deferrals = 1
    async with at_work(shop, receipts=True) as operator:
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FULFILLED)
        assert await operator.metric("fulfillment_mails_total", mail="receipt", reason="MailUnavailable") == 1
    assert notified(request) == (ConditionStatus.FALSE, "MailUnavailable")
    async with at_work(shop, receipts=True):
        await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
    assert len(shop.mailbox.mails) == 1


async def test_whatever_the_customer_typed_as_an_address_the_order_is_fulfilled(shop: Shop) -> None:
    """Its backend did its part: the order is not handed over again."""
    async with at_work(shop, receipts=True) as operator:
        request = await shop.becomes(await shop.sell(Order(email="jenny@example.com.")), Phase.FULFILLED)
        assert await operator.metric("fulfillment_backend_attempts_total", backend="log", result="done") == 1
    assert notified(request) == (ConditionStatus.FALSE, "NoEmailAddress")


async def test_none_is_sent_unless_asked_for(shop: Shop) -> None:
    """Stripe can send its own."""
    async with at_work(shop):
        request = await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
    assert notified(request) is None
    assert shop.mailbox.mails == ()


async def test_none_is_sent_of_an_order_completed_by_hand(shop: Shop) -> None:
    """A person who does that can tell the customer."""
    async with at_work(shop, receipts=True):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        await shop.becomes(name, Phase.AWAITING_PAYMENT)
        await client.CustomObjectsApi(shop.api).patch_namespaced_custom_object(
            **ADDRESS,
            namespace=shop.namespace,
            name=name,
            body={"metadata": {"annotations": {COMPLETE: "cash"}}},
            _content_type="application/merge-patch+json",
        )
        await shop.becomes(name, Phase.FULFILLED, "CompletedByHand")
    assert shop.mailbox.mails == ()
