"""What a person asks for by annotations: what is followed, once, and what goes before what."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.names import PAUSED
from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.status import Fulfillment, LastHandled, Manual, Phase, Reason, Status
from fulfillment_operator.backends.outcome import Done, Rejected, TryAgain
from fulfillment_operator.policy.input_conditions import with_input_conditions
from fulfillment_operator.policy.manual_actions import (
    Complete,
    ManualAction,
    MarkFailed,
    Pause,
    latest_retry,
    manual_action,
)
from fulfillment_operator.policy.next_step import (
    EndManually,
    RequeueState,
    RetrieveSession,
    Settled,
    ShowPaused,
    Step,
    Wait,
    awaits_stripe,
    next_step,
)
from fulfillment_operator.policy.transition import (
    Attempt,
    Retries,
    dispatched,
    manually_ended,
    paused,
    restored,
    stripe_error,
)
from support.builders import CREATED, make_request, make_session

NOW = CREATED + timedelta(hours=1)
RETRIES = Retries(delay=timedelta(seconds=10), deadline=timedelta(hours=72))
TRIED = Fulfillment(backend="http", attempts=7, started_at=CREATED, last_error="the endpoint answered 503")


def status(phase: Phase, reason: Reason, last_handled: LastHandled | None = None) -> Status:
    return Status(
        phase=phase,
        reason=reason,
        message="",
        observed_generation=1,
        conditions=[],
        fulfillment=TRIED,
        last_handled=last_handled,
    )


FAILED = status(Phase.FAILED, Reason.FULFILLMENT_FAILED)
RETRIED = status(Phase.FAILED, Reason.FULFILLMENT_FAILED, LastHandled(retry="1"))
WAITING = status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
GIVEN_UP = status(Phase.FAILED, Reason.MANUALLY_FAILED, LastHandled(fail="sold out"))
COMPLETED = status(Phase.FULFILLED, Reason.MANUALLY_COMPLETED)
MANUAL = replace(WAITING, phase=Phase.FULFILLING, fulfillment=replace(TRIED, backend="manual"))
HELD = paused(make_request(), Pause("a call"), NOW)


def said(**manual: str) -> Status:
    return replace(MANUAL, manual=Manual(**manual))


GIVEN_UP_SO = replace(
    said(fail="sold out"),
    phase=Phase.FAILED,
    reason=Reason.MANUALLY_FAILED,
    last_handled=LastHandled(manual="sold out"),
)


def step(request: FulfillmentRequest) -> Step:
    return next_step(
        request, NOW, RequeueState(NOW), livemode=False, recheck=timedelta(hours=6), retry_max=timedelta(minutes=15)
    )


@dataclass(frozen=True)
class Case:
    """A request as it stands, what a person asks for, and when it is looked at."""

    name: str
    before: Status | None
    asked: Annotations
    expected: ManualAction | None
    step: type[Step] = RetrieveSession
    generation: int = 1


CASES = [
    Case("nothing is asked", FAILED, Annotations(), None, Settled),
    Case("complete", FAILED, Annotations(complete="parcel 7"), Complete("parcel 7"), EndManually),
    Case("complete, done", COMPLETED, Annotations(complete="x"), Complete("x"), Settled),
    Case("fail", WAITING, Annotations(fail="sold out"), MarkFailed("sold out"), EndManually),
    Case("fail, done", GIVEN_UP, Annotations(fail="sold out"), None, Settled),
    Case(
        "fail, then another word", GIVEN_UP, Annotations(fail="never had it"), MarkFailed("never had it"), EndManually
    ),
    Case("news of an order that was given up", GIVEN_UP, Annotations(), MarkFailed("sold out"), EndManually, 2),
    Case("given up, and tried after all", GIVEN_UP, Annotations(fail="sold out", retry="1"), None, generation=2),
    Case("a new order is held", None, Annotations(paused="a call"), Pause("a call"), ShowPaused),
    Case("held, and shown so", HELD, Annotations(paused="a call"), Pause("a call"), Settled),
    Case("held for another reason", HELD, Annotations(paused="a visit"), Pause("a visit"), ShowPaused),
    Case("held, and there is news", HELD, Annotations(paused="a call"), Pause("a call"), ShowPaused, 2),
    Case("no longer held", HELD, Annotations(), None),
    Case("a failed order has nothing to hold", FAILED, Annotations(paused="a call"), Pause("a call"), Settled),
    Case("held, and yet completed", HELD, Annotations(paused="a call", complete="x"), Complete("x"), EndManually),
    Case("retry", FAILED, Annotations(retry="1"), None),
    Case("retry, done", RETRIED, Annotations(retry="1"), None, Settled),
    Case("retry while it waits", WAITING, Annotations(retry="1"), None),
    Case(
        "another controller completes",
        said(complete="parcel 7"),
        Annotations(),
        Complete("parcel 7", patched=True),
        EndManually,
    ),
    Case(
        "another controller fails",
        said(fail="sold out"),
        Annotations(),
        MarkFailed("sold out", patched=True),
        EndManually,
    ),
    Case(
        "both by another controller",
        said(complete="x", fail="y"),
        Annotations(),
        Complete("x", patched=True),
        EndManually,
    ),
    Case(
        "a person goes before it", said(complete="x"), Annotations(fail="sold out"), MarkFailed("sold out"), EndManually
    ),
    Case(
        "it goes before a hold",
        said(fail="x"),
        Annotations(paused="a call"),
        MarkFailed("x", patched=True),
        EndManually,
    ),
    Case("blanks of another controller", said(complete=" "), Annotations(), None),
    Case("another backend's", replace(said(complete="x"), fulfillment=TRIED), Annotations(), None),
    Case("not handed over", replace(said(complete="x"), fulfillment=None), Annotations(), None),
    Case("given up by another controller", GIVEN_UP_SO, Annotations(), None, Settled),
    Case("news of such", GIVEN_UP_SO, Annotations(), MarkFailed("sold out", patched=True), EndManually, 2),
    Case("such, and tried after all", GIVEN_UP_SO, Annotations(retry="1"), None),
    Case("a wait as ever", WAITING, Annotations(), None, Wait),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_wish_is_followed_once(case: Case) -> None:
    """And what ends an order goes before what holds it."""
    request = make_request(status=case.before, annotations=case.asked, generation=case.generation)
    assert manual_action(request) == case.expected
    assert type(step(request)) is case.step


def test_a_word_of_any_length_is_followed_once() -> None:
    """Status keeps as much of it as it has room for."""
    word = "x" * 5000
    ended = manually_ended(make_request(), MarkFailed(word[:1024]), NOW)
    assert manual_action(make_request(status=ended, annotations=Annotations(fail=word))) is None


def test_what_failed_by_one_word_tells_it_until_a_person_says_another() -> None:
    """An order that another controller failed after a person had, too: news repeats what was said last, and by whom."""
    request = make_request(status=replace(GIVEN_UP_SO, last_handled=LastHandled(fail="no stock", manual="sold out")))
    assert request.status is not None
    said_last = replace(
        request.status, message="another controller says that the order is not to be fulfilled: sold out"
    )
    news = make_request(status=said_last, generation=2)
    asked = step(news)
    assert isinstance(asked, EndManually)
    again = manually_ended(news, asked.action, NOW)
    assert (again.message, again.observed_generation) == (said_last.message, 2)


def test_another_reason_to_hold_an_order_is_shown() -> None:
    """Also one that the former ends with."""
    held = make_request(status=paused(make_request(), Pause("the address is odd"), NOW))
    same = replace(held, metadata=replace(held.metadata, annotations={PAUSED: "the address is odd"}))
    other = replace(held, metadata=replace(held.metadata, annotations={PAUSED: "odd"}))
    assert (step(same), step(other)) == (Settled(), ShowPaused(Pause("odd")))


@pytest.mark.parametrize("reason", [Reason.PAUSED, Reason.RESTORED])
def test_a_hold_that_is_over_shows_that_stripe_cannot_be_asked(reason: Reason) -> None:
    """Else it would say that a person holds the order for as long as that lasts."""
    assert awaits_stripe(make_request(status=status(Phase.FULFILLING, reason)))
    assert not awaits_stripe(make_request(status=status(Phase.FULFILLING, Reason.DISPATCHED)))


def test_completed_by_hand() -> None:
    """Fulfilled with a reason of its own; what the backend did before stays."""
    done = manually_ended(make_request(status=FAILED), Complete("parcel 7"), NOW)
    assert (done.phase, done.reason, done.last_handled) == (
        Phase.FULFILLED,
        Reason.MANUALLY_COMPLETED,
        LastHandled(complete="parcel 7"),
    )
    assert done.fulfillment == Fulfillment(
        backend="http",
        attempts=7,
        started_at=CREATED,
        completed_at=NOW,
        reference="parcel 7",
        last_error="the endpoint answered 503",
    )


def retried() -> FulfillmentRequest:
    return make_request(status=FAILED, annotations=Annotations(retry="1"))


def test_another_try_begins_anew() -> None:
    """Its tries are counted from the first, and its deadline begins now."""
    later = NOW + timedelta(days=30)
    again = dispatched(
        retried(), Attempt(make_session(), TryAgain("the endpoint answered 503"), "http"), RETRIES, later
    )
    assert (again.phase, again.reason) == (Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE)
    assert again.fulfillment is not None
    assert (again.fulfillment.attempts, again.fulfillment.started_at) == (1, later)


@pytest.mark.parametrize(("outcome", "phase"), [(Done(), Phase.FULFILLED), (Rejected("no"), Phase.FAILED)])
def test_another_try_is_written_down_whatever_came_of_it(outcome: Done | Rejected, phase: Phase) -> None:
    """So it is not tried a third time."""
    ended = dispatched(retried(), Attempt(make_session(), outcome, "http"), RETRIES, NOW)
    assert (ended.phase, ended.last_handled) == (phase, LastHandled(retry="1"))


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda request: paused(request, Pause("a call"), NOW), id="paused"),
        pytest.param(
            lambda request: stripe_error(request, Reason.STRIPE_UNAVAILABLE, "away", NOW), id="stripe is away"
        ),
        pytest.param(lambda request: restored(request, NOW), id="restored"),
        pytest.param(lambda request: with_input_conditions(request, NOW), id="an odd annotation"),
    ],
)
@pytest.mark.parametrize("before", [None, LastHandled(retry="0"), LastHandled(fail="sold out")], ids=str)
def test_another_try_is_not_written_down_before_it_is_begun(
    before: LastHandled | None, written: Callable[[FulfillmentRequest], Status]
) -> None:
    """What only shows why nothing is done leaves what was handled as it stood."""
    asked = make_request(
        status=status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, before),
        annotations=Annotations(retry="1", complete=" "),
    )
    shown = written(asked)
    assert shown.last_handled == before
    again = dispatched(replace(asked, status=shown), Attempt(make_session(), Rejected("no"), "http"), RETRIES, NOW)
    assert again.fulfillment is not None
    assert again.last_handled is not None
    assert (again.fulfillment.attempts, again.last_handled.retry) == (1, "1")


@pytest.mark.parametrize(
    ("before", "asked", "expected"),
    [
        (FAILED, "", ""),
        (FAILED, "1", "1"),
        (FAILED, " ", ""),
        (RETRIED, "", "1"),
        (RETRIED, " ", "1"),
        (RETRIED, " 1\n", "1"),
        (RETRIED, "2", "2"),
    ],
)
def test_the_newest_wish_for_another_try_is_told_apart_as_obeying_does(
    before: Status, asked: str, expected: str
) -> None:
    """What surrounds the word, or takes it away, makes no new wish of it: a backend would take it for another try."""
    assert latest_retry(make_request(status=before, annotations=Annotations(retry=asked))) == expected


@pytest.mark.parametrize("before", [None, WAITING, HELD, FAILED], ids=["new", "waiting", "held", "failed"])
@pytest.mark.parametrize("end", [Complete("parcel 7"), MarkFailed("sold out")], ids=["complete", "fail"])
def test_an_end_takes_a_retry_with_it_that_was_not_handled(before: Status | None, end: Complete | MarkFailed) -> None:
    """Else what a person ended would be dispatched by what they had asked for before."""
    asked = Annotations(
        retry="1",
        complete=end.reference if isinstance(end, Complete) else "",
        fail=end.why if isinstance(end, MarkFailed) else "",
    )
    ended = manually_ended(make_request(status=before, annotations=asked), end, NOW)
    assert ended.last_handled is not None
    assert ended.last_handled.retry == "1"
    after = make_request(status=ended, annotations=asked)
    assert isinstance(step(after), Settled)
