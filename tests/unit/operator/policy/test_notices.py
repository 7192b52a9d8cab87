"""Which notices about refunds and disputes a backend does not take, and what is shown and tried again of that."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Amount, Reversal, ReversalKind
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_operator.backends.outcome import Rejected, TryAgain
from fulfillment_operator.policy.notices import (
    Problems,
    first_to_retry,
    given_up_after_deadline,
    given_up_unless_swept,
    notified_until,
    with_problems,
)
from fulfillment_operator.policy.reversals import reversal_change, with_reversals
from support.builders import CREATED, make_request, make_session

NOW = CREATED + timedelta(hours=1)
REFUND, DISPUTED = ReversalKind.PARTIALLY_REFUNDED, ReversalKind.DISPUTED
BOTH = make_session(dispute=DISPUTED, amount_refunded=Amount(total=500, currency="usd", display="5.00 USD"))
AWAY, REFUSED = TryAgain("the endpoint answered 503"), Rejected("the endpoint answered 422")


def fulfilled(reversal: Reversal | None = None) -> FulfillmentRequest:
    status = Status(phase=Phase.FULFILLED, reason=Reason.FULFILLED, message="", observed_generation=1, conditions=[])
    request = make_request(status=status)
    return replace(request, spec=replace(request.spec, reversal=reversal))


@pytest.mark.parametrize(
    ("problems", "refund", "dispute", "untold"),
    [
        ({}, "", "", []),
        ({DISPUTED: REFUSED}, "", "; the backend does not know: the endpoint answered 422", []),
        ({DISPUTED: AWAY}, "", "; the backend does not know yet: the endpoint answered 503", [DISPUTED]),
        (
            {REFUND: REFUSED, DISPUTED: AWAY},
            "; the backend does not know: the endpoint answered 422",
            "; the backend does not know yet: the endpoint answered 503",
            [DISPUTED],
        ),
    ],
)
def test_what_a_backend_does_not_know_is_shown_of_that_alone(
    problems: Problems, refund: str, dispute: str, untold: list[ReversalKind]
) -> None:
    """A person may then tell it; what it may take later is told again."""
    before = fulfilled()
    assert before.status is not None
    change = with_problems(reversal_change(before, BOTH, NOW), problems)
    status = with_reversals(before, before.status, change, NOW)
    messages = {each.type: each.message for each in status.conditions}
    assert messages == {
        "Refunded": f"5.00 USD of 10.99 USD was given back{refund}",
        "Disputed": f"the buyer disputes the payment{dispute}",
    }
    assert status.reversals is not None
    assert status.reversals.untold == untold
    assert first_to_retry(problems) == (AWAY if untold else None)


@pytest.mark.parametrize(
    ("after", "problem"), [(timedelta(hours=1), AWAY), (timedelta(hours=1, seconds=1), Rejected(AWAY.error))]
)
def test_after_its_deadline_a_notice_is_tried_no_more(after: timedelta, problem: TryAgain | Rejected) -> None:
    assert given_up_after_deadline(fulfilled(), {REFUND: AWAY}, timedelta(hours=1), CREATED + after) == {
        REFUND: problem
    }


@pytest.mark.parametrize(
    ("reversal", "problem"), [(Reversal(kind=REFUND), AWAY), (None, Rejected(AWAY.error))], ids=["an event", "none"]
)
def test_what_no_event_told_of_is_not_tried_once_the_order_is_fulfilled(
    reversal: Reversal | None, problem: TryAgain | Rejected
) -> None:
    """The sweep, which goes on with it, finds orders by their events."""
    assert given_up_unless_swept(fulfilled(reversal), {REFUND: AWAY}) == {REFUND: problem}


def test_until_when_a_backend_is_told() -> None:
    """From the event on; without one, from when the order was first dispatched."""
    request, day = fulfilled(Reversal(kind=REFUND)), timedelta(days=1)
    assert notified_until(request, day) == CREATED + day
    late = replace(request.spec, reversal=Reversal(kind=REFUND, observed_at=NOW))
    assert notified_until(replace(request, spec=late), day) == NOW + day
    assert notified_until(make_request(), day) == CREATED + day
