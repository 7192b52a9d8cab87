"""Receipts, with a running operator, a real API server and a real SMTP server."""

import pytest
from kubernetes.aio import client

from fulfillment_api.names import COMPLETE
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import ConditionStatus, ConditionType, Phase
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement
from fulfillment_local.fake_stripe.page import CheckoutPage, Presentment
from support.running_operator import ADDRESS, Shop, at_work

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


async def test_a_receipt_names_what_the_buyer_paid(shop: Shop) -> None:
    """Adaptive Pricing: in the buyer's currency and as their locale writes numbers; the cluster keeps both amounts."""
    page = CheckoutPage(presentment=Presentment(amount=1634, currency="jpy"), locale="ja")
    async with at_work(shop, receipts=True):
        request = await shop.becomes(await shop.sell(Order(amount=1099, page=page)), Phase.FULFILLED)
    (mail,) = shop.mailbox.mails
    for part in (mail.text, mail.html):
        assert part is not None
        assert "1,634 JPY" in part
        assert "10.99" not in part
    assert request.status is not None
    assert request.status.order is not None
    amount, presentment = request.status.order.amount, request.status.order.presentment
    assert (amount and amount.display, presentment and presentment.display) == ("10.99 USD", "1634 JPY")


async def test_the_mail_of_a_failed_payment_names_what_the_buyer_saw(shop: Shop) -> None:
    """As Checkout showed it; without a locale, as the cluster shows it."""
    page = CheckoutPage(presentment=Presentment(amount=1634, currency="jpy"), locale="auto")
    session, _ = shop.stripe.world.play(Order(outcome=Outcome.UNPAID, amount=1099, page=page))
    shop.stripe.world.settle(session.id, Settlement.FAILED)
    async with at_work(shop):
        await shop.becomes(await shop.make(session.id, PaymentStatus.FAILED), Phase.FAILED, "PaymentFailed")
    (mail,) = shop.mailbox.mails
    assert mail.text is not None
    assert "your payment of 1634 JPY did not go through" in mail.text


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
        await shop.becomes(name, Phase.FULFILLED, "ManuallyCompleted")
    assert shop.mailbox.mails == ()
