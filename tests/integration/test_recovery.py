"""A recovery brings in what the webhook missed: all of it, oldest first, once, and whatever interrupts it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import datetime, timedelta

import pytest

from fulfillment_api.spec import Payment, PaymentStatus, ReversalKind, Session, Spec
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import OWN_ACCOUNT, POWERLESS_KEY
from fulfillment_local.fake_stripe.model import AfterPayment, DeliveryState, Mode, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.traffic import Cut, Drop, Fail, Slow
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes.configmaps import ConfigMapApi
from fulfillment_runtime.settings import Secret
from fulfillment_runtime.stripe.client import stripe_client, stripe_reader
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.rules import EventRules
from fulfillment_service.recovery.run import RecoveryOptions, RecoveryRun
from fulfillment_service.recovery.time_window import format_time
from fulfillment_service.request_store import RequestStore
from support.running_recovery import HOUR, NAME, Outage, name_of, outage, tries

pytestmark = pytest.mark.usefixtures("crd")


@pytest.fixture
async def missed(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Outage]:
    async with outage(control_plane, namespace) as missed:
        yield missed


async def test_lost_orders_are_made_oldest_first(missed: Outage) -> None:
    """What Stripe delivered is left alone, what waits for its delivery is not; the next run finds nothing new."""
    lost = []
    for hours, delivery in ((60, "failed"), (50, "succeeded"), (40, "pending"), (1, "failed")):
        missed.clock.ago(hours * HOUR)
        lost.append(missed.lose(delivery=DeliveryState(delivery)))
    del lost[1]

    assert await missed.recover() == {"created": 3}
    assert await missed.orders() == [name_of(event) for event in lost]
    assert await missed.recover() == {"unchanged": 3}
    lines = await missed.checkpoint.read()
    assert lines.keys() == {"last-success", "last-result", "test.undelivered.own.last-success"}
    assert lines["last-result"] == '{"created":0,"updated":0,"unchanged":3,"ignored":0,"failed":0}'


async def test_a_lost_end_of_a_payment_updates_its_order(missed: Outage) -> None:
    """The delayed payment that came through later is an event of its own."""
    missed.clock.ago(48 * HOUR)
    event = missed.lose(Order(outcome=Outcome.UNPAID))
    assert await missed.recover() == {"created": 1}
    missed.stripe.world.mark(event.id, DeliveryState.SUCCEEDED)
    missed.clock.ago(2 * HOUR)
    missed.stripe.world.settle(event.session.id, Settlement.SUCCEEDED)

    assert await missed.recover() == {"updated": 1}
    assert (await missed.requests.get(name_of(event))).spec.payment.status is PaymentStatus.PAID


async def test_a_dry_run_writes_nothing(missed: Outage) -> None:
    """It counts as the run would: the second event about one Session updates what the first would have made."""
    missed.clock.ago(48 * HOUR)
    event = missed.lose(Order(outcome=Outcome.UNPAID))
    missed.stripe.world.settle(event.session.id, Settlement.SUCCEEDED)
    missed.lose()

    assert await missed.recover(dry_run=True) == {"created": 2, "updated": 1}
    assert await missed.orders() == []
    assert await missed.checkpoint.read() == {}
    assert await missed.lease.read() is None
    assert await missed.recover() == {"created": 2, "updated": 1}


async def test_all_finds_what_stripe_says_it_delivered(missed: Outage) -> None:
    """Such as orders that were deleted by accident."""
    missed.clock.ago(48 * HOUR)
    missed.lose(delivery=DeliveryState.SUCCEEDED)
    missed.lose()

    assert await missed.recover() == {"created": 1}
    assert await missed.recover(undelivered=False) == {"created": 1, "unchanged": 1}


async def test_all_finds_a_refund_whose_thin_event_named_no_payment(missed: Outage) -> None:
    """The webhook answered it 200 and could do nothing with it; the list has the snapshot, which names the payment."""
    missed.clock.ago(48 * HOUR)
    event = missed.lose()
    refund = missed.stripe.world.play_after_payment(event.session.id, AfterPayment.REFUNDED)
    missed.stripe.world.mark(refund.id, DeliveryState.SUCCEEDED)

    assert await missed.recover() == {"created": 1}
    assert await missed.recover(undelivered=False) == {"unchanged": 1, "updated": 1}
    reversal = (await missed.requests.get(name_of(event))).spec.reversal
    assert reversal is not None
    assert reversal.kind is ReversalKind.REFUNDED


async def test_the_look_back_is_a_bound(missed: Outage) -> None:
    """Older events are not asked for."""
    for days in (20, 2):
        missed.clock.ago(days * 24 * HOUR)
        missed.lose()

    assert await missed.recover() == {"created": 1}
    assert await missed.recover(look_back=timedelta(days=30)) == {"created": 1, "unchanged": 1}


@pytest.mark.timeout(1200)
@pytest.mark.xdist_group("busy")
async def test_more_than_a_thousand_events(missed: Outage) -> None:
    """They are cut into pages, oldest first, by about two requests a page; a crowd within one second is one slice."""
    lost = []
    for place in range(800):
        missed.clock.ago(70 * HOUR - place * 300)
        lost.append(missed.lose())
    missed.clock.ago(HOUR)
    lost += [missed.lose() for _ in range(250)]

    assert await missed.recover() == {"created": 1050}
    assert await missed.orders() == [name_of(event) for event in lost]
    assert len(missed.starts()) < 80


async def test_a_run_that_was_stopped_is_gone_on_with(missed: Outage) -> None:
    """Stripe fails in the middle: the next run asks for nothing that the first has handled, whatever its look-back."""
    for place in range(300):
        missed.clock.ago(70 * HOUR - place * 600)
        missed.lose()
    missed.stripe.faults.set([Slow(seconds=0.3)])
    running = asyncio.create_task(missed.recover())
    await missed.progress(running)
    missed.stripe.faults.set([Fail(status=503)])
    with pytest.raises(UnavailableError) as stopped:
        await running
    assert stopped.value.message.startswith("Stripe's API answered 503 (request req_")
    assert stopped.value.message.endswith("; the next run goes on where this one stopped")
    made = len(await missed.orders())
    assert 0 < made < 300
    lines = await missed.checkpoint.read()
    assert lines.keys() == {"test.undelivered.own"}
    _, _, reached = lines["test.undelivered.own"].partition("/")
    missed.stripe.faults.set([])
    missed.stripe.traffic.clear()

    assert await missed.recover(look_back=timedelta(hours=1)) == {"created": 300 - made}
    assert min(missed.starts()) == datetime.fromisoformat(reached).timestamp()
    assert not {"test.undelivered.own"} & (await missed.checkpoint.read()).keys()


async def test_what_was_lost_while_no_run_could_begin_is_found(missed: Outage) -> None:
    """The whole cluster was away, or the CronJob suspended: a run begins no later than where the last success ended."""
    missed.clock.ago(10 * 24 * HOUR)
    missed.lose()
    missed.clock.ago(5 * 24 * HOUR)
    missed.lose()
    success = "test.undelivered.own.last-success"
    await missed.checkpoint.write({success: format_time(int(time.time()) - 7 * 86400)})

    assert await missed.recover(look_back=timedelta(hours=1)) == {"created": 1}
    assert await missed.recover(look_back=timedelta(hours=1)) == {}


async def test_a_success_of_one_list_says_nothing_of_another(missed: Outage) -> None:
    """A run over what was not delivered, made by hand after an outage, lets the next one over all begin no later."""
    missed.clock.ago(5 * 24 * HOUR)
    event = missed.lose()
    missed.stripe.world.mark(event.id, DeliveryState.SUCCEEDED)
    success = "test.all.own.last-success"
    await missed.checkpoint.write({success: format_time(int(time.time()) - 7 * 86400)})

    assert await missed.recover(look_back=timedelta(hours=1)) == {}
    assert await missed.recover(look_back=timedelta(hours=1), undelivered=False) == {"created": 1}


async def test_a_longer_look_back_begins_anew(missed: Outage) -> None:
    """What a stopped run has seen to begins later than what is asked for now."""
    for days in (20, 2):
        missed.clock.ago(days * 24 * HOUR)
        missed.lose()
    started = int(time.time())
    await missed.checkpoint.write(
        {"test.undelivered.own": f"{format_time(started - 3 * 86400)}/{format_time(started - 60)}"}
    )

    assert await missed.recover(look_back=timedelta(days=30)) == {"created": 2}


async def test_never_two_at_once(missed: Outage) -> None:
    """The second sees that the first keeps the Lease, and ends; the first is not disturbed."""
    missed.clock.ago(48 * HOUR)
    missed.lose()
    missed.stripe.faults.set([Slow(seconds=8)])
    first = asyncio.create_task(missed.recover())
    while await missed.lease.read() is None:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)

    assert await missed.recover() is None
    assert not first.done()
    assert await first == {"created": 1}


async def test_what_cannot_be_recorded_is_counted_and_tried_again(missed: Outage) -> None:
    """An object in the way: the run goes on, counts it, and is no success; the next one, however late, begins there."""
    missed.clock.ago(48 * HOUR)
    blocked = missed.lose()
    missed.clock.ago(24 * HOUR)
    missed.lose()
    other = Spec(session=Session(id="cs_test_other", livemode=False), payment=Payment(status=PaymentStatus.PAID))
    await missed.requests.create(name_of(blocked), other)

    assert await missed.recover() == {"blocked": 1, "created": 1}
    lines = await missed.checkpoint.read()
    assert lines["last-result"] == '{"created":1,"updated":0,"unchanged":0,"ignored":0,"failed":1}'
    assert "last-success" not in lines
    await missed.requests.delete(name_of(blocked))
    assert await missed.recover(look_back=timedelta(hours=1)) == {"created": 1, "unchanged": 1}
    assert not {"test.undelivered.own"} & (await missed.checkpoint.read()).keys()


async def test_what_does_not_count_is_ignored_and_counted(missed: Outage) -> None:
    """By the webhook's own filters: the other mode, and what sells nothing."""
    missed.clock.ago(48 * HOUR)
    for order in (Order(), Order(mode=Mode.SETUP), Order(outcome=Outcome.EXPIRED)):
        missed.lose(order)

    assert await missed.recover(filters=Filters(livemode=True)) == {"livemode": 3}
    assert await missed.recover() == {"created": 1, "setup-mode": 1, "expired": 1}


