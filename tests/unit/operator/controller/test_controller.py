"""The controller: what the watch brings is reconciled at once, and what fails for one request stops no other."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.self_test import self_test_session
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Manual, Phase, Reason, Status
from fulfillment_operator.controller.controller import Controller
from fulfillment_operator.controller.health import Health
from fulfillment_operator.controller.reconciler import Reconciler, Result, Standing, Stands
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_operator.policy.next_step import Action, RequeueState, next_step
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.clock import utc_now
from support.builders import CREATED, make_request

AT_ONCE = Backoff(timedelta(milliseconds=1), timedelta(milliseconds=1), lambda: 0.0)
MAIL_IS_DUE = Status(
    phase=Phase.FAILED,
    reason=Reason.PAYMENT_FAILED,
    message="m",
    observed_generation=1,
    conditions=[
        Condition(
            type=ConditionType.CUSTOMER_NOTIFIED,
            status=ConditionStatus.FALSE,
            reason=Reason.MAIL_UNAVAILABLE,
            message="m",
            last_transition_time=CREATED,
        )
    ],
)


@dataclass
class Reconciles(Reconciler):
    """Counts reconciles, fails for some names, and can be held up."""

    broken: frozenset[str] = frozenset()
    answer: Result | None = None
    written: FulfillmentRequest | None = None
    """As the API server has it, once the first reconcile wrote its status."""
    seen: Counter[str] = field(default_factory=Counter)
    stood: list[Standing] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    reconciled: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def reconcile(
        self,
        request: FulfillmentRequest,
        action: Action,  # noqa: ARG002 - Reconciler's
        before: RequeueState,  # noqa: ARG002 - likewise
        stands: Stands,
    ) -> Result:
        await self.go.wait()
        self.stood.append(await stands())
        async with self.reconciled:
            self.seen[request.metadata.name] += 1
            self.versions.append(request.metadata.resource_version)
            self.reconciled.notify_all()
        if request.metadata.name in self.broken:
            raise ZeroDivisionError
        left, self.written = self.written or request, None
        return self.answer or Result(left, retry_after=timedelta(days=1))

    async def wait_for(self, name: str, count: int) -> None:
        async with asyncio.timeout(60), self.reconciled:
            await self.reconciled.wait_for(lambda: self.seen[name] >= count)


async def exists(_request: FulfillmentRequest) -> bool:
    return True


def controller(reconciles: Reconciles) -> tuple[Controller, CollectorRegistry]:
    registry = CollectorRegistry()
    step = partial(next_step, livemode=False, recheck=timedelta(hours=6), retry_max=timedelta(minutes=15))
    metrics = OperatorMetrics(registry, "log")
    health = Health(at_one_order=timedelta(hours=1), clock=utc_now, monotonic=time.monotonic, metrics=metrics)
    return Controller(
        reconciles,
        next_step=step,
        exists=exists,
        backoff=AT_ONCE,
        health=health,
        clock=lambda: datetime.now(UTC),
        metrics=metrics,
    ), registry


def version(request: FulfillmentRequest, number: int) -> FulfillmentRequest:
    return replace(request, metadata=replace(request.metadata, resource_version=str(number)))


@pytest.fixture
def reconciles() -> Reconciles:
    reconciles = Reconciles()
    reconciles.go.set()
    return reconciles


async def test_a_bug_that_one_request_wakes_stops_no_other(reconciles: Reconciles) -> None:
    """The unexpected is counted and tried again; others are served meanwhile."""
    bad, good = make_request(), make_request(session_id="cs_test_good")
    reconciles.broken = frozenset({bad.metadata.name})
    control, registry = controller(reconciles)
    async with control.working(1, lambda: timedelta(seconds=5)):
        control.observe(bad)
        control.observe(good)
        await reconciles.wait_for(good.metadata.name, 1)
        await reconciles.wait_for(bad.metadata.name, 3)
    errors = registry.get_sample_value("fulfillment_reconcile_errors_total", {"error": "unexpected"})
    assert errors is not None
    assert errors >= 2


async def test_a_version_that_is_known_calls_for_nothing(reconciles: Reconciles) -> None:
    """The watch brings back what the operator wrote, and lists everything again after a break."""
    control, _ = controller(reconciles)
    async with control.working(2, lambda: timedelta(seconds=5)):
        request = version(make_request(), 10)
        control.observe(request)
        await reconciles.wait_for(request.metadata.name, 1)
        control.observe(request)
        control.observe(version(request, 9))
        control.observe(version(request, 11))
        await reconciles.wait_for(request.metadata.name, 2)
    assert reconciles.versions == ["10", "11"]


async def test_news_that_come_during_a_look_are_reconciled_at_afterwards(reconciles: Reconciles) -> None:
    """Never by a second worker at once."""
    reconciles.go.clear()
    control, _ = controller(reconciles)
    async with control.working(4, lambda: timedelta(seconds=5)):
        request = version(make_request(), 10)
        control.observe(request)
        await asyncio.sleep(0)  # a worker takes it
        control.observe(version(request, 11))
        control.observe(version(request, 12))
        reconciles.go.set()
        await reconciles.wait_for(request.metadata.name, 2)
    assert reconciles.versions == ["10", "12"]


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        (version(make_request(status=MAIL_IS_DUE), 12), ["10"]),
        (version(make_request(status=MAIL_IS_DUE, generation=2), 12), ["10", "12"]),
        (version(make_request(status=MAIL_IS_DUE, annotations=Annotations(retry="1")), 12), ["10", "12"]),
        (version(make_request(status=replace(MAIL_IS_DUE, manual=Manual(complete="7"))), 12), ["10", "12"]),
    ],
    ids=["the status alone", "an event", "an annotation", "a person's word"],
)
async def test_news_that_a_status_was_written_over_do_not_wait_for_the_next_try(
    reconciles: Reconciles, changed: FulfillmentRequest, seen: list[str]
) -> None:
    """The API server answers with the newest object, and the watch's own event of it is known by then."""
    reconciles.written = changed
    other = make_request(session_id="cs_test_other")
    control, _ = controller(reconciles)
    async with control.working(1, lambda: timedelta(seconds=5)):
        control.observe(version(make_request(status=MAIL_IS_DUE), 10))
        await reconciles.wait_for(changed.metadata.name, 1)
        control.observe(changed)
        control.observe(other)
        await reconciles.wait_for(other.metadata.name, 1)
    assert [each for each in reconciles.versions if each != other.metadata.resource_version] == seen


