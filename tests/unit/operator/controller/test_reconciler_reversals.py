"""What a reconcile makes of refunds and disputes that the backend cannot be told, or that Stripe does not show yet."""

from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, PaymentStatus, Reversal, ReversalKind
from fulfillment_api.status import ConditionStatus, ConditionType, Phase, Reason, Reversals, Status
from fulfillment_operator.backends.order import PaidOrder, ReversalNotice
from fulfillment_operator.backends.outcome import Done, InProgress, Outcome, Rejected, TryAgain
from fulfillment_operator.checkout.session import CheckoutSession, SessionPayment
from fulfillment_operator.checkout.session_answer import SessionUnreadableError
from fulfillment_operator.controller.reconciler import Result
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.policy.next_step import RequeueState, RetrieveSession, Settled, Step, Wait, next_step
from fulfillment_operator.policy.reversals import shown_reversals
from fulfillment_operator.policy.transition import Attempt, Retries, dispatched, payment_failed
from fulfillment_runtime.stripe.client import StripeMisconfiguredError, StripeUnavailableError
from support.any_request import NOW, POLICY, RECHECK, RETRY_MAX, Outside
from support.builders import make_request, make_session

SENT = MailOutcome(Reason.MAIL_SENT, "sent")
AWAY = TryAgain("the endpoint answered 503")
RETRIES = Retries(delay=timedelta(seconds=2), deadline=POLICY.backend_deadline)
REFUNDED = make_session(refunded=True)
WON = make_session(dispute=ReversalKind.DISPUTE_WON)


@dataclass
class Notified(Outside):
    """The backend answers notices otherwise than what it is asked of the order."""

    notice: Outcome = field(default_factory=Done)

    async def handle_reversal(self, _order: PaidOrder, _notice: ReversalNotice) -> Outcome:
        return self.notice


def outside(session: CheckoutSession | Exception, outcome: Outcome) -> Outside:
    return Outside(session, outcome, SENT, None, api_server=True)


def tried(outcome: Outcome, at: datetime = NOW, backend: str = "shop") -> FulfillmentRequest:
    """Return an order of which a backend said something."""
    return make_request(status=dispatched(make_request(), Attempt(make_session(), outcome, backend), RETRIES, at))


def hinted(request: FulfillmentRequest, kind: ReversalKind, ago: timedelta) -> FulfillmentRequest:
    """Return the order after an event about a refund or a dispute."""
    hint = Reversal(kind=kind, observed_at=NOW - ago)
    metadata = replace(request.metadata, generation=request.metadata.generation + 1)
    return replace(request, metadata=metadata, spec=replace(request.spec, reversal=hint))


def with_untold(request: FulfillmentRequest) -> FulfillmentRequest:
    """Return the order of which the backend does not know of a partial refund yet."""
    assert request.status is not None
    reversals = Reversals(untold=[ReversalKind.PARTIALLY_REFUNDED])
    return replace(request, status=replace(request.status, reversals=reversals))


async def reconciled(
    request: FulfillmentRequest, by: Outside, failures: int = 0, *, unreadable: int = 0
) -> tuple[Status, Result]:
    before = RequeueState(NOW, failures=failures, unreadable=unreadable)
    result = await by.reconciler().reconcile(request, RetrieveSession(), before, by.stands)
    assert result.request is not None
    assert result.request.status is not None
    return result.request.status, result


def step_after(result: Result, failures: int, later: timedelta) -> Step:
    assert result.request is not None
    state = result.requeue_state(RequeueState(NOW, failures=failures), NOW)
    return next_step(result.request, NOW + later, state, livemode=False, recheck=RECHECK, retry_max=RETRY_MAX)


def untold(status: Status) -> list[ReversalKind]:
    return list(status.reversals.untold) if status.reversals else []