async def test_events_of_connected_accounts(missed: Outage) -> None:
    """Those that are asked for are listed one after the other, beside the key's own."""
    missed.clock.ago(48 * HOUR)
    lost = [missed.lose(Order(account=account)) for account in ("acct_1", "acct_2", None, "acct_3")]

    assert await missed.recover(filters=Filters(accounts=("acct_1", "acct_2"))) == {"created": 3}
    assert set(await missed.orders()) == {name_of(event) for event in lost[:3]}
    accounts = [request.account for request in missed.stripe.traffic.at("/v1/events")]
    assert accounts == [None, "acct_1", "acct_2"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            None,
            (
                "Stripe does not allow this API key to read Events of acct_1: give the restricted key this read "
                "permission, or take the account out of STRIPE_ACCOUNTS (stripe.accounts) if it is connected no more ("
            ),
        ),
        (
            "account_invalid",
            (
                "Stripe does not let this API key act for acct_1: connect it again, or take it out of STRIPE_ACCOUNTS "
                "(stripe.accounts) ("
            ),
        ),
    ],
)
async def test_an_account_that_is_no_longer_connected_keeps_no_other_from_its_recovery(
    missed: Outage, code: str | None, message: str
) -> None:
    """Its list is denied: the others are handled, then the run says what a person must mend, and is no success."""
    missed.stripe.faults.set([Fail(status=403, account="acct_1", code=code)])
    missed.clock.ago(48 * HOUR)
    lost = [missed.lose(Order(account=account)) for account in (None, "acct_2")]

    with pytest.raises(SettingsError) as denied:
        await missed.recover(filters=Filters(accounts=("acct_1", "acct_2")))
    assert denied.value.message.startswith(f"{message}request req_")
    assert await missed.orders() == [name_of(event) for event in lost]
    lines = await missed.checkpoint.read()
    handled = {f"test.undelivered.{each}.last-success" for each in ("own", "acct_2")}
    assert lines.keys() == {"last-result", "test.undelivered.acct_1", *handled}
    assert lines["last-result"] == '{"created":2,"updated":0,"unchanged":0,"ignored":0,"failed":0}'


