"""Conditions are all of the generation that their status is of, whatever was merged into which: tables."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Reversal, ReversalKind
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.policy.conditions import merged, observed
from support.builders import CREATED, make_request

LATER = CREATED + timedelta(hours=1)


def condition(kind: ConditionType, generation: int) -> Condition:
    return Condition(
        type=kind,
        status=ConditionStatus.TRUE,
        reason="Paid",
        message="…",
        last_transition_time=CREATED,
        observed_generation=generation,
    )


def status(phase: Phase, *conditions: Condition, generation: int = 1) -> Status:
    return Status(
        phase=phase,
        reason=Reason.FULFILLED,
        message="…",
        observed_generation=generation,
        conditions=list(conditions),
    )


def test_what_is_not_spoken_of_stays_and_becomes_of_the_generation_that_was_observed() -> None:
    """It holds of the newer spec as well; its time is still that of its status."""
    before = status(Phase.FULFILLED, condition(ConditionType.PAID, 1), condition(ConditionType.READY, 2))
    said = {ConditionType.REFUNDED: (ConditionStatus.TRUE, Reason.REFUNDED, "…")}
    after = merged(before, said, 3, LATER)
    assert [(each.type, each.observed_generation) for each in after] == [("Paid", 3), ("Ready", 3), ("Refunded", 3)]
    assert [each.last_transition_time for each in after] == [CREATED, CREATED, LATER]


FULFILLED = status(Phase.FULFILLED, condition(ConditionType.READY, 1))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (make_request(status=FULFILLED, generation=2), True),
        (make_request(status=FULFILLED), False),
        (make_request(status=status(Phase.FAILED), generation=2), False),
        (make_request(generation=2), False),
    ],
)
def test_a_fulfilled_order_is_observed_in_its_newest_spec(request_: FulfillmentRequest, expected: bool) -> None:
    """What else came into its spec changes nothing of it; one that is not fulfilled is reconciled."""
    found = observed(request_)
    assert (found is not None) is expected
    if found is not None:
        assert found.observed_generation == 2
        assert [each.observed_generation for each in found.conditions] == [2]


def test_a_reversal_is_left_to_its_sweep() -> None:
    """It finds the order by that very generation."""
    request = make_request(status=FULFILLED, generation=2)
    spec = replace(request.spec, reversal=Reversal(kind=ReversalKind.REFUNDED))
    assert observed(replace(request, spec=spec)) is None