async def test_a_notice_is_tried_until_its_own_deadline() -> None:
    """The order failed for the refund, not for its backend: nobody is asked to hand it over once more."""
    request = hinted(
        tried(InProgress("taken"), NOW - POLICY.backend_deadline), ReversalKind.REFUNDED, timedelta(minutes=10)
    )

    status, result = await reconciled(request, outside(REFUNDED, AWAY))

    assert (status.phase, status.reason) == (Phase.FAILED, Reason.REFUNDED)
    assert shown_reversals(status) == (ReversalKind.REFUNDED,)
    found = status.condition(ConditionType.REFUNDED)
    assert found is not None
    assert found.message.endswith("; the backend does not know yet: the endpoint answered 503")
    assert untold(status) == [ReversalKind.REFUNDED]
    assert isinstance(step_after(result, 0, timedelta()), Wait)
    assert step_after(result, 0, timedelta(hours=1)) == RetrieveSession()

    assert result.request is not None
    status, result = await reconciled(result.request, outside(REFUNDED, Done()), 1)

    found = status.condition(ConditionType.REFUNDED)
    assert found is not None
    assert found.message == "all of the payment was given back"
    assert untold(status) == []
    assert step_after(result, 1, timedelta(hours=1)) == Settled()


async def test_to_wait_until_a_refund_is_told_is_no_attempt() -> None:
    """A backend that was away, and never had the order, is not asked for it any more."""
    status, _ = await reconciled(tried(AWAY), outside(REFUNDED, AWAY))
    assert (status.phase, status.fulfillment and status.fulfillment.attempts) == (Phase.FULFILLING, 1)


async def test_what_is_given_back_in_part_and_cannot_be_told_stops_no_order() -> None:
    """It is asked how it goes all the same, and told again soon, however late the backend is asked otherwise."""
    part = make_session(amount_refunded=make_session().amount)
    request = hinted(tried(InProgress("taken")), ReversalKind.PARTIALLY_REFUNDED, timedelta(minutes=10))
    by = Notified(part, InProgress("taken"), SENT, None, api_server=True, notice=AWAY)
    status, result = await reconciled(request, by)
    assert (status.phase, status.reason) == (Phase.FULFILLING, Reason.DISPATCHED)
    assert untold(status) == [ReversalKind.PARTIALLY_REFUNDED]
    assert isinstance(step_after(result, 0, timedelta()), Wait)
    assert step_after(result, 0, timedelta(minutes=1)) == RetrieveSession()

    done, _ = await reconciled(request, replace_fields(by, outcome=Done("parcel-1")))
    assert (done.phase, untold(done)) == (Phase.FULFILLED, [ReversalKind.PARTIALLY_REFUNDED])


async def test_a_retry_that_goes_elsewhere_waits_until_the_former_backend_has_left_off() -> None:
    """However often that cannot: the other one does not get the order, though the status names it by then."""
    request = tried(InProgress("taken"), backend="gone")
    metadata = replace(request.metadata, annotations={"checkout-fulfillment.dev/retry": "1"})
    request = replace(request, metadata=metadata)
    by = Outside(make_session(), Done("twice"), SENT, TryAgain("the Job changed"), api_server=True)

    waits = list[timedelta | None]()
    for failures in range(3):
        status, result = await reconciled(request, by, failures)
        assert (status.phase, status.reason) == (Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE)
        assert status.fulfillment is not None
        assert status.fulfillment.attempts == 0
        waits.append(result.retry_after)
        assert result.request is not None
        request = result.request
    assert waits == [timedelta(seconds=0.5), timedelta(seconds=1), timedelta(seconds=2)]
    status, _ = await reconciled(request, replace_fields(by, stopped=None))
    assert status.phase is Phase.FULFILLED
    assert status.fulfillment is not None
    assert status.fulfillment.attempts == 1


@pytest.mark.parametrize(
    ("outcome", "phase"), [(InProgress("taken"), Phase.FULFILLING), (Rejected("no"), Phase.FAILED)]
)
async def test_an_answer_that_lags_its_event_leaves_it_unobserved(outcome: Outcome, phase: Phase) -> None:
    """Stripe is asked again, after the age of the event each time, until an hour after it."""
    request = hinted(tried(outcome), ReversalKind.DISPUTED, timedelta(minutes=10))
    by = outside(make_session(), outcome)

    status, result = await reconciled(request, by)

    assert status.phase is phase
    assert result.request is not None
    assert result.request.has_unobserved_spec
    assert step_after(result, 0, timedelta(minutes=9)) == Wait(NOW + timedelta(minutes=10))
    assert step_after(result, 0, timedelta(minutes=10)) == RetrieveSession()
    status, result = await reconciled(hinted(tried(outcome), ReversalKind.DISPUTED, timedelta(hours=1)), by)
    assert result.request is not None
    assert not result.request.has_unobserved_spec


