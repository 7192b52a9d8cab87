"""Every row of the reconcile table, on a real API server, with a stand-in for Stripe and real mail."""

from datetime import timedelta

import pytest

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase
from fulfillment_local.fake_stripe.model import Mode, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.server import stripe_server
from fulfillment_local.fake_stripe.traffic import Cut, Fail
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_runtime.settings import Secret
from support.running_operator import LEASE_THAT_IS_KEPT, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")


def conditions(request: FulfillmentRequest) -> dict[str, str]:
    assert request.status is not None
    return {each.type: each.status for each in request.status.conditions}


@pytest.mark.parametrize(
    ("order", "hint"),
    [
        pytest.param(Order(), PaymentStatus.PAID, id="paid"),
        pytest.param(Order(outcome=Outcome.FREE), PaymentStatus.NO_PAYMENT_REQUIRED, id="free"),
        pytest.param(Order(mode=Mode.SUBSCRIPTION), PaymentStatus.PAID, id="subscription"),
        pytest.param(Order(), PaymentStatus.FAILED, id="Stripe says paid though the hint said failed"),
        pytest.param(Order(), PaymentStatus.UNPAID, id="Stripe says paid though the hint said unpaid"),
    ],
)
async def test_a_paid_order_is_fulfilled(shop: Shop, order: Order, hint: PaymentStatus) -> None:
    """It is fulfilled with its copy in status, by one PATCH, and says so in conditions and an Event."""
    before = await shop.api_server_patches()
    async with at_work(shop) as operator:
        name = await shop.sell(order, hint)
        request = await shop.becomes(name, Phase.FULFILLED, "Fulfilled")
        await operator.reaches(1, "fulfillment_transitions_total", phase="fulfilled", reason="Fulfilled")
    assert conditions(request) == {"Paid": "True", "Fulfilled": "True", "Ready": "True", "Stalled": "False"}
    assert request.status is not None
    assert request.status.order is not None
    session = shop.stripe.world.sessions[request.spec.session.id]
    assert [item.id for item in request.status.order.line_items] == [item.id for item in session.line_items]
    assert request.status.order.amount is not None
    assert request.status.order.amount.total == session.total
    assert await shop.api_server_patches() - before == 1
    assert await shop.events(name) == [("Normal", "Fulfilled")]


async def test_an_order_of_137_line_items_is_copied_whole(shop: Shop) -> None:
    """Through every page, in order, in one PATCH."""
    async with at_work(shop):
        request = await shop.becomes(await shop.sell(Order(line_items=137)), Phase.FULFILLED)
    assert request.status is not None
    assert request.status.order is not None
    assert len({item.id for item in request.status.order.line_items}) == 137


async def test_a_delayed_payment_that_succeeds(shop: Shop) -> None:
    """It awaits the payment, and is fulfilled on the news of it."""
    async with at_work(shop):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT, "PaymentProcessing")
        assert conditions(waiting) == {"Paid": "False", "Fulfilled": "False", "Ready": "False", "Stalled": "False"}
        shop.stripe.world.settle(waiting.spec.session.id, Settlement.SUCCEEDED)
        await shop.hint(name, PaymentStatus.PAID)
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    assert request.status.observed_generation == request.metadata.generation == 2
    assert await shop.events(name) == [("Normal", "PaymentProcessing"), ("Normal", "Fulfilled")]


async def test_a_delayed_payment_that_fails(shop: Shop) -> None:
    """The customer is asked once for a new order, and the request ends failed."""
    async with at_work(shop) as operator:
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT)
        shop.stripe.world.settle(waiting.spec.session.id, Settlement.FAILED)
        await shop.hint(name, PaymentStatus.FAILED)
        request = await shop.becomes(name, Phase.FAILED, "PaymentFailed")
        assert await operator.metric("fulfillment_mails_total", mail="payment-failed", reason="MailSent") == 1
        failed = {"phase": "failed", "reason": "PaymentFailed", "acknowledged": "false"}
        await operator.reaches(1, "fulfillment_requests", **failed)
    assert conditions(request) == {
        "Paid": "False",
        "Fulfilled": "False",
        "CustomerNotified": "True",
        "Ready": "False",
        "Stalled": "True",
    }
    buyer = shop.stripe.world.sessions[request.spec.session.id].buyer
    assert [mail.recipients for mail in shop.mailbox.mails] == [(buyer.email,)]
    assert await shop.events(name) == [("Normal", "PaymentProcessing"), ("Warning", "PaymentFailed")]
    assert buyer.email not in str(request)
    assert buyer.name not in str(request)


