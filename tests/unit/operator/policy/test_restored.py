"""What a backup brought back without its status is held until a person says what it is."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import (
    Callback,
    CallbackResult,
    Expiry,
    PaymentStatus,
    RejectedCallback,
    Reversal,
    ReversalKind,
)
from fulfillment_api.status import ConditionStatus, ConditionType, LastHandled, Phase, Reason, Status
from fulfillment_operator.policy import transition
from fulfillment_operator.policy.manual_actions import Complete, MarkFailed
from fulfillment_operator.policy.next_step import (
    AdoptStatus,
    EndManually,
    RequeueState,
    RetrieveSession,
    Settled,
    ShowPaused,
    ShowRestored,
    Step,
    next_step,
)
from fulfillment_operator.policy.restored import is_restored
from fulfillment_operator.policy.retention import is_expired
from fulfillment_operator.policy.status_events import status_change
from support.builders import CREATED, make_request, make_status

RESTORED_AT = CREATED + timedelta(days=1)
NOW = RESTORED_AT + timedelta(minutes=1)


def restored(
    payment: PaymentStatus = PaymentStatus.PAID,
    *,
    after: timedelta = timedelta(days=1),
    annotations: Mapping[str, str] | None = None,
    status: Status | None = None,
    generation: int = 1,
) -> FulfillmentRequest:
    """Return an order whose payment event was received at `CREATED`, and which was created anew some time after."""
    request = make_request(payment, status=status, generation=generation)
    metadata = replace(request.metadata, creation_timestamp=CREATED + after, annotations=dict(annotations or {}))
    return replace(request, metadata=metadata)


def step(request: FulfillmentRequest) -> Step:
    return next_step(
        request, NOW, RequeueState(NOW), livemode=False, recheck=timedelta(hours=6), retry_max=timedelta(minutes=15)
    )


def held(request: FulfillmentRequest) -> FulfillmentRequest:
    """Return it as the operator leaves it."""
    assert step(request) == ShowRestored()
    return replace(request, status=transition.restored(request, NOW))


def annotated(request: FulfillmentRequest, **annotations: str) -> FulfillmentRequest:
    """Return it with annotations of ours."""
    added = {f"{names.GROUP}/{name}": value for name, value in annotations.items()}
    return replace(request, metadata=replace(request.metadata, annotations=request.metadata.annotations | added))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(timedelta(minutes=-10), False, id="the API server's clock is behind"),
        pytest.param(timedelta(0), False, id="as the service makes it"),
        pytest.param(timedelta(seconds=9), False, id="the API server was away at first"),
        pytest.param(timedelta(minutes=10), False, id="the clocks differ as far as they may"),
        pytest.param(timedelta(minutes=10, seconds=1), True, id="created longer ago than clocks differ"),
        pytest.param(timedelta(days=400), True, id="a backup of last year"),
    ],
)
def test_an_order_is_restored_when_it_was_observed_long_before_it_was_created(after: timedelta, expected: bool) -> None:
    """The service creates it within seconds, and the clocks differ by minutes at most."""
    assert is_restored(restored(after=after)) is expected


def test_what_a_person_made_without_a_time_is_new() -> None:
    """An object that says nothing of when its event came cannot be told from a new one."""
    request = restored()
    payment = replace(request.spec.payment, observed_at=None)
    assert not is_restored(replace(request, spec=replace(request.spec, payment=payment)))


LATE = NOW
OLD = CREATED


@pytest.mark.parametrize(
    "changes",
    [
        {"reversal": Reversal(kind=ReversalKind.REFUNDED, observed_at=OLD)},
        {"expiry": Expiry(observed_at=OLD)},
        {"callback": Callback(result=CallbackResult.DONE, observed_at=OLD)},
        {"rejected_callback": RejectedCallback(message="no signature", observed_at=OLD)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_any_time_of_the_spec_tells(changes: dict[str, object]) -> None:
    """An event that came since the restore, such as that it is paid, does not make it a new order."""
    request = restored()
    payment = replace(request.spec.payment, observed_at=LATE)
    assert is_restored(replace(request, spec=replace(request.spec, payment=payment, **changes)))
    reversal = Reversal(kind=ReversalKind.REFUNDED, observed_at=LATE)
    assert is_restored(replace(request, spec=replace(request.spec, reversal=reversal)))


@pytest.mark.parametrize(
    ("payment", "phase"),
    [
        (PaymentStatus.PAID, Phase.FULFILLING),
        (PaymentStatus.NO_PAYMENT_REQUIRED, Phase.FULFILLING),
        (PaymentStatus.UNPAID, Phase.AWAITING_PAYMENT),
        (PaymentStatus.FAILED, Phase.AWAITING_PAYMENT),
    ],
)
def test_a_held_order_says_so(payment: PaymentStatus, phase: Phase) -> None:
    """Its phase is what its event hinted; it is not ready, it is stalled, and it has a Warning."""
    status = held(restored(payment)).status
    assert status is not None
    assert (status.phase, status.reason) == (phase, Reason.RESTORED)
    shown = {each.type: (each.status, each.reason) for each in status.conditions}
    assert shown == {
        ConditionType.PAID: (ConditionStatus.UNKNOWN, Reason.RESTORED),
        ConditionType.FULFILLED: (ConditionStatus.FALSE, Reason.RESTORED),
        ConditionType.READY: (ConditionStatus.FALSE, Reason.RESTORED),
        ConditionType.STALLED: (ConditionStatus.TRUE, Reason.RESTORED),
    }
    assert [(each.reason, each.warning) for each in status_change(None, status).events] == [(Reason.RESTORED, True)]


def test_a_held_order_stays_held_whatever_comes() -> None:
    """A recovery may bring an old event again as a new one, so no event says that nothing was done."""
    request = held(restored(PaymentStatus.UNPAID))
    assert step(request) == Settled()
    news = replace(request, metadata=replace(request.metadata, generation=2))
    assert step(news) == ShowRestored()
    shown = replace(news, status=transition.restored(news, NOW))
    assert step(shown) == Settled()
    assert shown.status is not None
    assert request.status is not None
    assert not status_change(request.status, shown.status).events


def test_a_refund_of_a_held_order_is_not_one_before_it_was_fulfilled() -> None:
    """Nobody knows that before a person says so."""
    request = restored()
    reversal = Reversal(kind=ReversalKind.REFUNDED, observed_at=CREATED + timedelta(hours=2))
    status = held(replace(request, spec=replace(request.spec, reversal=reversal))).status
    assert status is not None
    assert status.condition(ConditionType.REFUNDED) is None
    assert "refunded" not in status.message


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param({"complete": "parcel 7"}, EndManually(Complete("parcel 7")), id="it was done"),
        pytest.param({"retry": "now"}, RetrieveSession(), id="it is to be done"),
        pytest.param({"fail": "sold out"}, EndManually(MarkFailed("sold out")), id="it is not to be done"),
        pytest.param({"paused": "a call"}, Settled(), id="a pause says nothing of it"),
        pytest.param({"paused": "a call", "retry": "now"}, ShowPaused, id="to be done, but not yet"),
    ],
)
def test_a_person_says_what_a_held_order_is(annotations: dict[str, str], expected: Step | type[Step]) -> None:
    """By the annotations that act on any order."""
    found = step(annotated(held(restored()), **annotations))
    assert found == expected if not isinstance(expected, type) else isinstance(found, expected)


@pytest.mark.parametrize(
    ("came", "expected", "handled"),
    [
        pytest.param({}, ShowRestored(), None, id="none"),
        pytest.param({"complete": "parcel 7"}, EndManually(Complete("parcel 7")), None, id="it was completed"),
        pytest.param({"fail": "sold out"}, EndManually(MarkFailed("sold out")), None, id="it was failed"),
        pytest.param({"retry": "1"}, ShowRestored(), LastHandled(retry="1"), id="it was retried"),
        pytest.param(
            {"retry": "1", "fail": "2"}, ShowRestored(), LastHandled(retry="1", fail="2"), id="failed, then retried"
        ),
        pytest.param({"paused": "a call"}, ShowRestored(), None, id="it was paused"),
    ],
)
def test_annotations_that_came_with_the_backup(
    came: dict[str, str], expected: Step, handled: LastHandled | None
) -> None:
    """What ended an order ends it again; a retry of before the backup hands nothing over, even when others follow."""
    request = annotated(restored(), **came)
    assert step(request) == expected
    if expected == ShowRestored():
        shown = held(request)
        assert shown.status is not None
        assert shown.status.last_handled == handled
        assert step(shown) == Settled()


def test_an_order_that_was_done_before_the_restore_mails_nobody() -> None:
    """It is fulfilled, so whatever its payment's event said, Stripe is not asked and the customer not told again."""
    request = annotated(held(restored(PaymentStatus.FAILED)), complete="told before the restore")
    done = replace(request, status=transition.manually_ended(request, Complete("told before the restore"), NOW))
    assert step(done) == Settled()
    news = replace(done, metadata=replace(done.metadata, generation=2))
    assert step(news) == Settled()