async def test_an_order_that_is_held_stays_so_while_its_backend_does_not_say_how_it_goes() -> None:
    """Else a passing fault would let it go on without the retry that only a person asks for."""
    disputed = hinted(tried(InProgress("taken")), ReversalKind.DISPUTED, timedelta(hours=2))
    status, result = await reconciled(
        disputed, outside(make_session(dispute=ReversalKind.DISPUTED), InProgress("taken"))
    )
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.DISPUTED)
    assert result.request is not None
    won = hinted(result.request, ReversalKind.DISPUTE_WON, timedelta(hours=1))
    by = Notified(WON, AWAY, SENT, None, api_server=True, notice=Done())
    status, result = await reconciled(won, by)
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.DISPUTE_WON)
    assert step_after(result, 0, timedelta(hours=1)) == RetrieveSession()


async def test_an_accepted_order_whose_backend_is_gone_is_asked_about_ever_less_often() -> None:
    """To ask how it goes is no attempt, so what fails in a row is counted apart."""
    request, waits = tried(InProgress("taken")), []
    for failures in range(4):
        status, result = await reconciled(request, outside(make_session(), AWAY), failures)
        assert status.fulfillment is not None
        assert status.fulfillment.attempts == 1
        waits.append(result.retry_after)
    assert waits == [timedelta(seconds=0.5), timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]


async def test_an_answer_that_cannot_be_read_is_asked_for_thrice_before_a_person_is() -> None:
    """A moment's fault, such as a proxy's own page, ends no order."""
    odd, request = SessionUnreadableError("payment_status is odd"), make_request()
    by, state = outside(odd, Done()), RequeueState(NOW, failures=7)  # for other reasons
    for unreadable in (1, 2):
        result = await by.reconciler().reconcile(request, RetrieveSession(), state, by.stands)
        assert (result.request, result.retry_after is None) == (request, False)
        state = result.requeue_state(state, NOW)
        assert state.unreadable == unreadable
    status, result = await reconciled(request, by, unreadable=2)
    assert (status.phase, status.reason, result.retry_after) == (Phase.FAILED, Reason.SESSION_UNREADABLE, None)


async def test_an_answer_that_cannot_be_read_does_not_end_what_a_backend_works_on() -> None:
    """It may be done at any time, and a retry would hand it over again; once its time is up a person is needed."""
    odd = outside(SessionUnreadableError("payment_status is odd"), Done())
    request = tried(InProgress("taken"))
    status, result = await reconciled(request, odd, unreadable=9)
    assert (status, result.retry_after is None) == (request.status, False)
    status, _ = await reconciled(tried(InProgress("taken"), NOW - POLICY.backend_deadline), odd, unreadable=9)
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.SESSION_UNREADABLE)


async def test_what_the_backend_rejected_stays_rejected_whatever_cannot_be_read() -> None:
    """Nor does a later answer that can be read hand it over: only a person's retry does."""
    odd = outside(SessionUnreadableError("payment_status is odd"), Done())
    request = hinted(tried(Rejected("no")), ReversalKind.FRAUD_WARNING, timedelta(hours=2))
    status, result = await reconciled(request, odd, unreadable=2)
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.FULFILLMENT_FAILED)
    assert result.request is not None
    again = hinted(result.request, ReversalKind.INQUIRY, timedelta(hours=2))
    status, _ = await reconciled(again, outside(make_session(dispute=ReversalKind.INQUIRY), Done("twice")))
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.FULFILLMENT_FAILED)