async def test_a_failed_payment_that_is_paid_after_all(shop: Shop) -> None:
    """Failed yields to paid, and to nothing else."""
    async with at_work(shop):
        name = await shop.sell_in_vain(Order(outcome=Outcome.UNPAID))
        failed = await shop.becomes(name, Phase.FAILED, "PaymentFailed")
        shop.stripe.world.settle(failed.spec.session.id, Settlement.SUCCEEDED)
        await shop.hint(name, PaymentStatus.PAID)
        request = await shop.becomes(name, Phase.FULFILLED)
    assert conditions(request)["CustomerNotified"] == "True"
    assert len(shop.mailbox.mails) == 1


async def test_a_lost_event_strands_no_order(shop: Shop) -> None:
    """An unpaid order is asked of Stripe again at a slow pace, without a write while nothing changes."""
    async with at_work(shop, recheck_interval=timedelta(seconds=1)):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT)
        session_id = waiting.spec.session.id
        shop.stripe.world.settle(session_id, Settlement.SUCCEEDED)
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.metadata.generation == 1
    assert await shop.events(name) == [("Normal", "PaymentProcessing"), ("Normal", "Fulfilled")]


async def test_a_buyer_without_an_address_is_not_mailed(shop: Shop) -> None:
    """The request ends failed all the same, and says that nobody was told."""
    async with at_work(shop):
        name = await shop.sell_in_vain(Order(outcome=Outcome.UNPAID, email=""))
        request = await shop.becomes(name, Phase.FAILED, "PaymentFailed")
    assert request.status is not None
    assert request.status.message == "the payment failed; Stripe has no e-mail address of the customer"


async def test_a_mail_that_is_put_off_is_sent_later(shop: Shop) -> None:
    """The order is failed at once, so that alerts fire; the mail follows, once."""
    shop.mailbox.trouble.deferrals = 1
    async with at_work(shop):
        name = await shop.sell_in_vain(Order(outcome=Outcome.UNPAID))
        first = await shop.becomes(name, Phase.FAILED, "PaymentFailed")
        assert conditions(first)["CustomerNotified"] == "Unknown"
        await shop.mailbox.wait_for(1)
        async with shop.watching(name) as changes:
            async for request in changes:
                if conditions(request)["CustomerNotified"] == "True":
                    break
    assert len(shop.mailbox.mails) == 1


async def test_without_a_mail_server_the_request_says_so(shop: Shop) -> None:
    """MailNotConfigured, and nothing is tried again."""
    async with at_work(shop, smtp_host=None):
        name = await shop.sell_in_vain(Order(outcome=Outcome.UNPAID))
        request = await shop.becomes(name, Phase.FAILED)
    assert request.status is not None
    assert request.status.message.endswith(
        "no mail was sent to the customer: FULFILLMENT_SMTP_HOST (mail.smtp.host) is not set"
    )


async def test_what_no_one_can_fulfill_ends_failed_while_others_are_served(shop: Shop) -> None:
    """Unknown Sessions, names that are not the Session's, live orders under a test key, and expired Sessions."""
    expired, _ = shop.stripe.world.play(Order(outcome=Outcome.EXPIRED))
    paid, _ = shop.stripe.world.play(Order())
    made = {
        await shop.make("cs_test_nonsense"): "SessionNotFound",
        await shop.make("cs_" + "x" * 252): "SessionNotFound",
        await shop.make(paid.id, name="cs-" + "a" * 26): "NameMismatch",
        await shop.make("cs_live_1", livemode=True): "LivemodeMismatch",
        await shop.make(expired.id): "SessionExpired",
    }
    async with at_work(shop):
        await shop.becomes(await shop.make(paid.id), Phase.FULFILLED)
        for name, reason in made.items():
            await shop.becomes(name, Phase.FAILED, reason)
    assert shop.mailbox.mails == ()


