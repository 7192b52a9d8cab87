"""How long a payment may take before a person is asked to look."""

from datetime import timedelta

import pytest

from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase, Reason
from fulfillment_operator.checkout.session import SessionPayment
from fulfillment_operator.policy.decide import AwaitPayment, decide
from fulfillment_operator.policy.payment_methods import longest_wait
from fulfillment_operator.policy.payment_state import PaymentState
from fulfillment_operator.policy.transition import awaiting_payment
from support.builders import CREATED, make_request, make_session


@pytest.mark.parametrize(
    ("methods", "days"),
    [
        (("card", "us_bank_account"), 10),
        (("card", "sepa_debit", "us_bank_account"), 14),
        (("customer_balance",), 45),
        (("card",), 14),
        (("a_method_of_tomorrow",), 14),
        ((), 14),
    ],
)
def test_the_slowest_method_counts(methods: tuple[str, ...], days: int) -> None:
    """What is not known has two weeks."""
    assert longest_wait(methods) == timedelta(days=days)


@pytest.mark.parametrize(("days", "overdue"), [(14, False), (14.1, True)])
def test_an_order_is_overdue_when_its_method_cannot_take_that_long(days: float, overdue: bool) -> None:
    """It goes on waiting: the payment may still come, and only a person may give it up."""
    session = make_session(SessionPayment.UNPAID, payment_methods=("card", "sepa_debit"))
    now = CREATED + timedelta(days=days)
    assert decide(make_request(PaymentStatus.UNPAID), session, now) == AwaitPayment(
        session, PaymentState.PROCESSING, overdue
    )


def test_an_overdue_order_says_so() -> None:
    """In its reason, for the alert, and in a sentence for the person."""
    session = make_session(SessionPayment.UNPAID)
    status = awaiting_payment(make_request(), session, PaymentState.PROCESSING, CREATED, overdue=True)
    assert (status.phase, status.reason) == (Phase.AWAITING_PAYMENT, Reason.PAYMENT_OVERDUE)
    assert status.message == "the payment takes longer than its method can: look at it in the Stripe Dashboard"
