"""What a request needs next, before Stripe is asked: the chain's rows by name."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.spec import Expiry, PaymentStatus, Reversal, ReversalKind
from fulfillment_api.status import Order, Phase, Reason, Status
from fulfillment_operator.policy.decide import Fail
from fulfillment_operator.policy.manual_actions import Pause
from fulfillment_operator.policy.next_step import (
    RequeueState,
    RetrieveSession,
    Settled,
    ShowPaused,
    Step,
    Wait,
    WaitForKey,
    next_step,
)
from support.builders import CREATED, make_request, make_status

NOW = CREATED + timedelta(hours=1)
RECHECK = timedelta(hours=6)
RETRY_MAX = timedelta(minutes=15)
FIRST_SEEN = RequeueState(CREATED)


def at(now: datetime, request: FulfillmentRequest, state: RequeueState = FIRST_SEEN) -> Step:
    return next_step(request, now, state, livemode=False, recheck=RECHECK, retry_max=RETRY_MAX)


def as_left(*, retry_at: datetime | None = None, check_at: datetime | None = None) -> RequeueState:
    """Return what is remembered of a request that nobody changed since its last reconcile."""
    return RequeueState(
        NOW, make_request().metadata.resource_version, retry_at, check_at, failures=int(retry_at is not None)
    )


WAITING = make_status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
DISPATCHED = make_status(Phase.FULFILLING, Reason.DISPATCHED)


def test_a_second_request_for_one_session_is_refused_before_stripe_is_asked() -> None:
    """Only the name that the Session's id gives is served, so no copy can be fulfilled a second time."""
    step = at(NOW, make_request(name="cs-" + "a" * 26))
    assert isinstance(step, Fail)
    assert step.reason == Reason.NAME_MISMATCH


@pytest.mark.parametrize(("order", "key"), [(True, False), (False, True)])
def test_orders_of_the_other_mode_are_refused(order: bool, key: bool) -> None:
    """A test order under a live key, or a live one under a test key, never reaches a backend."""
    step = next_step(make_request(livemode=order), NOW, FIRST_SEEN, livemode=key, recheck=RECHECK, retry_max=RETRY_MAX)
    assert isinstance(step, Fail)
    assert step.reason == Reason.LIVEMODE_MISMATCH


KNOWN = Order(line_items=[])


@pytest.mark.parametrize(
    ("status", "known", "expected"),
    [
        pytest.param(None, None, Fail, id="new"),
        pytest.param(make_status(Phase.AWAITING_PAYMENT, Reason.STRIPE_UNAVAILABLE), None, Fail, id="never shown"),
        pytest.param(make_status(Phase.FULFILLING, Reason.STRIPE_MISCONFIGURED), KNOWN, WaitForKey, id="waits for it"),
        pytest.param(make_status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE), KNOWN, WaitForKey, id="in progress"),
        pytest.param(WAITING, None, Fail, id="of an event alone"),
        pytest.param(WAITING, KNOWN, WaitForKey, id="awaits its payment, which has come"),
        pytest.param(make_status(Phase.FAILED, Reason.REFUNDED), KNOWN, Settled, id="failed"),
    ],
)
def test_an_order_that_stripe_showed_waits_for_a_key_of_its_mode(
    status: Status | None, known: Order | None, expected: type[Step]
) -> None:
    """A key of the other mode in the Secret is a mistake that ends no order but new ones."""
    step = at(NOW, make_request(livemode=True, status=status and replace(status, order=known)))
    assert isinstance(step, expected)
    if isinstance(step, WaitForKey):
        assert step.message == (
            "a live order, but STRIPE_API_KEY (stripe.existingSecret) is a test key: put back a live key of the "
            "account that sold it, or, if the shop has changed its mode, fail the order"
        )


def test_a_plan_of_a_clock_that_was_ahead_is_not_waited_for() -> None:
    """Another operator planned the next try hours ahead; this one, whose own plan is known to be right, bounds it."""
    planned = NOW + timedelta(hours=10)
    request = make_request(status=make_status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, next_attempt_at=planned))
    assert at(NOW, request, RequeueState(NOW)) == Wait(NOW + RETRY_MAX)
    assert at(NOW + RETRY_MAX, request, RequeueState(NOW)) == RetrieveSession()
    assert at(NOW, request, as_left()) == Wait(planned)


def test_an_ordinary_request_is_not_refused() -> None:
    """What the webhook service makes passes."""
    assert at(NOW, make_request()) == RetrieveSession()


