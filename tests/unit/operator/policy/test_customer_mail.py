"""Until when a mail that is put off is tried, and is said to be."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Reason, Status
from fulfillment_operator.backends.outcome import Done, TryAgain
from fulfillment_operator.checkout.session import SessionPayment
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.policy import transition
from fulfillment_operator.policy.customer_mail import give_up_in_time
from fulfillment_operator.policy.decide import Fail
from fulfillment_operator.policy.manual_actions import Complete, MarkFailed
from fulfillment_operator.policy.payment_state import PaymentState
from fulfillment_operator.policy.transition import (
    Attempt,
    Retries,
    awaiting_payment,
    dispatched,
    manually_ended,
    payment_failed,
)
from support.builders import CREATED, make_request, make_session

PUT_OFF = MailOutcome(Reason.MAIL_UNAVAILABLE, "the mail server put the mail off with 452; tried again")
GIVEN_UP = MailOutcome(Reason.MAIL_REJECTED, "the mail server put the mail off with 452; given up after 3 days")
NOT_CONFIGURED = MailOutcome(Reason.MAIL_NOT_CONFIGURED, "no mail server is set")
SENT = MailOutcome(Reason.MAIL_SENT, "the customer was asked to place a new order")


UNPAID = make_session(SessionPayment.UNPAID)


def failed(before: Status | None, outcome: MailOutcome, days: float) -> Status:
    """Fail a payment, with what came of its mail, so many days after the order was made."""
    now = CREATED + timedelta(days=days)
    return payment_failed(make_request(status=before), UNPAID, give_up_in_time(before, outcome, now), now)


def awaited(before: Status, days: float) -> Status:
    state = PaymentState.PROCESSING
    now = CREATED + timedelta(days=days)
    return awaiting_payment(make_request(status=before), UNPAID, state, now, overdue=False)


def given_up_by_a_person(before: Status, days: float) -> Status:
    return manually_ended(make_request(status=before), MarkFailed("sold out"), CREATED + timedelta(days=days))


FIRST = failed(None, PUT_OFF, 0)


@pytest.mark.parametrize(
    ("before", "outcome", "days", "expected"),
    [
        pytest.param(None, PUT_OFF, 9, PUT_OFF, id="the first try"),
        pytest.param(FIRST, PUT_OFF, 2.9, PUT_OFF, id="for three days"),
        pytest.param(failed(FIRST, PUT_OFF, 2), PUT_OFF, 3, GIVEN_UP, id="after three days"),
        pytest.param(FIRST, SENT, 3, SENT, id="sent in the end"),
        pytest.param(failed(None, NOT_CONFIGURED, 0), PUT_OFF, 9, PUT_OFF, id="a mail server came later"),
        pytest.param(
            failed(failed(None, NOT_CONFIGURED, 0), PUT_OFF, 9), PUT_OFF, 11, PUT_OFF, id="and is tried for as long"
        ),
        pytest.param(failed(failed(None, NOT_CONFIGURED, 0), PUT_OFF, 9), PUT_OFF, 12, GIVEN_UP, id="and no longer"),
        pytest.param(awaited(FIRST, 1), PUT_OFF, 9, PUT_OFF, id="another failure"),
        pytest.param(failed(awaited(FIRST, 1), PUT_OFF, 9), PUT_OFF, 11, PUT_OFF, id="has three days of its own"),
        pytest.param(failed(awaited(FIRST, 1), PUT_OFF, 9), PUT_OFF, 12, GIVEN_UP, id="and no more than that"),
        pytest.param(
            failed(given_up_by_a_person(FIRST, 1), PUT_OFF, 9), PUT_OFF, 11, PUT_OFF, id="as after a person failed it"
        ),
    ],
)
def test_a_mail_is_tried_for_three_days(
    before: Status | None, outcome: MailOutcome, days: float, expected: MailOutcome
) -> None:
    """From when it was put off first; a full mailbox would be tried for ever, and Stripe asked each time."""
    assert give_up_in_time(before, outcome, CREATED + timedelta(days=days)) == expected


PAID = make_session()
AWAY = TryAgain("the endpoint answered 503")
RETRIES = Retries(delay=timedelta(seconds=10), deadline=timedelta(hours=72))
LATER = CREATED + timedelta(days=1)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(
            lambda request: awaiting_payment(request, UNPAID, PaymentState.PROCESSING, LATER), id="on its way"
        ),
        pytest.param(lambda request: dispatched(request, Attempt(PAID, AWAY, "http"), RETRIES, LATER), id="paid"),
        pytest.param(
            lambda request: dispatched(request, Attempt(PAID, Done(), "http"), RETRIES, LATER), id="fulfilled"
        ),
        pytest.param(lambda request: transition.failed(request, Fail(Reason.REFUNDED, "", PAID), LATER), id="refunded"),
        pytest.param(lambda request: manually_ended(request, MarkFailed("sold out"), LATER), id="failed by a person"),
        pytest.param(lambda request: manually_ended(request, Complete("parcel 7"), LATER), id="completed by a person"),
    ],
)
def test_a_mail_that_nothing_tries_any_more_is_not_said_to_be_tried(
    written: Callable[[FulfillmentRequest], Status],
) -> None:
    """Once the payment is no failed one any more; when that was, the condition's time tells."""
    assert FIRST.condition(ConditionType.CUSTOMER_NOTIFIED) == notified(
        ConditionStatus.UNKNOWN, "the mail server put the mail off with 452; tried again", CREATED
    )
    assert written(make_request(status=FIRST)).condition(ConditionType.CUSTOMER_NOTIFIED) == notified(
        ConditionStatus.FALSE, "the mail server put the mail off with 452", LATER
    )


@pytest.mark.parametrize("outcome", [SENT, NOT_CONFIGURED, GIVEN_UP], ids=lambda outcome: outcome.reason)
def test_what_came_of_a_mail_stays(outcome: MailOutcome) -> None:
    """Whatever becomes of the order."""
    before = failed(None, outcome, 0)
    after = awaited(before, 1)
    assert after.condition(ConditionType.CUSTOMER_NOTIFIED) == before.condition(ConditionType.CUSTOMER_NOTIFIED)


def notified(status: ConditionStatus, message: str, since: datetime) -> Condition:
    return Condition(
        type=ConditionType.CUSTOMER_NOTIFIED,
        status=status,
        reason=Reason.MAIL_UNAVAILABLE,
        message=message,
        last_transition_time=since,
        observed_generation=1,
    )
