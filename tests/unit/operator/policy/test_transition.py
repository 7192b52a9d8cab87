"""The status that follows from each step."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fulfillment_api.spec import PaymentStatus, ReversalKind
from fulfillment_api.status import ConditionType, Fulfillment, Phase, Reason, Reversals, Status
from fulfillment_operator.backends.outcome import Done, InProgress, Outcome, Rejected, TryAgain
from fulfillment_operator.checkout.session import SessionPayment
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.policy.decide import Fail
from fulfillment_operator.policy.manual_actions import Pause
from fulfillment_operator.policy.payment_state import PaymentState
from fulfillment_operator.policy.reversals import ReversalChange
from fulfillment_operator.policy.transition import (
    Attempt,
    Retries,
    awaiting_payment,
    check_after,
    dispatched,
    ended_empty,
    failed,
    paused,
    payment_failed,
    stripe_error,
)
from support.builders import CREATED, make_request, make_session

NOW = CREATED + timedelta(minutes=1)
RETRIES = Retries(delay=timedelta(seconds=10), deadline=timedelta(hours=72))
TEXTS = st.integers(0, 40_000).map("x".__mul__)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Done, TEXTS), st.builds(InProgress, TEXTS, TEXTS), st.builds(TryAgain, TEXTS), st.builds(Rejected, TEXTS)
)


def conditions(status: Status) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status, each.reason) for each in status.conditions}


def test_awaiting_payment() -> None:
    """A delayed payment: the order is copied, and nothing is Ready nor Stalled, which kstatus reads as in progress."""
    status = awaiting_payment(
        make_request(PaymentStatus.UNPAID), make_session(SessionPayment.UNPAID), PaymentState.PROCESSING, NOW
    )
    assert (status.phase, status.reason) == (Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
    assert conditions(status) == {
        "Paid": ("False", "PaymentProcessing"),
        "Fulfilled": ("False", "PaymentProcessing"),
        "Ready": ("False", "PaymentProcessing"),
        "Stalled": ("False", "PaymentProcessing"),
    }
    assert status.order is not None
    assert [item.description for item in status.order.line_items] == ["Cotton T-shirt, navy, M"]
    assert status.fulfillment is None


def test_fulfilled() -> None:
    """A done order: Ready, with the backend's reference, in one step from nothing."""
    status = dispatched(make_request(), Attempt(make_session(), Done("order-7"), "http"), RETRIES, NOW)
    assert (status.phase, status.reason) == (Phase.FULFILLED, Reason.FULFILLED)
    assert conditions(status) == {
        "Paid": ("True", "Paid"),
        "Fulfilled": ("True", "Fulfilled"),
        "Ready": ("True", "Fulfilled"),
        "Stalled": ("False", "Fulfilled"),
    }
    assert status.fulfillment is not None
    assert (status.fulfillment.reference, status.fulfillment.attempts) == ("order-7", 1)
    assert status.fulfillment.completed_at == NOW


def test_a_free_order_says_so() -> None:
    """Paid is true for NoPaymentRequired."""
    session = make_session(SessionPayment.NO_PAYMENT_REQUIRED)
    status = dispatched(make_request(), Attempt(session, Done(), "log"), RETRIES, NOW)
    assert conditions(status)["Paid"] == ("True", "NoPaymentRequired")


@pytest.mark.parametrize(
    ("outcome", "expected_delay"),
    [
        (TryAgain("the endpoint answered 503"), timedelta(seconds=10)),
        (TryAgain("the endpoint answered 429", timedelta(seconds=3)), timedelta(seconds=10)),
        (TryAgain("the endpoint answered 429", timedelta(minutes=5)), timedelta(minutes=5)),
        (TryAgain("the endpoint answered 429", timedelta(days=30)), timedelta(hours=72)),
        (TryAgain("try again when it is too late", timedelta.max), timedelta(hours=72)),
    ],
)
def test_a_passing_fault_is_tried_again(outcome: TryAgain, expected_delay: timedelta) -> None:
    """Fulfilling, with the next try after the backoff or Retry-After, whichever is later, but by the deadline."""
    status = dispatched(make_request(), Attempt(make_session(), outcome, "http"), RETRIES, NOW)
    assert (status.phase, status.reason) == (Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE)
    assert status.fulfillment is not None
    assert status.fulfillment.next_attempt_at == NOW + expected_delay
    assert status.fulfillment.last_error == outcome.error