@pytest.mark.parametrize(("status", "told"), [(None, 1), (MAIL_IS_DUE, 0)])
async def test_what_is_deleted_while_it_is_worked_on_is_told(
    reconciles: Reconciles, status: Status | None, told: int
) -> None:
    """Whatever kept the reconcile from its end, such as Stripe, which is away; not if it had failed before."""
    reconciles.go.clear()
    control, registry = controller(reconciles)
    request = make_request(status=status)
    async with control.working(1, lambda: timedelta(seconds=5)):
        control.observe(request)
        await asyncio.sleep(0)  # a worker takes it
        control.forget(request.metadata.name, request.metadata.uid)
        reconciles.go.set()
        await reconciles.wait_for(request.metadata.name, 1)
    assert registry.get_sample_value("fulfillment_unfinished_requests_deleted_total") == told


async def test_what_is_told_to_end_begins_with_no_further_request(reconciles: Reconciles) -> None:
    """From then on no watch tells what is deleted or paused."""
    reconciles.go.clear()
    first, second = make_request(), make_request(session_id="cs_test_other")
    control, _ = controller(reconciles)
    async with control.working(1, lambda: timedelta(seconds=5)):
        control.observe(first)
        await asyncio.sleep(0)  # the worker takes it
        control.observe(second)
        control.shut_down()
        reconciles.go.set()
        await reconciles.wait_for(first.metadata.name, 1)
    assert reconciles.seen == {first.metadata.name: 1}


@pytest.mark.parametrize("change", ["paused", "deleted"])
async def test_what_is_settled_while_it_waits_for_a_worker_is_let_be(reconciles: Reconciles, change: str) -> None:
    """A failed order would lose its reason to the pause, one that is being deleted would be fulfilled."""
    reconciles.go.clear()
    other = make_request(session_id="cs_test_other")
    due = version(make_request(status=MAIL_IS_DUE), 10)
    settled = version(
        make_request(status=MAIL_IS_DUE, annotations=Annotations(paused="wait"))
        if change == "paused"
        else make_request(status=MAIL_IS_DUE, deleted=True),
        11,
    )
    control, _ = controller(reconciles)
    async with control.working(1, lambda: timedelta(seconds=5)):
        control.observe(other)
        await asyncio.sleep(0)  # the worker takes it
        control.observe(due)
        control.observe(settled)
        reconciles.go.set()
        await reconciles.wait_for(other.metadata.name, 1)
        async with asyncio.timeout(60):
            while control.queue_depth():  # noqa: ASYNC110 - nobody tells what is let be
                await asyncio.sleep(0)
    assert reconciles.seen == {other.metadata.name: 1}


