"""What `kubectl fulfillment` asks for: whether it may, by which annotations, and what counts as obeyed."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec.structs import replace

from builders import CREATED, make_request
from fulfillment_api import names
from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Obeyed, Phase, Reason, Status
from fulfillment_cli.wishes import Asker, Verb, Wish, annotations, doubt, event_note, is_obeyed, refusal
from fulfillment_operator.instructions import Complete, GiveUp, Hold
from fulfillment_operator.transition import ended_by_hand, held

NOW = CREATED + timedelta(hours=7)
ALICE = Asker(NOW, "alice")
SIGNED = "2026-11-02T16:00:00Z by alice"


def status(phase: Phase, reason: Reason, obeyed: Obeyed | None = None) -> Status:
    return Status(phase=phase, reason=reason, message="m", observed_generation=1, conditions=[], obeyed=obeyed)


def disputed(phase: Phase, reason: Reason) -> Status:
    condition = Condition(
        type=ConditionType.DISPUTED,
        status=ConditionStatus.TRUE,
        reason="Disputed",
        message="",
        last_transition_time=NOW,
    )
    return replace(status(phase, reason), conditions=[condition])


FAILED = status(Phase.FAILED, Reason.FULFILLMENT_FAILED)
FULFILLED = status(Phase.FULFILLED, Reason.FULFILLED)
WAITING = status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
TRYING = status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE)
NOTHING, PAUSED = Annotations(), Annotations(paused="a call")

DONE = "is fulfilled (Fulfilled): nothing changes it any more"


@dataclass(frozen=True)
class Case:
    """What is asked of a request as it stands, and why it is refused; None when it is not."""

    verb: Verb
    status: Status | None
    expected: str | None
    asked: Annotations = NOTHING


CASES = [
    *(Case(verb, FULFILLED, DONE) for verb in Verb if verb is not Verb.RESUME),
    Case(Verb.RETRY, FAILED, None),
    Case(Verb.RETRY, WAITING, None),
    Case(Verb.RETRY, TRYING, None),
    Case(Verb.RETRY, None, "was not looked at yet: is the operator running?"),
    Case(Verb.RETRY, FAILED, "is paused (a call): resume it first", PAUSED),
    Case(Verb.PAUSE, WAITING, None),
    Case(Verb.PAUSE, None, None),
    Case(Verb.PAUSE, FAILED, "is failed (FulfillmentFailed): nothing is left to be held"),
    Case(Verb.RESUME, WAITING, None, PAUSED),
    Case(Verb.RESUME, FULFILLED, None, PAUSED),
    Case(Verb.RESUME, WAITING, "is not paused"),
    Case(Verb.COMPLETE, FAILED, None),
    Case(Verb.COMPLETE, WAITING, None),
    Case(Verb.COMPLETE, TRYING, None, PAUSED),
    Case(Verb.FAIL, WAITING, None),
    Case(Verb.FAIL, FAILED, None),
    Case(Verb.ACKNOWLEDGE, FAILED, None),
    Case(Verb.ACKNOWLEDGE, disputed(Phase.FULFILLED, Reason.FULFILLED), None),
    Case(Verb.RETRY, disputed(Phase.FULFILLED, Reason.FULFILLED), DONE),
    Case(Verb.ACKNOWLEDGE, TRYING, "is fulfilling (BackendUnavailable): it did not fail"),
    Case(Verb.ACKNOWLEDGE, None, "was not looked at yet: is the operator running?"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.verb} {case.status and case.status.reason}")
def test_what_cannot_be_asked_is_refused_with_the_reason(case: Case) -> None:
    """By the phase, and by whether the order is held."""
    assert refusal(case.verb, make_request(status=case.status, annotations=case.asked)) == case.expected


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Wish(Verb.RETRY), {names.RETRY: SIGNED, names.FAIL: None, names.ACKNOWLEDGED: None}),
        (Wish(Verb.PAUSE, "odd address"), {names.PAUSED: f"odd address ({SIGNED})"}),
        (Wish(Verb.PAUSE), {names.PAUSED: f"no reason was given ({SIGNED})"}),
        (Wish(Verb.RESUME), {names.PAUSED: None}),
        (Wish(Verb.COMPLETE, "parcel 7"), {names.COMPLETE: "parcel 7"}),
        (Wish(Verb.COMPLETE), {names.COMPLETE: SIGNED}),
        (Wish(Verb.FAIL, "sold out"), {names.FAIL: f"sold out ({SIGNED})"}),
        (Wish(Verb.ACKNOWLEDGE, "told"), {names.ACKNOWLEDGED: f"FulfillmentFailed: told ({SIGNED})"}),
        (Wish(Verb.ACKNOWLEDGE), {names.ACKNOWLEDGED: f"FulfillmentFailed: {SIGNED}"}),
    ],
    ids=str,
)
def test_annotations_say_what_and_who_and_when(wish: Wish, expected: dict[str, str | None]) -> None:
    """A reference stands alone, for programs read it; another try takes away what was said of the one before."""
    assert annotations(wish, make_request(status=FAILED), ALICE) == expected


@pytest.mark.parametrize(
    "status",
    [FAILED, disputed(Phase.FAILED, Reason.FULFILLMENT_FAILED), disputed(Phase.FULFILLED, Reason.FULFILLED)],
    ids=lambda status: status.reason,
)
def test_an_acknowledgement_is_heard(status: Status) -> None:
    """It is of the failure that the request is in, or of the dispute about an order that was fulfilled."""
    (value,) = annotations(Wish(Verb.ACKNOWLEDGE, "told: twice"), make_request(status=status), ALICE).values()
    assert make_request(status=status, annotations=Annotations(acknowledged=value or "")).is_acknowledged


def test_nobody_is_named_when_the_cluster_does_not_tell() -> None:
    """Neither in the annotation nor in the Event."""
    someone = Asker(NOW, None)
    assert annotations(Wish(Verb.RETRY), make_request(status=FAILED), someone)[names.RETRY] == "2026-11-02T16:00:00Z"
    assert event_note(Wish(Verb.FAIL, "sold out"), someone) == "failed: sold out"
    assert event_note(Wish(Verb.RETRY), ALICE) == "retried by alice"


def after(wish: Wish) -> FulfillmentRequest:
    """Return the request as the operator leaves it when it obeys."""
    request = make_request(status=WAITING)
    value = next(iter(annotations(wish, request, ALICE).values())) or ""
    match wish.verb:
        case Verb.PAUSE:
            return replace(request, status=held(request, Hold(value), NOW))
        case Verb.COMPLETE:
            return replace(request, status=ended_by_hand(request, Complete(value), NOW))
        case Verb.FAIL:
            return replace(request, status=ended_by_hand(request, GiveUp(value), NOW))
        case Verb.RETRY:
            return make_request(status=status(Phase.FAILED, Reason.FULFILLMENT_FAILED, Obeyed(retry=value)))
        case _:
            return request


@pytest.mark.parametrize("wish", [Wish(verb, "word") for verb in Verb], ids=lambda wish: wish.verb)
def test_what_the_operator_does_counts_as_obeyed(wish: Wish) -> None:
    """And nothing before it does."""
    before = make_request(status=status(Phase.FULFILLING, Reason.PAUSED if wish.verb is Verb.RESUME else Reason.PAID))
    asked = annotations(wish, before, ALICE)
    assert is_obeyed(wish.verb, asked, before) is (wish.verb is Verb.ACKNOWLEDGE)
    assert is_obeyed(wish.verb, asked, after(wish))


def test_completing_what_brings_no_money_asks_back() -> None:
    """Goods would leave without money; a paid order raises no question."""
    paid, refunded = (
        Condition(type=kind, status=ConditionStatus.TRUE, reason="R", message="", last_transition_time=NOW)
        for kind in (ConditionType.PAID, ConditionType.REFUNDED)
    )
    assert doubt(Verb.COMPLETE, make_request(status=WAITING)) == "is not paid, as far as Stripe was asked"
    assert doubt(Verb.COMPLETE, make_request(status=replace(FAILED, conditions=[paid]))) is None
    assert doubt(Verb.COMPLETE, make_request(status=replace(FAILED, conditions=[paid, refunded]))) == "is refunded"
    assert doubt(Verb.FAIL, make_request(status=WAITING)) is None