async def test_the_keys_own_account_is_no_connected_one(missed: Outage) -> None:
    """Under its name no order is made a second time: the run says what a person must mend, and handles the others."""
    missed.clock.ago(48 * HOUR)
    lost = [missed.lose(Order(account=account)) for account in (None, "acct_2")]

    with pytest.raises(SettingsError) as refused:
        await missed.recover(filters=Filters(accounts=(OWN_ACCOUNT, "acct_2")))
    assert refused.value.message.startswith(
        f"STRIPE_ACCOUNTS (stripe.accounts) names {OWN_ACCOUNT}, which is the API key's own account: take it out"
    )
    assert sorted(await missed.orders()) == sorted(name_of(event) for event in lost)


async def test_passing_faults_of_stripe_are_waited_for(missed: Outage) -> None:
    """Throttled, failing or cut off, before an answer or in its midst: the same request is made again."""
    missed.clock.ago(48 * HOUR)
    missed.lose()
    missed.stripe.faults.set([Fail(status=429, times=1), Drop(times=1), Fail(status=500, times=1), Cut(times=1)])

    assert await missed.recover(backoff=tries(5)) == {"created": 1}


async def test_a_hanging_api_server_is_waited_for_so_long(missed: Outage) -> None:
    """Then the run ends, and says that the next one goes on; nothing is counted as done."""
    missed.clock.ago(48 * HOUR)
    event = missed.lose()
    missed.stripe.faults.set([Slow(seconds=1)])
    running = asyncio.create_task(missed.recover(timeout=timedelta(seconds=3)))
    while not (missed.stripe.traffic.requests or running.done()):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    with missed.control_plane.hanging(), pytest.raises(UnavailableError, match=r"another may lead now|did not answer"):
        await running
    missed.stripe.faults.set([])

    # What was sent to the API server while it hung, it may have done since.
    assert await missed.recover() in ({"created": 1}, {"unchanged": 1})
    assert await missed.orders() == [name_of(event)]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("sk_test_unknown", "Stripe does not know the API key: mend STRIPE_API_KEY (stripe.existingSecret)"),
        (
            POWERLESS_KEY,
            "Stripe does not allow this API key to read Events: give the restricted key this read permission",
        ),
    ],
)
async def test_a_denied_key_is_an_error_at_once(missed: Outage, key: str, message: str) -> None:
    """A person must mend it: nothing is tried again."""
    with pytest.raises(SettingsError) as denied:
        await missed.recover(
            settings=missed.settings(stripe_api_key=Secret(key)), backoff=tries(2, wait=timedelta(minutes=1))
        )
    assert denied.value.message == f"{message} (request req_00000000000001)"
    assert (await missed.checkpoint.read()).keys() == {"test.undelivered.own"}


