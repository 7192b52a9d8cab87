"""Until when a mail that is put off is tried."""

from datetime import timedelta

import pytest

from fulfillment_api.status import Phase, Reason, Status
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.policy.customer_mail import give_up_in_time
from support.builders import CREATED, make_status

PUT_OFF = MailOutcome(Reason.MAIL_UNAVAILABLE, "the mail server put the mail off with 452; tried again")
GIVEN_UP = MailOutcome(Reason.MAIL_REJECTED, "the mail server put the mail off with 452; given up after 3 days")
SENT = MailOutcome(Reason.MAIL_SENT, "the customer was asked to place a new order")


def told(reason: Reason | None) -> Status:
    return make_status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=reason)


@pytest.mark.parametrize(
    ("before", "outcome", "after", "expected"),
    [
        (None, PUT_OFF, timedelta(days=9), PUT_OFF),
        (told(None), PUT_OFF, timedelta(days=9), PUT_OFF),
        (told(Reason.MAIL_NOT_CONFIGURED), PUT_OFF, timedelta(days=9), PUT_OFF),
        (told(Reason.MAIL_UNAVAILABLE), PUT_OFF, timedelta(days=3) - timedelta(seconds=1), PUT_OFF),
        (told(Reason.MAIL_UNAVAILABLE), PUT_OFF, timedelta(days=3), GIVEN_UP),
        (told(Reason.MAIL_UNAVAILABLE), SENT, timedelta(days=3), SENT),
    ],
)
def test_a_mail_is_tried_for_three_days(
    before: Status | None, outcome: MailOutcome, after: timedelta, expected: MailOutcome
) -> None:
    """From when it was put off first; a full mailbox would be tried for ever, and Stripe asked each time."""
    assert give_up_in_time(before, outcome, CREATED + after) == expected