async def test_what_is_gone_is_forgotten(reconciles: Reconciles) -> None:
    """A request that was deleted is no longer counted, nor reconciled at."""
    control, _ = controller(reconciles)
    request = make_request()
    control.observe(request)
    control.forget(request.metadata.name, request.metadata.uid)
    assert list(control.requests()) == []
    async with control.working(1, lambda: timedelta(seconds=5)):
        other = make_request(session_id="cs_test_other")
        control.observe(other)
        await reconciles.wait_for(other.metadata.name, 1)
    assert reconciles.seen == {other.metadata.name: 1}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (None, 1),
        (replace(MAIL_IS_DUE, phase=Phase.AWAITING_PAYMENT), 1),
        (replace(MAIL_IS_DUE, phase=Phase.FULFILLING), 1),
        (replace(MAIL_IS_DUE, phase=Phase.FULFILLED), 0),
        (MAIL_IS_DUE, 0),
    ],
)
async def test_what_is_deleted_before_its_end_is_told(reconciles: Reconciles, status: Status | None, told: int) -> None:
    """Nobody fulfills it any more; what was fulfilled only leaves the watch, and who deletes what failed knows."""
    control, registry = controller(reconciles)
    request = make_request(status=status)
    control.observe(request)
    with capture_logs() as logs:
        control.forget(request.metadata.name, "another")
        control.forget(request.metadata.name, request.metadata.uid)
        control.forget(request.metadata.name, request.metadata.uid)
    assert registry.get_sample_value("fulfillment_unfinished_requests_deleted_total") == told
    assert [(line["event"], line["request"]) for line in logs] == [
        ("controller.deleted_unfinished", request.metadata.name)
    ] * told


async def test_what_a_self_test_deletes_is_not_told(reconciles: Reconciles) -> None:
    """Where it finds something wrong its order is not at its end, and nobody bought anything."""
    control, registry = controller(reconciles)
    request = make_request(session_id=self_test_session("0" * 24, livemode=False))
    control.observe(request)
    with capture_logs() as logs:
        control.forget(request.metadata.name, request.metadata.uid)
    assert registry.get_sample_value("fulfillment_unfinished_requests_deleted_total") == 0
    assert logs == []


@pytest.mark.parametrize(
    ("then", "left"),
    [("nothing", 1), ("it decodes", 0), ("deleted", 0), ("the one before it was deleted", 1), ("it is known", 1)],
)
async def test_what_does_not_decode_is_known_by_name(reconciles: Reconciles, then: str, left: int) -> None:
    """Until it decodes or is gone, whatever else is told of its name."""
    control, _ = controller(reconciles)
    request = make_request()
    name, uid = request.metadata.name, request.metadata.uid
    control.observe_undecodable(name, uid, 10)
    match then:
        case "it decodes":
            control.observe(request)
        case "deleted":
            control.forget(name, uid)
        case "the one before it was deleted":
            control.forget(name, "another")
        case "it is known":
            control.observe_undecodable(name, uid, 10)
    assert len(control.undecodable()) == left


@pytest.mark.parametrize(("at", "held"), [(6, 1), (7, 0), (8, 0)])
async def test_what_decodes_no_more_is_not_worked_on(reconciles: Reconciles, at: int, held: int) -> None:
    """Else it would be, again and again, by what was known of it; what is older than that says nothing."""
    control, registry = controller(reconciles)
    request = version(make_request(), 7)
    control.observe(request)
    control.observe_undecodable(request.metadata.name, request.metadata.uid, at)
    assert len(list(control.requests())) == held
    async with control.working(1, lambda: timedelta(seconds=5)):
        other = make_request(session_id="cs_test_other")
        control.observe(other)
        await reconciles.wait_for(other.metadata.name, 1)
    assert reconciles.seen[request.metadata.name] == held
    assert registry.get_sample_value("fulfillment_unfinished_requests_deleted_total") == 0


async def test_what_decodes_again_while_it_is_worked_on_is_reconciled_at_afterwards(reconciles: Reconciles) -> None:
    """What the work on the old left says nothing of the new one."""
    reconciles.go.clear()
    control, _ = controller(reconciles)
    request = version(make_request(), 10)
    async with control.working(1, lambda: timedelta(seconds=5)):
        control.observe(request)
        await asyncio.sleep(0)  # a worker takes it
        control.observe_undecodable(request.metadata.name, request.metadata.uid, 11)
        control.observe(version(request, 13))
        reconciles.go.set()
        await reconciles.wait_for(request.metadata.name, 2)
    assert reconciles.versions == ["10", "13"]