async def test_that_stripe_is_away_is_shown_once() -> None:
    """Not each answer's own request id; a new event shows it for what that says, and another error is another one."""
    first = StripeUnavailableError("Stripe's API answered 503 (request req_1)")
    status, _ = await reconciled(make_request(PaymentStatus.UNPAID), outside(first, Done()), 2)
    assert (status.reason, status.message) == (Reason.STRIPE_UNAVAILABLE, str(first))
    waiting = make_request(PaymentStatus.UNPAID, status=status)
    again = StripeUnavailableError("Stripe's API answered 503 (request req_2)")
    same, result = await reconciled(waiting, outside(again, Done()), 3)
    assert (same, result.retry_after is None) == (status, False)
    paid, _ = await reconciled(make_request(status=status, generation=2), outside(again, Done()), 4)
    assert (paid.phase, paid.message) == (Phase.FULFILLING, str(again))
    refused, result = await reconciled(
        waiting, outside(StripeMisconfiguredError("no such key (request req_3)"), Done()), 4
    )
    assert (refused.reason, refused.message) == (Reason.STRIPE_MISCONFIGURED, "no such key (request req_3)")
    assert result.request is not None
    mended, _ = await reconciled(
        result.request, outside(StripeMisconfiguredError("no right (request req_4)"), Done()), 5
    )
    assert mended.message == "no right (request req_4)"


async def test_what_only_a_person_can_mend_is_asked_about_ever_less_often() -> None:
    """As of an account that is connected no more, with a thousand orders that wait."""
    refused = StripeMisconfiguredError("the account is not connected")
    by = outside(refused, Done())
    waits = [(await reconciled(make_request(), by, failures))[1].retry_after for failures in (0, 1, 99)]
    assert waits == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=150)]


MAIL_IS_DUE = MailOutcome(Reason.MAIL_UNAVAILABLE, "the mail server answered 451; tried again")
UNPAID = make_session(SessionPayment.UNPAID)


@pytest.mark.parametrize("reason", [Reason.PAYMENT_FAILED, Reason.REFUNDED])
async def test_who_is_still_to_be_told_is_told_whatever_cannot_be_read_meanwhile(reason: Reason) -> None:
    """The buyer that the payment failed, the backend that it was refunded: the order keeps its reason until then."""
    if reason is Reason.REFUNDED:
        taken = tried(InProgress("taken"), NOW - POLICY.backend_deadline)
        _, result = await reconciled(
            hinted(taken, ReversalKind.REFUNDED, timedelta(minutes=10)), outside(REFUNDED, AWAY)
        )
        assert result.request is not None
        request = result.request
    else:
        request = make_request(PaymentStatus.FAILED)
        request = make_request(PaymentStatus.FAILED, status=payment_failed(request, UNPAID, MAIL_IS_DUE, NOW))
    odd = outside(SessionUnreadableError("payment_status is odd"), Done())
    status, result = await reconciled(request, odd, unreadable=9)
    assert (status, result.retry_after is None) == (request.status, False)


