"""What a backend is told of the try that it is asked for."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import Annotations
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Fulfillment, LastHandled, Phase, Reason
from fulfillment_operator.controller.paid_order import paid_order
from fulfillment_operator.policy.transition import tries_before
from support.builders import CREATED, make_request, make_session, make_status

STARTED = CREATED + timedelta(hours=1)
TRIED = Fulfillment(backend="job", attempts=1, started_at=STARTED)


@pytest.mark.parametrize(
    ("tried", "handled", "begun", "earlier"),
    [
        (None, None, None, None),
        (TRIED, "1", STARTED, None),
        (TRIED, None, None, STARTED),
        (None, "1", None, None),
    ],
    ids=["first", "at it", "retry", "retry of what nobody had"],
)
def test_when_a_try_and_the_one_before_it_began(
    tried: Fulfillment | None, handled: str | None, begun: object, earlier: object
) -> None:
    """As status tells: once a retry is noted, it no longer knows of the try before."""
    status = replace(
        make_status(Phase.FAILED, Reason.FULFILLMENT_FAILED),
        fulfillment=tried,
        last_handled=LastHandled(retry=handled),
    )
    request = make_request(status=status, annotations=Annotations(retry="1"))
    order = paid_order(request, make_session(), tries_before(request))
    assert (order.started_at, order.earlier_try_at) == (begun, earlier)


@pytest.mark.parametrize(
    ("payment", "paid_at"),
    [
        (PaymentStatus.PAID, CREATED),
        (PaymentStatus.NO_PAYMENT_REQUIRED, CREATED),
        (PaymentStatus.UNPAID, None),
        (PaymentStatus.FAILED, None),
    ],
)
def test_when_an_order_was_paid(payment: PaymentStatus, paid_at: object) -> None:
    """As an event said; one that told of something else does not know."""
    assert paid_order(make_request(payment), make_session(), None).paid_at == paid_at