@pytest.mark.parametrize(
    ("outcome", "later"),
    [
        pytest.param(Rejected("the endpoint refused the order with 422"), timedelta(0), id="refused for good"),
        pytest.param(TryAgain("the endpoint answered 503"), timedelta(hours=72), id="the deadline passed"),
    ],
)
def test_what_the_backend_will_not_do_needs_a_person(outcome: Outcome, later: timedelta) -> None:
    """Failed, FulfillmentFailed, Stalled; the tries are counted on."""
    first = dispatched(
        make_request(), Attempt(make_session(), TryAgain("the endpoint answered 503"), "http"), RETRIES, NOW
    )
    second = dispatched(make_request(status=first), Attempt(make_session(), outcome, "http"), RETRIES, NOW + later)
    assert (second.phase, second.reason) == (Phase.FAILED, Reason.FULFILLMENT_FAILED)
    assert conditions(second)["Stalled"] == ("True", "FulfillmentFailed")
    assert conditions(second)["Paid"] == ("True", "Paid")
    assert second.fulfillment is not None
    assert (second.fulfillment.attempts, second.fulfillment.started_at) == (2, NOW)
    assert second.fulfillment.next_attempt_at is None
    assert second.message.endswith("a person is needed")


@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        (MailOutcome(Reason.MAIL_SENT, "the customer was asked to place a new order"), ("True", "MailSent")),
        (MailOutcome(Reason.MAIL_UNAVAILABLE, "the mail server answered 451"), ("Unknown", "MailUnavailable")),
        (MailOutcome(Reason.NO_EMAIL_ADDRESS, "Stripe has no e-mail address"), ("False", "NoEmailAddress")),
    ],
)
def test_a_failed_payment(mail: MailOutcome, expected: tuple[str, str]) -> None:
    """Failed at once, whatever came of the mail; the condition CustomerNotified has that."""
    status = payment_failed(make_request(PaymentStatus.FAILED), make_session(SessionPayment.UNPAID), mail, NOW)
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.PAYMENT_FAILED)
    assert conditions(status)["CustomerNotified"] == expected
    assert conditions(status)["Stalled"] == ("True", "PaymentFailed")
    assert mail.message in status.message


def test_a_customer_who_was_told_stays_told() -> None:
    """When nobody is mailed a second time, the condition of the first mail stands."""
    session = make_session(SessionPayment.UNPAID)
    first = payment_failed(make_request(), session, MailOutcome(Reason.MAIL_SENT, "the customer was asked"), NOW)
    second = payment_failed(make_request(status=first), session, None, NOW + timedelta(hours=1))
    assert second.condition(ConditionType.CUSTOMER_NOTIFIED) == first.condition(ConditionType.CUSTOMER_NOTIFIED)
    assert (first.message, second.message) == ("the payment failed; the customer was asked",) * 2


def test_a_refusal() -> None:
    """Failed for the refusal's own reason; whether it was paid is unknown."""
    status = failed(make_request(), Fail(Reason.SESSION_NOT_FOUND, "Stripe knows no such Session"), NOW)
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.SESSION_NOT_FOUND)
    assert conditions(status)["Paid"] == ("Unknown", "SessionNotFound")


def test_a_refused_order_is_tried_no_more() -> None:
    """As when it is refunded while a passing fault lasts: no next try is shown."""
    waiting = dispatched(make_request(), Attempt(make_session(), TryAgain("away"), "http"), RETRIES, NOW)
    status = failed(make_request(status=waiting), Fail(Reason.REFUNDED, "it was refunded", make_session()), NOW)
    assert waiting.fulfillment is not None
    assert waiting.fulfillment.next_attempt_at == NOW + RETRIES.delay
    assert status.fulfillment == replace(waiting.fulfillment, next_attempt_at=None)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (PaymentStatus.PAID, Phase.FULFILLING),
        (PaymentStatus.NO_PAYMENT_REQUIRED, Phase.FULFILLING),
        (PaymentStatus.UNPAID, Phase.AWAITING_PAYMENT),
        (PaymentStatus.FAILED, Phase.AWAITING_PAYMENT),
    ],
)
def test_while_stripe_is_away_the_hint_tells_the_phase(hint: PaymentStatus, expected: Phase) -> None:
    """An order that nobody could look at yet shows why, and is neither failed nor fulfilled."""
    status = stripe_error(make_request(hint), Reason.STRIPE_UNAVAILABLE, "Stripe's API cannot be reached", NOW)
    assert (status.phase, status.reason) == (expected, Reason.STRIPE_UNAVAILABLE)
    assert conditions(status)["Paid"] == ("Unknown", "StripeUnavailable")


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (PaymentStatus.UNPAID, ("False", "PaymentRequiresAction")),
        (PaymentStatus.PAID, ("Unknown", "StripeUnavailable")),
        (PaymentStatus.FAILED, ("Unknown", "StripeUnavailable")),
        (PaymentStatus.CANCELED, ("Unknown", "StripeUnavailable")),
    ],
)
def test_while_stripe_is_away_its_last_word_about_the_payment_stands(
    hint: PaymentStatus, expected: tuple[str, str]
) -> None:
    """Unless an event has said since how the payment ended; the phase's own conditions tell of the error."""
    asked = awaiting_payment(make_request(), make_session(SessionPayment.UNPAID), PaymentState.REQUIRES_ACTION, NOW)
    away = stripe_error(make_request(hint, status=asked), Reason.STRIPE_UNAVAILABLE, "away", NOW)
    assert conditions(away)["Paid"] == expected
    assert conditions(away)["Fulfilled"] == ("False", "StripeUnavailable")


