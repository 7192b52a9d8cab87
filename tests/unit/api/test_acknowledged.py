"""Which failures count as dealt with, and what the gauge says of them."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.metrics import RequestsCollector, request_level
from support.builders import CREATED, make_request


@dataclass(frozen=True)
class Case:
    name: str
    phase: Phase
    reason: Reason
    annotation: str
    acknowledged: bool


CASES = [
    Case("nothing is said", Phase.FAILED, Reason.PAYMENT_FAILED, "", acknowledged=False),
    Case("its reason", Phase.FAILED, Reason.PAYMENT_FAILED, "PaymentFailed", acknowledged=True),
    Case("and what was done", Phase.FAILED, Reason.PAYMENT_FAILED, "PaymentFailed: called them", acknowledged=True),
    Case("with a space too many", Phase.FAILED, Reason.PAYMENT_FAILED, " PaymentFailed : told", acknowledged=True),
    Case("no reason", Phase.FAILED, Reason.PAYMENT_FAILED, "called them", acknowledged=False),
    Case("the failure before", Phase.FAILED, Reason.FULFILLMENT_FAILED, "PaymentFailed: told", acknowledged=False),
    Case("stopped by a dispute", Phase.FAILED, Reason.DISPUTED, "Disputed: accepted", acknowledged=True),
    Case("one of several", Phase.FAILED, Reason.REFUND_FAILED, "Disputed,RefundFailed: told", acknowledged=True),
    Case("with spaces", Phase.FAILED, Reason.REFUND_FAILED, " Disputed , RefundFailed : told", acknowledged=True),
    Case("none of several", Phase.FAILED, Reason.NO_ROUTE, "Disputed,RefundFailed: told", acknowledged=False),
    Case("after the colon", Phase.FAILED, Reason.DISPUTED, "RefundFailed: paid back,Disputed", acknowledged=False),
    Case("no failure", Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, "BackendUnavailable", acknowledged=False),
]


def acknowledged(case: Case) -> FulfillmentRequest:
    status = Status(phase=case.phase, reason=case.reason, message="m", observed_generation=1, conditions=[])
    request = make_request(status=status)
    return replace(request, metadata=replace(request.metadata, annotations=Annotations(acknowledged=case.annotation)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_acknowledgement_is_of_the_reasons_that_it_names(case: Case) -> None:
    """Another failure of the same order is news, and free text without the reason counts for nothing."""
    assert acknowledged(case).is_acknowledged == case.acknowledged


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("Disputed: evidence sent", True),
        ("RefundFailed: sent by bank transfer", True),
        ("Refunded", False),
        ("Fulfilled", False),
    ],
)
def test_what_waits_for_somebody_after_the_fulfillment_is_acknowledged_by_its_name(
    annotation: str, expected: bool
) -> None:
    """Its reason is the condition's, not that of the phase."""
    case = Case("", Phase.FULFILLED, Reason.FULFILLED, annotation, acknowledged=expected)
    assert acknowledged(case).is_acknowledged is expected


DISPUTED, REFUND_FAILED = (
    Condition(type=kind, status=ConditionStatus.UNKNOWN, reason=reason, message="m", last_transition_time=CREATED)
    for kind, reason in ((ConditionType.DISPUTED, Reason.DISPUTED), (ConditionType.REFUNDED, Reason.REFUND_FAILED))
)


@pytest.mark.parametrize(
    ("conditions", "annotation", "expected"),
    [
        ([DISPUTED], "Disputed: evidence sent", True),
        ([DISPUTED], "RefundFailed: sent by bank transfer", False),
        ([DISPUTED], "Disputed,RefundFailed: called them", True),
        ([REFUND_FAILED, DISPUTED], "Disputed: evidence sent", False),
        ([REFUND_FAILED, DISPUTED], "RefundFailed: sent by bank transfer", False),
        ([REFUND_FAILED, DISPUTED], "RefundFailed,Disputed: called them", True),
    ],
)
def test_all_that_is_open_after_the_fulfillment_is_to_be_named(
    conditions: list[Condition], annotation: str, expected: bool
) -> None:
    """A dispute and a refund that failed of one order have one annotation."""
    request = acknowledged(Case("", Phase.FULFILLED, Reason.FULFILLED, annotation, acknowledged=expected))
    assert request.status is not None
    request = replace(request, status=replace(request.status, conditions=conditions))
    assert request.is_acknowledged is expected


def test_before_the_first_look_nothing_is_acknowledged() -> None:
    """There is no failure yet."""
    assert not make_request().is_acknowledged


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_gauge_tells_it(case: Case) -> None:
    """A request is counted once, and every other label set is there at 0."""
    family = next(iter(RequestsCollector(lambda: [request_level(acknowledged(case))], lambda: 0, list).collect()))
    counts = {tuple(sample.labels.values()): sample.value for sample in family.samples}
    labels = (str(case.phase), str(case.reason), str(case.acknowledged).lower())
    assert {each for each, count in counts.items() if count} == {labels}
    assert len(counts) == len(family.samples)
    assert ("awaiting-payment", "PaymentProcessing", "false") in counts