@pytest.mark.parametrize(
    ("before", "generation", "expected"),
    [
        pytest.param(None, 1, RetrieveSession(), id="new"),
        pytest.param(make_status(Phase.FULFILLED, Reason.FULFILLED), 1, Settled(), id="fulfilled"),
        pytest.param(make_status(Phase.FULFILLED, Reason.FULFILLED), 2, Settled(), id="fulfilled absorbs late news"),
        pytest.param(make_status(Phase.FAILED, Reason.PAYMENT_FAILED), 1, Settled(), id="failed"),
        pytest.param(make_status(Phase.FAILED, Reason.PAYMENT_FAILED), 2, RetrieveSession(), id="failed, then news"),
        pytest.param(
            make_status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=Reason.MAIL_UNAVAILABLE),
            1,
            RetrieveSession(),
            id="mail is due",
        ),
        pytest.param(
            make_status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=Reason.MAIL_REJECTED),
            1,
            Settled(),
            id="mail refused",
        ),
        pytest.param(
            make_status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, next_attempt_at=NOW),
            1,
            RetrieveSession(),
            id="a try is due",
        ),
        pytest.param(
            make_status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING),
            2,
            RetrieveSession(),
            id="awaiting, then news",
        ),
        pytest.param(
            make_status(Phase.AWAITING_PAYMENT, Reason.STRIPE_UNAVAILABLE), 1, RetrieveSession(), id="Stripe was away"
        ),
    ],
)
def test_when_a_request_is_due(
    before: Status | None, generation: int, expected: RetrieveSession | Wait | Settled
) -> None:
    """A request is looked at when something is to do, and only then."""
    assert at(NOW, make_request(status=before, generation=generation)) == expected


def test_a_deleted_request_is_left_alone() -> None:
    """What is being deleted needs nothing more."""
    assert at(NOW, make_request(deleted=True)) == Settled()


def of_snapshot(request: FulfillmentRequest) -> FulfillmentRequest:
    """Return it as an event makes it that shows the Session: with the time of its creation."""
    session = replace(request.spec.session, created_at=CREATED)
    return replace(request, spec=replace(request.spec, session=session))


def test_an_unpaid_order_waits_for_the_walk() -> None:
    """Stripe's list tells when something changed: then, and when its reconcile failed, it is due."""
    request = of_snapshot(make_request(PaymentStatus.UNPAID, status=WAITING))
    assert at(NOW, request) == Settled()
    assert at(NOW, request, RequeueState(NOW, is_recheck_due=True)) == RetrieveSession()
    assert at(NOW, request, RequeueState(NOW, resource_version="7", failures=1)) == RetrieveSession()


@pytest.mark.parametrize("hours", [0, 1, 5.9, 6, 100, 10_000])
def test_an_unpaid_order_of_a_thin_event_is_asked_of_stripe_again_within_the_interval(hours: float) -> None:
    """No list is asked for it: the next check lies ahead, at most one interval away, at its own place in it."""
    now = CREATED + timedelta(hours=hours)
    step = at(now, make_request(PaymentStatus.UNPAID, status=WAITING), RequeueState(now))
    assert isinstance(step, Wait)
    assert timedelta(0) < step.until - now <= RECHECK


@pytest.mark.parametrize("number", range(20))
def test_at_its_place_an_order_is_asked_of_stripe_once(number: int) -> None:
    """It is due from its place on, until it was asked: then the next check is an interval later."""
    request = make_request(PaymentStatus.UNPAID, session_id=f"cs_test_{number}", status=WAITING)
    first = at(CREATED, request)
    assert isinstance(first, Wait)
    assert at(first.until, request) == RetrieveSession()
    assert at(first.until + timedelta(hours=1), request) == RetrieveSession()
    assert at(first.until, request, RequeueState(first.until)) == Wait(first.until + RECHECK)


OPEN = make_status(Phase.AWAITING_PAYMENT, Reason.SESSION_OPEN)


@pytest.mark.parametrize(
    ("request_", "age", "wait"),
    [
        (make_request(PaymentStatus.PAID, status=WAITING), 0.5, 2),
        (make_request(PaymentStatus.PAID, status=WAITING), 5, 5),
        (make_request(PaymentStatus.PAID, status=WAITING), 600, 600),
        (make_request(PaymentStatus.NO_PAYMENT_REQUIRED, status=WAITING), 5, 5),
        (make_request(PaymentStatus.FAILED, status=WAITING), 5, 5),
        (make_request(PaymentStatus.CANCELED, status=WAITING), 5, 5),
        (make_request(PaymentStatus.UNPAID, status=OPEN), 5, 5),
    ],
)
def test_an_answer_that_lags_its_event_is_asked_for_again_soon(
    request_: FulfillmentRequest, age: float, wait: float
) -> None:
    """The wait is as long as the event is old: asked after 2 s, 4 s, 8 s, …, until the slow pace is sooner."""
    asked_at = CREATED + timedelta(seconds=age)
    assert at(asked_at, request_, RequeueState(asked_at)) == Wait(asked_at + timedelta(seconds=wait))
    assert at(asked_at + timedelta(seconds=wait), request_, RequeueState(asked_at)) == RetrieveSession()


@pytest.mark.parametrize("payment", [each for each in PaymentStatus if each is not PaymentStatus.UNPAID])
@pytest.mark.parametrize("made", [of_snapshot, lambda request: request], ids=["snapshot", "thin"])
def test_the_pace_never_falls_below_the_slow_one(
    made: Callable[[FulfillmentRequest], FulfillmentRequest], payment: PaymentStatus
) -> None:
    """However long they disagree."""
    now = CREATED + timedelta(days=3)
    step = at(now, made(make_request(payment, status=WAITING)), RequeueState(now))
    assert isinstance(step, Wait)
    assert step.until - now <= RECHECK