async def test_a_saved_card_is_no_failed_order(shop: Shop) -> None:
    """A thin event does not say that its Session is in setup mode: its request ends quietly, and nobody is called."""
    session, _ = shop.stripe.world.play(Order(mode=Mode.SETUP))
    async with at_work(shop, receipts=True) as operator:
        name = await shop.make(session.id, PaymentStatus.UNPAID)
        request = await shop.becomes(name, Phase.FULFILLED, "NothingToFulfill")
        assert await operator.metric("fulfillment_time_to_fulfill_seconds_count") == 0
    assert conditions(request) == {"Paid": "True", "Fulfilled": "True", "Ready": "True", "Stalled": "False"}
    assert request.status is not None
    assert request.status.fulfillment is None
    assert await shop.events(name) == [("Normal", "NothingToFulfill")]
    assert shop.mailbox.mails == ()


async def test_an_object_that_cannot_be_read_stops_nobody(shop: Shop) -> None:
    """It is counted and left alone, and others are served."""
    await shop.make_undecodable("cs_test_odd")
    async with at_work(shop) as operator:
        await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
        await operator.reaches(1, "fulfillment_reconcile_errors_total", error="undecodable")


async def test_what_cannot_be_read_is_a_level_until_it_is_mended_or_deleted(shop: Shop) -> None:
    """However long that takes; the operator that leads alone tells it."""
    level = "fulfillment_undecodable_requests"
    mended, deleted = await shop.make_undecodable("cs_test_odd"), await shop.make_undecodable("cs_test_gone")
    async with at_work(shop) as operator, at_work(shop) as standby:
        await operator.reaches(2, level)
        assert await standby.metric(level) is None
        await shop.requests.delete(deleted)
        await operator.reaches(1, level)
        await shop.observed_at(mended, None)
        await shop.becomes(mended, Phase.FAILED, "SessionNotFound")
        await operator.reaches(0, level)


async def test_an_outage_of_stripe_is_shown_and_passes(shop: Shop) -> None:
    """What lasts is shown on the order, which neither fails nor is forgotten; when Stripe is back it is fulfilled."""
    shop.stripe.faults.set([Cut(times=1), Fail(status=503)])
    async with at_work(shop) as operator:
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FULFILLING, "StripeUnavailable")
        assert request.status is not None
        assert request.status.message.startswith("Stripe's API answered 503")
        assert (await operator.metric("fulfillment_reconcile_errors_total", error="stripe-unavailable") or 0) >= 3
        assert await operator.metric("fulfillment_reconcile_errors_total", error="unexpected") == 0
        shop.stripe.faults.set([])
        await shop.becomes(name, Phase.FULFILLED)
    assert await shop.events(name) == [("Warning", "StripeUnavailable"), ("Normal", "Fulfilled")]


async def test_a_wrong_api_key_is_shown_at_once(shop: Shop) -> None:
    """A person must mend it: the message says what; the order goes on by itself afterwards."""
    name = await shop.sell(Order(), PaymentStatus.PAID)
    async with at_work(shop, stripe_api_key=Secret("sk_test_revoked")):
        request = await shop.becomes(name, Phase.FULFILLING, "StripeMisconfigured")
        assert request.status is not None
        assert "mend STRIPE_API_KEY" in request.status.message
    async with at_work(shop):
        await shop.becomes(name, Phase.FULFILLED)


async def shown_and_paid_since(shop: Shop) -> str:
    """Sell what Stripe shows as unpaid, and let it be paid, with an event, while no operator works."""
    name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
    async with at_work(shop):
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT)
    shop.stripe.world.settle(waiting.spec.session.id, Settlement.SUCCEEDED)
    await shop.hint(name, PaymentStatus.PAID)
    return name


