"""What comes after a sale: what stops an order, what is news of it, and how it is shown."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from builders import CREATED, make_request, make_session
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Sale, SaleKind
from fulfillment_api.status import ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.after_sale import is_due, news, noted, shown
from fulfillment_operator.backends.interface import Done
from fulfillment_operator.checkout import CheckoutSession
from fulfillment_operator.decide import Refuse, decide
from fulfillment_operator.transition import MailOutcome, Retries, handed_over, refused

NOW = CREATED + timedelta(hours=1)
RETRIES = Retries(delay=timedelta(seconds=2), deadline=timedelta(hours=72))
REFUNDED, DISPUTED = SaleKind.REFUNDED, SaleKind.DISPUTED


def fulfilled(kind: SaleKind | None = REFUNDED, *, generation: int = 2) -> FulfillmentRequest:
    """Return a request that was fulfilled in its first generation, and hinted at in its second."""
    status = handed_over(make_request(), make_session(), Done("order-7"), "http", RETRIES, CREATED)
    request = make_request(status=status, generation=generation)
    return replace(request, spec=replace(request.spec, sale=Sale(kind=kind) if kind else None))


def conditions(status: Status) -> dict[str, tuple[ConditionStatus, str, str]]:
    return {each.type: (each.status, each.reason, each.message) for each in status.conditions}


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (make_session(refunded=True), Reason.REFUNDED),
        (make_session(disputed=True), Reason.DISPUTED),
        (make_session(refunded=True, disputed=True), Reason.REFUNDED),
    ],
)
def test_what_was_undone_before_it_was_fulfilled_is_not_fulfilled(session: CheckoutSession, reason: Reason) -> None:
    """The request fails with a reason of its own; the conditions tell all that came after the sale."""
    step = decide(make_request(), session, NOW)
    assert isinstance(step, Refuse)
    status = refused(make_request(), step, NOW)
    assert (status.phase, status.reason) == (Phase.FAILED, reason)
    found = conditions(status)
    assert found["Paid"][0] is ConditionStatus.TRUE
    assert (ConditionType.REFUNDED in found, ConditionType.DISPUTED in found) == (session.refunded, session.disputed)


@pytest.mark.parametrize(
    ("request_", "due"),
    [
        (fulfilled(REFUNDED), True),
        (fulfilled(DISPUTED), True),
        (fulfilled(REFUNDED, generation=1), False),  # looked at
        (fulfilled(SaleKind.EXPIRED), False),
        (fulfilled(None), False),
        (make_request(generation=2), False),
    ],
)
def test_which_fulfilled_orders_are_looked_at(request_: FulfillmentRequest, due: bool) -> None:
    """Those of which an event hinted at something that nobody looked at."""
    assert due == is_due(request_)


def test_it_is_shown_once_and_the_order_stays_fulfilled() -> None:
    """A second look finds no news; the first time stays."""
    before = fulfilled()
    session = make_session(refunded=True)
    assert before.status is not None
    status = noted(before, before.status, news(before, session), None, NOW)
    assert (status.phase, status.reason, status.message) == (
        Phase.FULFILLED,
        Reason.FULFILLED,
        "the backend http fulfilled the order as order-7",
    )
    assert status.observed_generation == 2
    assert conditions(status)["Refunded"] == (ConditionStatus.TRUE, "Refunded", "all of the payment was given back")
    after = replace(before, status=status)
    assert shown(status) == (REFUNDED,)
    assert news(after, session) == ()
    assert news(after, make_session(refunded=True, disputed=True)) == (DISPUTED,)
    assert noted(after, status, (), None, NOW + timedelta(hours=1)) == status


def test_that_a_backend_does_not_know_is_shown() -> None:
    """A person may then tell it."""
    before = fulfilled(DISPUTED)
    assert before.status is not None
    status = noted(before, before.status, (DISPUTED,), "the endpoint answered 503", NOW)
    assert conditions(status)["Disputed"][2] == (
        "the buyer disputes the payment; the backend does not know: the endpoint answered 503"
    )


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (MailOutcome(Reason.MAIL_SENT, "sent"), ConditionStatus.TRUE),
        (MailOutcome(Reason.MAIL_UNAVAILABLE, "not sent"), ConditionStatus.FALSE),
    ],
)
def test_a_receipt_is_shown_and_holds_nothing(outcome: MailOutcome, expected: ConditionStatus) -> None:
    """The order is fulfilled whatever became of the mail about it."""
    status = handed_over(make_request(), make_session(), Done(), "log", RETRIES, NOW, outcome)
    assert status.phase is Phase.FULFILLED
    assert conditions(status)["CustomerNotified"] == (expected, outcome.reason, outcome.message)