@pytest.mark.parametrize("annotations", [{}, {"complete": "parcel 7"}, {"retry": "now"}, {"paused": "a call"}])
def test_an_order_whose_status_is_on_its_way_is_left_alone(annotations: dict[str, str]) -> None:
    """`fulfillment restore` takes its annotation away when the status is there."""
    assert step(annotated(make_request(), restoring="fulfillment restore", **annotations)) == Settled()


@pytest.mark.parametrize(
    "before",
    [
        make_status(Phase.FAILED, Reason.FULFILLMENT_FAILED, generation=3),
        make_status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=Reason.MAIL_SENT, generation=3),
        make_status(Phase.FULFILLING, Reason.PAUSED, generation=3),
    ],
    ids=lambda status: status.reason,
)
def test_a_status_of_the_object_before_is_taken_as_this_ones(before: Status) -> None:
    """The API server counts generations anew: nothing is done for that, and the next change of spec is seen."""
    request = restored(status=before)
    found = step(request)
    assert isinstance(found, AdoptStatus)
    assert replace(found.status, observed_generation=3, conditions=before.conditions) == before
    adopted = replace(request, status=found.status)
    assert not adopted.has_unobserved_spec
    assert {each.observed_generation for each in found.status.conditions} <= {1}
    assert not status_change(before, found.status).events
    news = replace(adopted, metadata=replace(adopted.metadata, generation=2))
    assert news.has_unobserved_spec


def test_a_status_that_was_restored_as_well_goes_on() -> None:
    """Who brings the status back is not asked anything."""
    assert (
        step(restored(status=make_status(Phase.FAILED, Reason.PAYMENT_FAILED, notified=Reason.MAIL_SENT))) == Settled()
    )


@pytest.mark.parametrize(("days", "expected"), [(44, False), (46, True)])
def test_a_finished_order_is_kept_once_more_from_its_restore_on(days: int, expected: bool) -> None:
    """Its status ended long before: it is neither deleted at once nor kept for ever."""
    ended = make_status(Phase.FULFILLED, Reason.FULFILLED)
    request = restored(after=timedelta(days=400), status=ended)
    now = CREATED + timedelta(days=400 + days)
    assert is_expired(request, now, timedelta(days=45)) is expected


def test_a_held_order_is_never_deleted() -> None:
    """Nobody has dealt with it."""
    assert not is_expired(held(restored()), NOW + timedelta(days=1000), timedelta(days=45))
