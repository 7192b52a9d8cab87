"""A request while it waits: nothing of it is lost, and it takes little memory."""

import tracemalloc
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from msgspec.structs import replace

from fulfillment_api.names import request_name
from fulfillment_api.spec import Spec
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, LineItem, Order, Phase, Status
from fulfillment_operator.controller.cached_request import CachedRequest
from fulfillment_operator.metrics import RequestLevel
from support.builders import CREATED, make_request
from support.schema_strategies import instances

PAID_AT = CREATED + timedelta(days=5)
REQUESTS = 500
HELD_AT_MOST = 1400
"""Bytes of a request with three line items: 28 MB of 20,000. As objects they were 5 KB each."""


@given(instances(Spec), instances(Status))
def test_what_is_held_is_the_whole_request(spec: Spec, status: Status) -> None:
    """Every field of spec and status."""
    request = replace(make_request(), spec=spec, status=status)
    cached = CachedRequest.pack(request)
    assert cached.unpack() == cached.compressed().unpack() == cached.compressed().compressed().unpack() == request
    assert (cached.name, cached.uid, cached.version) == (request.metadata.name, request.metadata.uid, 7)
    assert cached.level[:2] == (status.phase, status.reason)


def test_a_new_request_is_counted_without_a_phase() -> None:
    """As before its first reconcile."""
    assert CachedRequest.pack(make_request()).level == RequestLevel("", "", False, CREATED.timestamp())  # noqa: FBT003


@pytest.mark.parametrize(
    ("phase", "paid", "since"),
    [
        (Phase.FULFILLING, ConditionStatus.TRUE, PAID_AT),
        (Phase.FULFILLING, ConditionStatus.UNKNOWN, CREATED),  # Stripe could not be asked
        (Phase.FULFILLING, None, CREATED),
        (Phase.AWAITING_PAYMENT, ConditionStatus.FALSE, CREATED),
        (Phase.FAILED, ConditionStatus.TRUE, CREATED),
    ],
)
def test_an_order_is_as_old_as_its_payment_while_it_is_fulfilled(
    phase: Phase, paid: ConditionStatus | None, since: datetime
) -> None:
    """A bank debit that settles after days is not stuck at once."""
    conditions = [
        Condition(type=ConditionType.PAID, status=each, reason="Paid", message="m", last_transition_time=PAID_AT)
        for each in (paid,)
        if each is not None
    ]
    status = Status(phase=phase, reason="BackendUnavailable", message="m", observed_generation=1, conditions=conditions)
    level = CachedRequest.pack(make_request(status=status)).level
    assert level == RequestLevel(phase, "BackendUnavailable", False, since.timestamp())  # noqa: FBT003


def test_a_request_that_waits_takes_little_memory() -> None:
    """Whatever it is made of: its line items are compressed, too."""
    items = [
        LineItem(
            id=f"li_{number}" + "x" * 24, description="Linen shirt, rust, XS", price="price_" + "y" * 24, quantity=1
        )
        for number in range(3)
    ]

    def pack(number: int) -> CachedRequest:
        session_id = f"cs_test_{number:058}"
        request = make_request(session_id=session_id, name=request_name(session_id))
        status = Status(
            phase=Phase.AWAITING_PAYMENT,
            reason="PaymentProcessing",
            message="the payment is on its way; it may take days to succeed or fail",
            observed_generation=1,
            conditions=[],
            order=Order(line_items=items),
        )
        return CachedRequest.pack(
            replace(request, status=status, metadata=replace(request.metadata, uid=str(UUID(int=number))))
        ).compressed()

    pack(0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        cached = [pack(number) for number in range(REQUESTS)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cached) == REQUESTS
    assert (after - before) / REQUESTS <= HELD_AT_MOST
