"""Until when a mail that is put off is tried."""

from datetime import timedelta

import pytest

from fulfillment_api.status import Reason, Status
from fulfillment_operator.checkout.session import SessionPayment
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.policy.customer_mail import give_up_in_time
from fulfillment_operator.policy.payment_state import PaymentState
from fulfillment_operator.policy.transition import awaiting_payment, payment_failed
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
    ],
)
def test_a_mail_is_tried_for_three_days(
    before: Status | None, outcome: MailOutcome, days: float, expected: MailOutcome
) -> None:
    """From when it was put off first; a full mailbox would be tried for ever, and Stripe asked each time."""
    assert give_up_in_time(before, outcome, CREATED + timedelta(days=days)) == expected