@pytest.mark.parametrize("hint", [PaymentStatus.UNPAID, PaymentStatus.PAID])
def test_what_a_backend_has_stays_fulfilling_while_stripe_is_away(hint: PaymentStatus) -> None:
    """Such as after a pause: that it was paid Stripe has said, and what the backend does not know yet it is told."""
    change = ReversalChange(reversals=Reversals(untold=[ReversalKind.PARTIALLY_REFUNDED]))
    attempt = Attempt(make_session(), InProgress("taken"), "http", reversal=change)
    request = make_request(hint, status=dispatched(make_request(hint), attempt, RETRIES, NOW))
    held = make_request(hint, status=paused(request, Pause("a call"), NOW))
    away = stripe_error(held, Reason.STRIPE_UNAVAILABLE, "away", NOW)
    assert (away.phase, conditions(away)["Paid"]) == (Phase.FULFILLING, ("True", "Paid"))
    assert away.reversals == Reversals(untold=[ReversalKind.PARTIALLY_REFUNDED])


def test_while_stripe_is_away_a_payment_that_it_said_nothing_of_is_unknown() -> None:
    """For the newest reason."""
    held = paused(make_request(PaymentStatus.UNPAID), Pause("the address is odd"), NOW)
    away = stripe_error(make_request(PaymentStatus.UNPAID, status=held), Reason.STRIPE_UNAVAILABLE, "away", NOW)
    assert conditions(away)["Paid"] == ("Unknown", "StripeUnavailable")


@given(outcome=OUTCOMES, later=st.sampled_from([timedelta(0), RETRIES.deadline]))
def test_whatever_a_backend_says_can_be_written(outcome: Outcome, later: timedelta) -> None:
    """A status that the API server refuses would be tried for ever, and the backend with it."""
    first = dispatched(make_request(), Attempt(make_session(), outcome, "http"), RETRIES, NOW)
    for status in (
        first,
        dispatched(make_request(status=first), Attempt(make_session(), outcome, "http"), RETRIES, NOW + later),
    ):
        assert msgspec.convert(msgspec.to_builtins(status), Status) == status


def test_a_backend_that_takes_its_time_is_no_fault() -> None:
    """The order is fulfilling and handed over once; asking again is no news, and the deadline ends it."""
    session, answer = make_session(), InProgress("the Job runs", "job-7")
    first = dispatched(make_request(), Attempt(session, answer, "job"), RETRIES, NOW)
    assert (first.phase, first.reason) == (Phase.FULFILLING, Reason.DISPATCHED)
    assert first.fulfillment == Fulfillment(
        backend="job", attempts=1, started_at=NOW, accepted_at=NOW, reference="job-7"
    )
    request = make_request(status=first)
    assert dispatched(request, Attempt(session, answer, "job"), RETRIES, NOW + timedelta(minutes=5)) == first
    late = dispatched(request, Attempt(session, answer, "job"), RETRIES, NOW + RETRIES.deadline)
    assert (late.phase, late.reason) == (Phase.FAILED, Reason.FULFILLMENT_FAILED)
    assert late.message == "the Job runs; it did not come to an end until the deadline, so a person is needed"