async def test_the_key_of_another_account_fails_no_order_that_stripe_had(shop: Shop) -> None:
    """Such a key knows none of the Sessions: what was seen before waits for the right one, and then goes on."""
    name = await shown_and_paid_since(shop)
    async with stripe_server(new_world(seed=8)) as another, at_work(shop, stripe_api_base=another.url):
        request = await shop.becomes(name, Phase.FULFILLING, "StripeMisconfigured")
        assert request.status is not None
        assert "STRIPE_API_KEY (stripe.existingSecret) must be of the account that sold it" in request.status.message
    async with at_work(shop):
        await shop.becomes(name, Phase.FULFILLED)


async def test_a_key_of_the_other_mode_fails_no_order_that_stripe_had(shop: Shop) -> None:
    """What was seen before waits for a key of its mode, and then goes on; what was never seen fails."""
    name = await shown_and_paid_since(shop)
    async with at_work(shop, stripe_api_key=Secret("sk_live_1")) as operator:
        request = await shop.becomes(name, Phase.FULFILLING, "StripeMisconfigured")
        assert request.status is not None
        assert request.status.message.startswith("a test order, but STRIPE_API_KEY (stripe.existingSecret) is a live")
        assert (await operator.metric("fulfillment_reconcile_errors_total", error="stripe-misconfigured") or 0) >= 1
        new = await shop.sell(Order())
        await shop.becomes(new, Phase.FAILED, "LivemodeMismatch")
    async with at_work(shop):
        await shop.becomes(name, Phase.FULFILLED)
    assert await shop.events(name) == [
        ("Normal", "PaymentProcessing"),
        ("Warning", "StripeMisconfigured"),
        ("Normal", "Fulfilled"),
    ]


async def test_news_that_stripe_cannot_confirm_show_why(shop: Shop) -> None:
    """A delayed payment succeeds while Stripe is away: the order says so, and not that the payment is on its way."""
    async with at_work(shop):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT)
        shop.stripe.world.settle(waiting.spec.session.id, Settlement.SUCCEEDED)
        shop.stripe.faults.set([Fail(status=503)])
        await shop.hint(name, PaymentStatus.PAID)
        away = await shop.becomes(name, Phase.FULFILLING, "StripeUnavailable")
        assert conditions(away)["Paid"] == "Unknown"
        shop.stripe.faults.set([])
        await shop.becomes(name, Phase.FULFILLED)


async def test_a_restart_does_nothing_twice(shop: Shop) -> None:
    """What is done is not looked at again: no request to Stripe, no PATCH, no mail."""
    names = [
        await shop.sell(Order()),
        await shop.sell_in_vain(Order(outcome=Outcome.UNPAID)),
        await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID),
    ]
    phases = (Phase.FULFILLED, Phase.FAILED, Phase.AWAITING_PAYMENT)
    async with at_work(shop):
        before = [await shop.becomes(name, phase) for name, phase in zip(names, phases, strict=True)]
    shop.stripe.traffic.clear()
    async with at_work(shop):
        await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
    assert len([each for each in shop.stripe.traffic.requests if "/checkout/sessions" in each.path]) == 1
    assert [await shop.requests.get(name) for name in names] == before
    assert len(shop.mailbox.mails) == 1


async def test_an_outage_of_the_api_server_loses_nothing(shop: Shop) -> None:
    """A payment that fails about then is mailed once, before the outage or after it, and written when it is over."""
    async with at_work(shop, LEASE_THAT_IS_KEPT):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT)
        shop.stripe.world.settle(waiting.spec.session.id, Settlement.FAILED)
        shop.stripe.faults.set([Fail(status=503, times=1)])  # so that the next look falls into the outage, mostly
        await shop.hint(name, PaymentStatus.FAILED)
        async with shop.control_plane.down():
            pass
        await shop.becomes(name, Phase.FAILED, "PaymentFailed")
        await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
    assert len(shop.mailbox.mails) == 1
