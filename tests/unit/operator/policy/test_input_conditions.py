"""What was said and not taken for true shows in status, and is told once: tables."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, RejectedCallback
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Status
from fulfillment_operator.policy.input_conditions import with_input_conditions
from support.builders import CREATED, make_request

LATER = CREATED + timedelta(hours=1)
ODD = {"checkout-fulfillment.dev/stop": "now"}
WRONG = RejectedCallback(message="the signature is not ours", observed_at=CREATED)
SHOWN = "a callback was rejected: the signature is not ours"
STOP = "the annotation checkout-fulfillment.dev/stop means nothing: there are "


def condition(kind: ConditionType, status: ConditionStatus, reason: str, message: str) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=CREATED)


def status(*conditions: Condition, phase: Phase = Phase.FULFILLING, reason: str = "Dispatched") -> Status:
    return Status(phase=phase, reason=reason, message="…", observed_generation=1, conditions=list(conditions))


def request(
    *conditions: Condition,
    annotations: dict[str, str] | None = None,
    refused: RejectedCallback | None = None,
    callback: Callback | None = None,
) -> FulfillmentRequest:
    made = make_request(status=status(*conditions), callback=callback)
    return replace(
        made,
        metadata=replace(made.metadata, annotations=annotations or {}),
        spec=replace(made.spec, rejected_callback=refused),
    )


def believed(minutes: int) -> Callback:
    return Callback(result=CallbackResult.DONE, observed_at=CREATED + timedelta(minutes=minutes))


ANNOTATIONS_VALID, ACCEPTED = ConditionType.ANNOTATIONS_VALID, ConditionType.CALLBACK_ACCEPTED
NO, YES = ConditionStatus.FALSE, ConditionStatus.TRUE
IS_ODD = condition(ANNOTATIONS_VALID, NO, "InvalidAnnotation", "other words")
IS_REFUSED = condition(ACCEPTED, NO, "CallbackRejected", SHOWN)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (request(), None),
        (request(annotations={"other.example/paused": ""}), None),
        (request(annotations=ODD), (ANNOTATIONS_VALID, NO, "InvalidAnnotation")),
        (request(IS_ODD, annotations=ODD), (ANNOTATIONS_VALID, NO, "InvalidAnnotation")),
        (request(IS_ODD), (ANNOTATIONS_VALID, YES, "AnnotationsValid")),
        (request(refused=WRONG), (ACCEPTED, NO, "CallbackRejected")),
        (request(IS_REFUSED, refused=WRONG), None),
        (request(IS_REFUSED, refused=WRONG, callback=believed(-1)), None),
        (request(IS_REFUSED, refused=WRONG, callback=believed(1)), (ACCEPTED, YES, "CallbackAccepted")),
    ],
)
def test_what_is_remarked(
    found: FulfillmentRequest, expected: tuple[ConditionType, ConditionStatus, str] | None
) -> None:
    """Only what the status does not show yet; nothing else of it changes."""
    written = with_input_conditions(found, LATER)
    assert (expected is None) == (written is None)
    if expected and written and found.status:
        shown = written.condition(expected[0])
        assert shown
        assert expected == (shown.type, shown.status, shown.reason)
        assert replace(written, conditions=[]) == replace(found.status, conditions=[])
        assert with_input_conditions(replace(found, status=written), LATER) is None


def test_a_request_that_nobody_looked_at_has_no_remarks_yet() -> None:
    """Its first status comes first."""
    assert with_input_conditions(replace(request(annotations=ODD), status=None), LATER) is None


def test_any_number_of_odd_annotations_fits() -> None:
    """The message is cut, and then calls for nothing again."""
    many = request(annotations={f"checkout-fulfillment.dev/a{number}": "" for number in range(500)})
    written = with_input_conditions(many, LATER)
    assert written
    found = written.condition(ANNOTATIONS_VALID)
    assert found
    assert len(found.message) == 4096
    assert with_input_conditions(replace(many, status=written), LATER) is None