async def test_what_was_lost_while_no_run_could_do_anything_is_found(missed: Outage) -> None:
    """From the first run on it is known where to begin, however long a person takes to mend the key."""
    missed.clock.ago(2 * HOUR)
    missed.lose()
    for key in ("sk_test_unknown", POWERLESS_KEY):
        with pytest.raises(SettingsError):
            await missed.recover(settings=missed.settings(stripe_api_key=Secret(key)), look_back=timedelta(hours=3))
    assert await missed.recover(look_back=timedelta(hours=1)) == {"created": 1}


async def test_rbac_that_forbids_to_note_how_far_it_came_is_told_as_such(missed: Outage) -> None:
    """A person must mend it, although it was there when the run began."""
    settings = missed.settings()
    async with missed.control_plane.connect(User.SERVICE) as api, stripe_client(settings) as client:
        store = RequestStore(requests=missed.requests, semaphore=asyncio.Semaphore(1), random=lambda: 1.0)
        elsewhere = ConfigMapApi(api, "kube-system", NAME, timeout=10)
        reader = stripe_reader(client, settings)
        run = RecoveryRun(settings, EventRules(), RecoveryOptions(), reader, store, elsewhere, utc_now)
        with pytest.raises(AccessDeniedError, match='RBAC forbids it: configmaps "checkout-fulfillment-recovery" is'):
            await run.run()


@pytest.mark.parametrize(("minutes", "refused"), [(8, False), (10, True)])
async def test_a_slow_clock_makes_no_order_that_looks_restored(missed: Outage, minutes: int, *, refused: bool) -> None:
    """The operator would hold each, since what its spec says was observed long before the object was made."""
    missed.clock.ago(48 * HOUR)
    missed.lose()
    slow = timedelta(minutes=minutes)
    with pytest.raises(UnavailableError, match="clock is 10 minutes behind") if refused else nullcontext():
        assert await missed.recover(clock=lambda: utc_now() - slow) == {"created": 1}
    assert len(await missed.orders()) == (0 if refused else 1)
