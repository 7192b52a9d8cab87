"""The actions of `kubectl fulfillment`: whether one is allowed, by which annotations, and what counts as handled."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api import names
from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.spec import PaymentStatus, Reversal, ReversalKind
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, LastHandled, Phase, Reason, Status
from fulfillment_cli.action_client import operator_hint
from fulfillment_cli.actions import (
    Action,
    Actor,
    Verb,
    annotations,
    changed_meanwhile,
    event_note,
    failed_precondition,
    is_handled,
    needs_events,
    overtaken,
    warning,
)
from fulfillment_operator.policy.manual_actions import Complete, MarkFailed, Pause
from fulfillment_operator.policy.transition import manually_ended, paused
from support.builders import CREATED, make_request

NOW = CREATED + timedelta(hours=7)
ALICE = Actor(NOW, "alice")
SIGNED = "2026-11-02T16:00:00Z by alice"


def status(phase: Phase, reason: Reason, last_handled: LastHandled | None = None) -> Status:
    return Status(
        phase=phase, reason=reason, message="m", observed_generation=1, conditions=[], last_handled=last_handled
    )


DISPUTED, REFUND_FAILED = (
    Condition(type=kind, status=status, reason=reason, message="", last_transition_time=NOW)
    for kind, status, reason in (
        (ConditionType.DISPUTED, ConditionStatus.TRUE, "Disputed"),
        (ConditionType.REFUNDED, ConditionStatus.FALSE, "RefundFailed"),
    )
)


def disputed(phase: Phase, reason: Reason) -> Status:
    return replace(status(phase, reason), conditions=[DISPUTED])


FAILED = status(Phase.FAILED, Reason.FULFILLMENT_FAILED)
FULFILLED = status(Phase.FULFILLED, Reason.FULFILLED)
WAITING = status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
HELD = status(Phase.FULFILLING, Reason.RESTORED)
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
    Case(Verb.RETRY, None, "was not reconciled yet: is the operator running?"),
    Case(Verb.RETRY, FAILED, "is paused (a call): resume it first", PAUSED),
    Case(Verb.PAUSE, WAITING, None),
    Case(Verb.PAUSE, None, None),
    Case(Verb.PAUSE, FAILED, "is failed (FulfillmentFailed): nothing is left to pause"),
    Case(Verb.PAUSE, HELD, "is fulfilling (Restored): it is held until it is completed, failed or retried"),
    Case(Verb.RETRY, HELD, None),
    Case(Verb.COMPLETE, HELD, None),
    Case(Verb.FAIL, HELD, None),
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
    Case(Verb.ACKNOWLEDGE, None, "was not reconciled yet: is the operator running?"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.verb} {case.status and case.status.reason}")
def test_what_cannot_be_asked_is_refused_with_the_reason(case: Case) -> None:
    """By the phase, and by whether the order is paused."""
    assert failed_precondition(case.verb, make_request(status=case.status, annotations=case.asked)) == case.expected


RESTORED = make_request(PaymentStatus.UNPAID, status=HELD)
NOT_PAID = "it has a payment that is unpaid, as its event said"


@pytest.mark.parametrize(
    ("verb", "selected", "request_now", "expected"),
    [
        (Verb.RETRY, make_request(status=FAILED), make_request(status=FAILED, generation=2), None),
        (Verb.RETRY, make_request(status=FAILED), make_request(status=TRYING), "fulfilling (BackendUnavailable)"),
        (
            Verb.FAIL,
            make_request(status=FAILED),
            make_request(status=status(Phase.FAILED, Reason.REFUNDED)),
            "failed (Refunded)",
        ),
        (Verb.COMPLETE, make_request(), make_request(status=WAITING), "awaiting-payment (PaymentProcessing)"),
        (
            Verb.RETRY,
            make_request(status=FAILED),
            make_request(status=FAILED, annotations=Annotations(acknowledged="FulfillmentFailed: brought it")),
            "failed (FulfillmentFailed), acknowledged",
        ),
        (
            Verb.ACKNOWLEDGE,
            make_request(status=disputed(Phase.FULFILLED, Reason.FULFILLED)),
            make_request(status=replace(FULFILLED, conditions=[REFUND_FAILED, DISPUTED])),
            "fulfilled (Fulfilled), Disputed+RefundFailed",
        ),
        (Verb.FAIL, RESTORED, make_request(status=HELD), "fulfilling (Restored), payment paid"),
        (Verb.COMPLETE, make_request(status=HELD), RESTORED, f"fulfilling (Restored), {NOT_PAID}, payment unpaid"),
        (
            Verb.FAIL,
            make_request(status=WAITING),
            replace(
                make_request(status=WAITING),
                spec=replace(make_request().spec, reversal=Reversal(kind=ReversalKind.DISPUTED)),
            ),
            "awaiting-payment (PaymentProcessing), disputed",
        ),
        (Verb.PAUSE, make_request(status=WAITING), make_request(status=TRYING), None),
    ],
)
def test_what_is_not_as_it_was_selected_is_let_be(
    verb: Verb, selected: FulfillmentRequest, request_now: FulfillmentRequest, expected: str | None
) -> None:
    """By what a person chose it by, or confirmed; a pause comes whatever the order is by then."""
    found = changed_meanwhile(verb, selected, request_now)
    assert found == (expected and f"changed meanwhile: is now {expected}")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Action(Verb.RETRY), {names.RETRY: SIGNED, names.FAIL: None, names.ACKNOWLEDGED: None}),
        (Action(Verb.PAUSE, "odd address"), {names.PAUSED: f"odd address ({SIGNED})"}),
        (Action(Verb.PAUSE), {names.PAUSED: f"no reason was given ({SIGNED})"}),
        (Action(Verb.RESUME), {names.PAUSED: None}),
        (Action(Verb.COMPLETE, "parcel 7"), {names.COMPLETE: "parcel 7"}),
        (Action(Verb.COMPLETE), {names.COMPLETE: SIGNED}),
        (Action(Verb.FAIL, "sold out"), {names.FAIL: f"sold out ({SIGNED})"}),
        (Action(Verb.ACKNOWLEDGE, "told"), {names.ACKNOWLEDGED: f"FulfillmentFailed: told ({SIGNED})"}),
        (Action(Verb.ACKNOWLEDGE), {names.ACKNOWLEDGED: f"FulfillmentFailed: {SIGNED}"}),
    ],
    ids=str,
)
def test_annotations_say_what_and_who_and_when(action: Action, expected: dict[str, str | None]) -> None:
    """A reference stands alone, for programs read it; another try takes away what was said of the one before."""
    assert annotations(action, make_request(status=FAILED), ALICE) == expected


@pytest.mark.parametrize(
    ("status", "reasons"),
    [
        (FAILED, "FulfillmentFailed"),
        (disputed(Phase.FAILED, Reason.FULFILLMENT_FAILED), "FulfillmentFailed"),
        (disputed(Phase.FULFILLED, Reason.FULFILLED), "Disputed"),
        (replace(FULFILLED, conditions=[REFUND_FAILED]), "RefundFailed"),
        (replace(FULFILLED, conditions=[REFUND_FAILED, DISPUTED]), "Disputed,RefundFailed"),
    ],
)
def test_an_acknowledgement_is_heard(status: Status, reasons: str) -> None:
    """It is of the failure that the request is in; of a fulfilled order, of its dispute and its refund that failed."""
    assert failed_precondition(Verb.ACKNOWLEDGE, make_request(status=status)) is None
    (value,) = annotations(Action(Verb.ACKNOWLEDGE, "told: twice"), make_request(status=status), ALICE).values()
    assert value == f"{reasons}: told: twice ({SIGNED})"
    assert make_request(status=status, annotations=Annotations(acknowledged=value or "")).is_acknowledged


@pytest.mark.parametrize("verb", Verb)
def test_events_say_who_it_was_where_no_annotation_does(verb: Verb) -> None:
    """Of up to a hundred orders they always do."""
    written = annotations(Action(verb, "parcel 7"), make_request(status=FAILED), ALICE)
    is_named = any(value and SIGNED in value for value in written.values())
    assert needs_events(verb, 100)
    assert needs_events(verb, 101) is not is_named


def test_nobody_is_named_when_the_cluster_does_not_tell() -> None:
    """Neither in the annotation nor in the Event."""
    someone = Actor(NOW, None)
    assert annotations(Action(Verb.RETRY), make_request(status=FAILED), someone)[names.RETRY] == "2026-11-02T16:00:00Z"
    assert event_note(Action(Verb.FAIL, "sold out"), someone) == "failed: sold out"
    assert event_note(Action(Verb.RETRY), ALICE) == "retried by alice"


def after(action: Action) -> FulfillmentRequest:
    """Return the request as the operator leaves it when it obeys."""
    request = make_request(status=WAITING)
    value = next(iter(annotations(action, request, ALICE).values())) or ""
    match action.verb:
        case Verb.PAUSE:
            return replace(request, status=paused(request, Pause(value), NOW))
        case Verb.COMPLETE:
            return replace(request, status=manually_ended(request, Complete(value), NOW))
        case Verb.FAIL:
            return replace(request, status=manually_ended(request, MarkFailed(value), NOW))
        case Verb.RETRY:
            return make_request(status=status(Phase.FAILED, Reason.FULFILLMENT_FAILED, LastHandled(retry=value)))
        case _:
            return request


@pytest.mark.parametrize("action", [Action(verb, "word") for verb in Verb], ids=lambda action: action.verb)
def test_what_the_operator_does_counts_as_handled(action: Action) -> None:
    """And nothing before it does."""
    before = make_request(status=status(Phase.FULFILLING, Reason.PAUSED if action.verb is Verb.RESUME else Reason.PAID))
    requested = annotations(action, before, ALICE)
    assert is_handled(action.verb, requested, before) is (action.verb is Verb.ACKNOWLEDGE)
    assert is_handled(action.verb, requested, after(action))


DONE_MEANWHILE = "was fulfilled meanwhile: nothing changes it any more"


@pytest.mark.parametrize(
    ("verb", "status", "expected"),
    [
        *((verb, FULFILLED, DONE_MEANWHILE) for verb in (Verb.RETRY, Verb.PAUSE, Verb.COMPLETE, Verb.FAIL)),
        (Verb.RESUME, FULFILLED, None),
        (Verb.ACKNOWLEDGE, FULFILLED, None),
        (Verb.PAUSE, FAILED, "failed meanwhile (FulfillmentFailed): nothing is left to pause"),
        *((verb, FAILED, None) for verb in Verb if verb is not Verb.PAUSE),
        *((verb, WAITING, None) for verb in Verb),
        *((verb, None, None) for verb in Verb),
    ],
)
def test_what_will_never_be_handled_is_known_at_once(verb: Verb, status: Status | None, expected: str | None) -> None:
    """Nobody waits for it, or looks for what is wrong with the operator."""
    assert overtaken(verb, make_request(status=status)) == expected


def test_completing_what_brings_no_money_asks_back() -> None:
    """Goods would leave without money; a paid order raises no question."""
    paid, refunded = (
        Condition(type=kind, status=ConditionStatus.TRUE, reason="R", message="", last_transition_time=NOW)
        for kind in (ConditionType.PAID, ConditionType.REFUNDED)
    )
    assert warning(Verb.COMPLETE, make_request(status=WAITING)) == "is not paid, as far as Stripe was asked"
    assert warning(Verb.COMPLETE, make_request(status=replace(FAILED, conditions=[paid]))) is None
    assert warning(Verb.COMPLETE, make_request(status=replace(FAILED, conditions=[paid, refunded]))) == "is refunded"
    assert warning(Verb.FAIL, make_request(status=WAITING)) is None


@pytest.mark.parametrize(
    ("payment", "expected"),
    [
        (PaymentStatus.PAID, None),
        (PaymentStatus.NO_PAYMENT_REQUIRED, None),
        (PaymentStatus.UNPAID, "has a payment that is unpaid, as its event said"),
        (PaymentStatus.FAILED, "has a payment that is failed, as its event said"),
    ],
)
def test_a_restored_order_is_warned_of_by_its_event(payment: PaymentStatus, expected: str | None) -> None:
    """Stripe was not asked about it, so nothing else tells whether it is paid."""
    assert warning(Verb.COMPLETE, make_request(payment, status=HELD)) == expected


@pytest.mark.parametrize("verb", Verb)
def test_what_to_check_when_nothing_is_handled(verb: Verb) -> None:
    """The operator; of an order that is to end also its backend, which has to be stopped first."""
    hint = operator_hint(verb, "shop")
    assert hint.startswith("is the operator running, and for this namespace? kubectl get pods -n shop -l ")
    assert hint.endswith(" --tail=-1 | grep not_stopped") is (verb in {Verb.COMPLETE, Verb.FAIL})