def test_news_about_an_order_that_waits_may_be_ahead_of_stripes_answer() -> None:
    """A release of an authorization, or an expiry, which Stripe's answer does not show yet."""
    request = make_request(PaymentStatus.UNPAID, status=WAITING)
    asked_at = CREATED + timedelta(hours=1)
    news = asked_at - timedelta(seconds=3)
    for change in (
        {"reversal": Reversal(kind=ReversalKind.REFUNDED, observed_at=news)},
        {"expiry": Expiry(observed_at=news)},
    ):
        told = replace(request, spec=replace(request.spec, **change))
        assert at(asked_at, told, RequeueState(asked_at)) == Wait(asked_at + timedelta(seconds=3))


LATER = NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("request_", "state", "expected"),
    [
        pytest.param(make_request(), as_left(retry_at=LATER), Wait(LATER), id="Stripe was away a moment ago"),
        pytest.param(make_request(), as_left(retry_at=NOW), RetrieveSession(), id="Stripe was away, and may be back"),
        pytest.param(
            make_request(), RequeueState(NOW, "6", retry_at=LATER), RetrieveSession(), id="it changed since it failed"
        ),
        pytest.param(
            make_request(annotations=Annotations(complete="parcel 7")),
            as_left(retry_at=LATER),
            Wait(LATER),
            id="a Job could not be stopped",
        ),
        pytest.param(make_request(status=DISPATCHED), as_left(check_at=LATER), Wait(LATER), id="a backend is at work"),
        pytest.param(make_request(status=DISPATCHED), as_left(check_at=NOW), RetrieveSession(), id="it may be done"),
        pytest.param(make_request(status=DISPATCHED), RequeueState(NOW), RetrieveSession(), id="after a restart"),
        pytest.param(
            make_request(status=DISPATCHED, generation=2), as_left(check_at=LATER), RetrieveSession(), id="its callback"
        ),
        pytest.param(
            make_request(status=DISPATCHED, annotations=Annotations(paused="a call")),
            as_left(check_at=LATER),
            ShowPaused(Pause("a call")),
            id="a person holds it while a backend is at work",
        ),
    ],
)
def test_what_is_remembered_of_a_request(request_: FulfillmentRequest, state: RequeueState, expected: Step) -> None:
    """What failed is not tried again at once, a backend is not asked too soon; a change counts for more than both."""
    assert at(NOW, request_, state) == expected


SET_BACK = NOW - timedelta(days=1)
BACKEND_AWAY = make_request(
    status=make_status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, next_attempt_at=NOW + timedelta(seconds=30))
)
MAIL_IS_DUE = make_request(status=make_status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=Reason.MAIL_UNAVAILABLE))


@pytest.mark.parametrize(
    ("request_", "state"),
    [
        pytest.param(make_request(), as_left(retry_at=LATER), id="Stripe was away"),
        pytest.param(MAIL_IS_DUE, as_left(retry_at=LATER), id="the mail server was away"),
        pytest.param(BACKEND_AWAY, as_left(), id="the backend was away"),
        pytest.param(BACKEND_AWAY, RequeueState(NOW), id="the backend of another operator was away"),
        pytest.param(make_request(status=DISPATCHED), as_left(check_at=LATER), id="a backend is at work"),
        pytest.param(make_request(PaymentStatus.UNPAID, status=WAITING), RequeueState(NOW), id="a payment is awaited"),
    ],
)
def test_what_a_clock_that_was_ahead_planned_is_due_when_it_is_set_right(
    request_: FulfillmentRequest, state: RequeueState
) -> None:
    """Else it would wait for as long as the clock was ahead."""
    assert isinstance(at(NOW, request_, state), Wait)
    assert at(SET_BACK, request_, state) == RetrieveSession()


def test_a_try_that_stripe_kept_from_its_end_leaves_no_plan_of_a_clock_that_was_ahead() -> None:
    """The backend is tried within the longest wait, although its next try in status lies a day ahead."""
    state = RequeueState(SET_BACK, "7", retry_at=SET_BACK + timedelta(seconds=1), failures=1)
    assert at(SET_BACK + timedelta(seconds=1), BACKEND_AWAY, state) == Wait(SET_BACK + RETRY_MAX)


def test_a_clock_that_is_set_back_wakes_nothing_that_is_settled() -> None:
    """What has failed, and what the walk through the list looks after, waits for no time."""
    failed = make_request(status=make_status(Phase.FAILED, Reason.PAYMENT_FAILED))
    awaiting = of_snapshot(make_request(PaymentStatus.UNPAID, status=WAITING))
    assert [at(SET_BACK, each, as_left()) for each in (failed, awaiting)] == [Settled(), Settled()]