THREE_DAYS_AGO = NOW - timedelta(days=3)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        pytest.param(
            make_request(
                PaymentStatus.FAILED,
                status=payment_failed(make_request(PaymentStatus.FAILED), UNPAID, MAIL_IS_DUE, THREE_DAYS_AGO),
            ),
            Reason.PAYMENT_FAILED,
            id="its mail was tried for three days",
        ),
        pytest.param(
            make_request(status=payment_failed(make_request(PaymentStatus.FAILED), UNPAID, MAIL_IS_DUE, NOW)),
            Reason.SESSION_UNREADABLE,
            id="it was paid after all",
        ),
        pytest.param(
            with_untold(tried(Rejected("no"), THREE_DAYS_AGO)), Reason.FULFILLMENT_FAILED, id="its backend rejected it"
        ),
        pytest.param(
            with_untold(tried(InProgress("taken"), THREE_DAYS_AGO)),
            Reason.SESSION_UNREADABLE,
            id="its backend's time is up",
        ),
    ],
)
async def test_nobody_waits_for_ever_for_an_answer_that_cannot_be_read(
    request_: FulfillmentRequest, reason: Reason
) -> None:
    """Not for a mail or a notice that is given up, not about a payment that came, and not with a backend for ever."""
    odd = outside(SessionUnreadableError("payment_status is odd"), Done())
    after, result = await reconciled(request_, odd, unreadable=2)
    assert (after.phase, after.reason) == (Phase.FAILED, reason)
    assert step_after(result, 0, timedelta(hours=1)) == Settled()
    notified = after.condition(ConditionType.CUSTOMER_NOTIFIED)
    assert notified is None or notified.status is ConditionStatus.FALSE
    assert untold(after) == []
    if reason is Reason.FULFILLMENT_FAILED:
        assert result.request is not None
        again = hinted(result.request, ReversalKind.INQUIRY, timedelta(hours=2))
        later, _ = await reconciled(again, outside(make_session(dispute=ReversalKind.INQUIRY), Done("twice")))
        assert (later.phase, later.reason) == (Phase.FAILED, reason)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [(PaymentStatus.FAILED, Reason.PAYMENT_FAILED), (PaymentStatus.PAID, Reason.SESSION_UNREADABLE)],
)
async def test_what_failed_keeps_its_reason_unless_an_event_says_that_it_was_paid(
    hint: PaymentStatus, expected: Reason
) -> None:
    """That a payment failed, and the buyer was told, is still so; a paid order that cannot be judged needs a person."""
    sent = MailOutcome(Reason.MAIL_SENT, "sent")
    failed = payment_failed(make_request(PaymentStatus.FAILED), UNPAID, sent, NOW)
    request = hinted(make_request(hint, status=failed), ReversalKind.FRAUD_WARNING, timedelta(hours=2))
    odd = outside(SessionUnreadableError("payment_status is odd"), Done())
    status, _ = await reconciled(request, odd, unreadable=2)
    assert (status.phase, status.reason) == (Phase.FAILED, expected)


@pytest.mark.parametrize("kind", [ReversalKind.PARTIALLY_REFUNDED, ReversalKind.REFUNDED])
async def test_a_notice_is_not_sent_again_before_its_backend_asked_for_it(kind: ReversalKind) -> None:
    """However much sooner the order itself is due, with which the notice would go."""
    later = TryAgain("the endpoint answered 429", timedelta(hours=1))
    part = make_session(amount_refunded=make_session().amount)
    session = part if kind is ReversalKind.PARTIALLY_REFUNDED else REFUNDED
    request = hinted(tried(InProgress("taken")), kind, timedelta(minutes=10))
    by = Notified(session, InProgress("taken"), SENT, None, api_server=True, notice=later)
    _, result = await reconciled(request, by)
    assert step_after(result, 0, timedelta(minutes=59)) == Wait(NOW + timedelta(hours=1))
    assert step_after(result, 0, timedelta(hours=1)) == RetrieveSession()


async def test_a_notice_lets_no_order_pass_its_deadline() -> None:
    """Whatever its backend asks to wait: then a person is told."""
    later = TryAgain("the endpoint answered 503", timedelta(days=7))
    part = make_session(amount_refunded=make_session().amount)
    begun = NOW - POLICY.backend_deadline + timedelta(hours=2)
    request = hinted(tried(InProgress("taken"), begun), ReversalKind.PARTIALLY_REFUNDED, timedelta(minutes=10))
    by = Notified(part, InProgress("taken"), SENT, None, api_server=True, notice=later)
    _, result = await reconciled(request, by)
    assert step_after(result, 0, timedelta(hours=1, minutes=59)) == Wait(NOW + timedelta(hours=2))
    assert step_after(result, 0, timedelta(hours=2)) == RetrieveSession()


async def test_a_callback_ends_what_waits_for_a_notice() -> None:
    """The backend does not take that the order was refunded, and says that it was done before: that is believed."""
    request = hinted(tried(InProgress("taken")), ReversalKind.REFUNDED, timedelta(minutes=1))
    callback = Callback(result=CallbackResult.DONE, observed_at=NOW)
    request = replace(request, spec=replace(request.spec, callback=callback))
    by = Notified(REFUNDED, Done("parcel-1"), SENT, None, api_server=True, notice=AWAY)
    status, _ = await reconciled(request, by)
    assert (status.phase, untold(status)) == (Phase.FULFILLED, [ReversalKind.REFUNDED])
    assert shown_reversals(status) == (ReversalKind.REFUNDED,)
