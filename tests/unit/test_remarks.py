"""What was said and not taken for true shows in status, and is told once: tables."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from builders import CREATED, make_request
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, RefusedCallback
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.announcements import Announcement, announcements
from fulfillment_operator.remarks import remarked

LATER = CREATED + timedelta(hours=1)
ODD = {"checkout-fulfillment.dev/stop": "now"}
WRONG = RefusedCallback(message="the signature is not ours", observed_at=CREATED)
SHOWN = "a callback was refused: the signature is not ours"
STOP = "the annotation checkout-fulfillment.dev/stop means nothing: there are "


def condition(kind: ConditionType, status: ConditionStatus, reason: str, message: str) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=CREATED)


def status(*conditions: Condition, phase: Phase = Phase.FULFILLING, reason: str = "HandedOver") -> Status:
    return Status(phase=phase, reason=reason, message="…", observed_generation=1, conditions=list(conditions))


def request(
    *conditions: Condition,
    annotations: dict[str, str] | None = None,
    refused: RefusedCallback | None = None,
    callback: Callback | None = None,
) -> FulfillmentRequest:
    made = make_request(status=status(*conditions), callback=callback)
    return replace(
        made,
        metadata=replace(made.metadata, annotations=annotations or {}),
        spec=replace(made.spec, refused_callback=refused),
    )


def believed(minutes: int) -> Callback:
    return Callback(result=CallbackResult.DONE, observed_at=CREATED + timedelta(minutes=minutes))


UNDERSTOOD, ACCEPTED = ConditionType.ANNOTATIONS_UNDERSTOOD, ConditionType.CALLBACK_ACCEPTED
NO, YES = ConditionStatus.FALSE, ConditionStatus.TRUE
IS_ODD = condition(UNDERSTOOD, NO, "OddAnnotation", "other words")
IS_REFUSED = condition(ACCEPTED, NO, "CallbackRefused", SHOWN)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (request(), None),
        (request(annotations={"other.example/paused": ""}), None),
        (request(annotations=ODD), (UNDERSTOOD, NO, "OddAnnotation")),
        (request(IS_ODD, annotations=ODD), (UNDERSTOOD, NO, "OddAnnotation")),
        (request(IS_ODD), (UNDERSTOOD, YES, "Understood")),
        (request(refused=WRONG), (ACCEPTED, NO, "CallbackRefused")),
        (request(IS_REFUSED, refused=WRONG), None),
        (request(IS_REFUSED, refused=WRONG, callback=believed(-1)), None),
        (request(IS_REFUSED, refused=WRONG, callback=believed(1)), (ACCEPTED, YES, "CallbackAccepted")),
    ],
)
def test_what_is_remarked(
    found: FulfillmentRequest, expected: tuple[ConditionType, ConditionStatus, str] | None
) -> None:
    """Only what the status does not show yet; nothing else of it changes."""
    written = remarked(found, LATER)
    assert (expected is None) == (written is None)
    if expected and written and found.status:
        shown = written.condition(expected[0])
        assert shown
        assert expected == (shown.type, shown.status, shown.reason)
        assert replace(written, conditions=[]) == replace(found.status, conditions=[])
        assert remarked(replace(found, status=written), LATER) is None


def test_a_request_that_nobody_looked_at_has_no_remarks_yet() -> None:
    """Its first status comes first."""
    assert remarked(replace(request(annotations=ODD), status=None), LATER) is None


def test_any_number_of_odd_annotations_fits() -> None:
    """The message is cut, and then calls for nothing again."""
    many = request(annotations={f"checkout-fulfillment.dev/a{number}": "" for number in range(500)})
    written = remarked(many, LATER)
    assert written
    found = written.condition(UNDERSTOOD)
    assert found
    assert len(found.message) == 4096
    assert remarked(replace(many, status=written), LATER) is None


SENT = condition(ConditionType.CUSTOMER_NOTIFIED, YES, "MailSent", "sent")
LATE = condition(ConditionType.CUSTOMER_NOTIFIED, NO, "MailUnavailable", "away")
REFUSED = condition(ConditionType.CUSTOMER_NOTIFIED, NO, "MailRefused", "refused with 550")
FAILED = (Phase.FAILED, Reason.PAYMENT_FAILED)
DONE = (Phase.FULFILLED, Reason.FULFILLED)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, status(), [Announcement("HandedOver", "…")]),
        (status(), status(), []),
        (status(), status(reason="BackendUnavailable"), [Announcement("BackendUnavailable", "…", warning=True)]),
        (status(), status(phase=Phase.FAILED), [Announcement("HandedOver", "…", warning=True)]),
        (status(), status(IS_ODD), [Announcement("OddAnnotation", "other words", warning=True)]),
        (status(IS_ODD), status(IS_ODD), []),
        (status(IS_ODD), status(condition(UNDERSTOOD, YES, "Understood", "fine")), []),
        (status(), status(IS_REFUSED), [Announcement("CallbackRefused", SHOWN, warning=True)]),
        (
            status(),
            status(REFUSED, phase=FAILED[0], reason=FAILED[1]),
            [Announcement("PaymentFailed", "…", warning=True)],
        ),
        (
            status(LATE, phase=FAILED[0], reason=FAILED[1]),
            status(SENT, phase=FAILED[0], reason=FAILED[1]),
            [Announcement("MailSent", "sent")],
        ),
        (
            status(LATE, phase=FAILED[0], reason=FAILED[1]),
            status(REFUSED, phase=FAILED[0], reason=FAILED[1]),
            [Announcement("MailRefused", "refused with 550", warning=True)],
        ),
        (status(), status(SENT, phase=DONE[0], reason=DONE[1]), [Announcement("Fulfilled", "…")]),
        (
            status(),
            status(REFUSED, phase=DONE[0], reason=DONE[1]),
            [Announcement("Fulfilled", "…"), Announcement("MailRefused", "refused with 550", warning=True)],
        ),
    ],
)
def test_what_is_told(before: Status | None, after: Status, expected: list[Announcement]) -> None:
    """Each thing once, and what stands in the transition's own words not again."""
    assert expected == list(announcements(before, after))