@pytest.mark.parametrize("outcome", [InProgress("the Job runs", "job-7"), TryAgain("the Job does not start")])
def test_a_backend_that_was_asked_before_the_deadline_is_asked_again_after_it(outcome: Outcome) -> None:
    """It did not leave the order off, and nobody would look at one that failed: it is asked again at once."""
    session, answer = make_session(), InProgress("the Job runs", "job-7")
    request = make_request(status=dispatched(make_request(), Attempt(session, answer, "job"), RETRIES, NOW))
    deadline = NOW + RETRIES.deadline
    attempt = Attempt(session, outcome, "job", asked_at=deadline - timedelta(seconds=1))
    status = dispatched(request, attempt, RETRIES, deadline + timedelta(seconds=1))
    assert status.phase is Phase.FULFILLING
    assert status.fulfillment is not None
    due = status.fulfillment.next_attempt_at or deadline + timedelta(seconds=1)
    assert due == deadline + timedelta(seconds=1)
    recheck_at = deadline + timedelta(hours=1)
    wait = check_after(status, outcome, RETRIES, recheck_at, deadline + timedelta(seconds=1))
    assert wait is None if isinstance(outcome, TryAgain) else wait == timedelta(seconds=-1)


def test_what_a_backend_took_stays_taken() -> None:
    """Over its refusal and the deadline, so that a late word counts; only hand-overs count as attempts."""
    session, later = make_session(), NOW + timedelta(minutes=5)
    taken = dispatched(make_request(), Attempt(session, InProgress("it waits", "job-7"), "http"), RETRIES, NOW)
    for outcome in (Rejected("no"), TryAgain("away"), InProgress("it waits"), Done()):
        status = dispatched(make_request(status=taken), Attempt(session, outcome, "http"), RETRIES, later)
        assert status.fulfillment is not None
        assert (status.fulfillment.attempts, status.fulfillment.accepted_at) == (1, NOW)
        assert status.fulfillment.reference == "job-7"


def test_a_payment_that_was_released_is_not_paid() -> None:
    """Failed without a mail, and Paid says why."""
    fail = Fail(Reason.PAYMENT_CANCELED, "the payment was canceled", make_session(SessionPayment.UNPAID))
    status = failed(make_request(), fail, NOW)
    assert conditions(status) == {
        "Paid": ("False", "PaymentCanceled"),
        "Fulfilled": ("False", "PaymentCanceled"),
        "Ready": ("False", "PaymentCanceled"),
        "Stalled": ("True", "PaymentCanceled"),
    }


def test_what_sold_nothing_is_fulfilled() -> None:
    """Nothing is left to do, no backend has it, and nothing failed."""
    status = ended_empty(make_request(), make_session(SessionPayment.NO_PAYMENT_REQUIRED, mode="setup"), NOW)
    assert (status.phase, status.reason) == (Phase.FULFILLED, Reason.NOTHING_TO_FULFILL)
    assert conditions(status)["Ready"] == ("True", "NothingToFulfill")
    assert conditions(status)["Stalled"] == ("False", "NothingToFulfill")
    assert status.fulfillment is None


def test_no_route_leaves_it_paid() -> None:
    """What is refused for want of a route was asked of Stripe before."""
    session = make_session(SessionPayment.NO_PAYMENT_REQUIRED)
    status = failed(make_request(), Fail(Reason.NO_ROUTE, "no route takes it", session), NOW)
    assert conditions(status)["Paid"] == ("True", "NoPaymentRequired")


def test_saying_the_same_again_changes_nothing() -> None:
    """A second look with the same result gives an equal status, so it is not written again."""
    session = make_session(SessionPayment.UNPAID)
    first = awaiting_payment(make_request(PaymentStatus.UNPAID), session, PaymentState.PROCESSING, NOW)
    again = make_request(PaymentStatus.UNPAID, status=first)
    assert awaiting_payment(again, session, PaymentState.PROCESSING, NOW + timedelta(days=1)) == first


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    """The lastTransitionTime is the time of the change of status, as metav1.Condition asks."""
    session = make_session(SessionPayment.UNPAID)
    first = awaiting_payment(make_request(PaymentStatus.UNPAID), session, PaymentState.PROCESSING, NOW)
    later = NOW + timedelta(days=3)
    paid = dispatched(make_request(status=first), Attempt(make_session(), Done(), "log"), RETRIES, later)
    times = {each.type: each.last_transition_time for each in paid.conditions}
    assert times == {"Paid": later, "Fulfilled": later, "Ready": later, "Stalled": NOW}


def test_the_observed_generation_is_the_one_decided_on() -> None:
    """What kstatus compares with metadata.generation."""
    request = make_request(generation=4)
    status = dispatched(request, Attempt(make_session(), Done(), "log"), RETRIES, NOW)
    assert status.observed_generation == 4
    assert {each.observed_generation for each in status.conditions} == {4}
    assert replace(status, message="") != status