async def test_what_is_being_restored_is_not_deleted_when_it_is_fulfilled(reconciles: Reconciles) -> None:
    """It is created without its status, and leaves the watch as soon as it has it."""
    control, registry = controller(reconciles)
    request = make_request(annotations=Annotations(restoring="true"))
    control.observe(request)
    control.forget(request.metadata.name, request.metadata.uid)
    assert registry.get_sample_value("fulfillment_unfinished_requests_deleted_total") == 0


@pytest.mark.parametrize(
    ("change", "standing"),
    [
        ("nothing", Standing.STANDS),
        ("labelled", Standing.STANDS),
        ("deleted", Standing.GONE),
        ("made anew", Standing.GONE),
        ("about to be deleted", Standing.GONE),
        ("paused", Standing.SUPERSEDED),
        ("ended", Standing.SUPERSEDED),
        ("decodes no more", Standing.SUPERSEDED),
        ("made anew, and does not decode", Standing.GONE),
    ],
)
async def test_what_changes_while_it_is_worked_on(reconciles: Reconciles, change: str, standing: Standing) -> None:
    """Stripe may take long to answer: what is gone by then, or held by a person, is not handed over."""
    reconciles.go.clear()
    request = version(make_request(), 10)
    metadata = request.metadata
    control, _ = controller(reconciles)
    async with control.working(1, lambda: timedelta(seconds=5)):
        control.observe(request)
        await asyncio.sleep(0)  # a worker takes it
        match change:
            case "deleted":
                control.forget(metadata.name, metadata.uid)
            case "made anew":
                control.observe(replace(request, metadata=replace(metadata, uid="another", resource_version="12")))
            case "about to be deleted":
                control.observe(version(make_request(deleted=True), 11))
            case "labelled":
                control.observe(version(make_request(), 11))
            case "paused":
                control.observe(version(make_request(annotations=Annotations(paused="fraud check")), 11))
            case "ended":
                control.observe(version(make_request(annotations=Annotations(fail="sold out")), 11))
            case "decodes no more":
                control.observe_undecodable(metadata.name, metadata.uid, 11)
            case "made anew, and does not decode":
                control.observe_undecodable(metadata.name, "another", 12)
        reconciles.go.set()
        await reconciles.wait_for(metadata.name, 1)
    assert reconciles.stood[0] is standing


async def test_what_is_made_anew_is_not_forgotten_with_what_was_deleted(reconciles: Reconciles) -> None:
    """The watch handles each object for itself: the end of the old one may be told after the beginning of the new."""
    control, _ = controller(reconciles)
    old = version(make_request(), 10)
    new = replace(old, metadata=replace(old.metadata, uid="another", resource_version="12"))
    async with control.working(1, lambda: timedelta(seconds=5)):
        control.observe(old)
        control.observe(new)
        control.forget(old.metadata.name, old.metadata.uid)
        await reconciles.wait_for(new.metadata.name, 1)
    assert reconciles.versions == ["12"]
    assert [cached.unpack() for cached in control.requests()] == [new]


async def test_what_is_made_anew_during_the_look_at_the_old_is_reconciled_at(reconciles: Reconciles) -> None:
    """The look finds its own object gone, which says nothing of the new one."""
    reconciles.go.clear()
    reconciles.answer = Result(None)
    control, _ = controller(reconciles)
    old = version(make_request(), 10)
    new = replace(old, metadata=replace(old.metadata, uid="another", resource_version="12"))
    async with control.working(1, lambda: timedelta(seconds=5)):
        control.observe(old)
        await asyncio.sleep(0)  # a worker takes it
        control.forget(old.metadata.name, old.metadata.uid)
        control.observe(new)
        reconciles.go.set()
        await reconciles.wait_for(new.metadata.name, 2)
    assert reconciles.versions == ["10", "12"]


async def test_a_look_that_outlasts_the_grace_is_interrupted(reconciles: Reconciles) -> None:
    """Stopping takes no longer than the grace: the next operator begins that order anew, with the same key."""
    reconciles.go.clear()
    control, _ = controller(reconciles)
    async with asyncio.timeout(60), control.working(1, lambda: timedelta(seconds=0.05)):
        control.observe(make_request())
        await asyncio.sleep(0)
    assert reconciles.seen == {}


async def test_a_worker_that_dies_ends_the_context(reconciles: Reconciles) -> None:
    """Nobody would miss it: what is wrong with the controller itself must end the process."""
    control, _ = controller(reconciles)
    unreadable = replace(make_request(), metadata=replace(make_request().metadata, resource_version="none"))
    reconciles.answer = Result(unreadable)

    async def work() -> None:
        async with asyncio.timeout(60), control.working(2, lambda: timedelta(seconds=5)):
            control.observe(make_request())
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await work()
    assert caught.group_contains(ValueError, match="invalid literal for int")
