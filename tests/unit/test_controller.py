"""The controller: what the watch brings is looked at once, and what fails for one request stops no other."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from builders import CREATED, make_request
from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.backoff import Backoff
from fulfillment_operator.controller import Controller
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_operator.reconcile import Looked, Pace, Reconciler

NONE = Backoff(timedelta(0), timedelta(0), lambda: 0.0)
PACE = Pace(recheck=timedelta(hours=6), backend=NONE, backend_deadline=timedelta(0), trouble=NONE)
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
class Looks(Reconciler):
    """Counts looks, fails for some names, and can be held up."""

    broken: frozenset[str] = frozenset()
    answer: Looked | None = None
    seen: Counter[str] = field(default_factory=Counter)
    versions: list[str] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    looked: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def look(self, request: FulfillmentRequest, failures: int) -> Looked:  # noqa: ARG002 - Reconciler's
        await self.go.wait()
        async with self.looked:
            self.seen[request.metadata.name] += 1
            self.versions.append(request.metadata.resource_version)
            self.looked.notify_all()
        if request.metadata.name in self.broken:
            raise ZeroDivisionError
        return self.answer or Looked(request, None)

    async def wait_for(self, name: str, count: int) -> None:
        async with asyncio.timeout(5), self.looked:
            await self.looked.wait_for(lambda: self.seen[name] >= count)


def controller(looks: Looks) -> tuple[Controller, CollectorRegistry]:
    registry = CollectorRegistry()
    return Controller(looks, PACE, lambda: CREATED, OperatorMetrics(registry, "log")), registry


def version(request: FulfillmentRequest, number: int) -> FulfillmentRequest:
    return replace(request, metadata=replace(request.metadata, resource_version=str(number)))


@pytest.fixture
def looks() -> Looks:
    looks = Looks()
    looks.go.set()
    return looks


async def test_a_bug_that_one_request_wakes_stops_no_other(looks: Looks) -> None:
    """The unexpected is counted and tried again; others are served meanwhile."""
    bad, good = make_request(), make_request(session_id="cs_test_good")
    looks.broken = frozenset({bad.metadata.name})
    control, registry = controller(looks)
    async with control.working(1, timedelta(seconds=5)):
        control.observe(bad)
        control.observe(good)
        await looks.wait_for(good.metadata.name, 1)
        await looks.wait_for(bad.metadata.name, 3)
    errors = registry.get_sample_value("fulfillment_reconcile_errors_total", {"error": "unexpected"})
    assert errors is not None
    assert errors >= 2


async def test_a_version_that_is_known_calls_for_nothing(looks: Looks) -> None:
    """The watch brings back what the operator wrote, and lists everything again after a break."""
    control, _ = controller(looks)
    async with control.working(2, timedelta(seconds=5)):
        request = version(make_request(), 10)
        control.observe(request)
        await looks.wait_for(request.metadata.name, 1)
        control.observe(request)
        control.observe(version(request, 9))
        control.observe(version(request, 11))
        await looks.wait_for(request.metadata.name, 2)
    assert looks.versions == ["10", "11"]


async def test_news_that_come_during_a_look_are_looked_at_afterwards(looks: Looks) -> None:
    """Never by a second worker at once."""
    looks.go.clear()
    control, _ = controller(looks)
    async with control.working(4, timedelta(seconds=5)):
        request = version(make_request(), 10)
        control.observe(request)
        await asyncio.sleep(0)  # a worker takes it
        control.observe(version(request, 11))
        control.observe(version(request, 12))
        looks.go.set()
        await looks.wait_for(request.metadata.name, 2)
    assert looks.versions == ["10", "12"]


@pytest.mark.parametrize("change", ["paused", "deleted"])
async def test_what_is_settled_while_it_waits_for_a_worker_is_let_be(looks: Looks, change: str) -> None:
    """A failed order would lose its reason to the pause, one that is being deleted would be fulfilled."""
    looks.go.clear()
    other = make_request(session_id="cs_test_other")
    due = version(make_request(status=MAIL_IS_DUE), 10)
    settled = version(
        make_request(status=MAIL_IS_DUE, annotations=Annotations(paused="wait"))
        if change == "paused"
        else make_request(status=MAIL_IS_DUE, deleted=True),
        11,
    )
    control, _ = controller(looks)
    async with control.working(1, timedelta(seconds=5)):
        control.observe(other)
        await asyncio.sleep(0)  # the worker takes it
        control.observe(due)
        control.observe(settled)
        looks.go.set()
        await looks.wait_for(other.metadata.name, 1)
        async with asyncio.timeout(5):
            while control.queue_depth():  # noqa: ASYNC110 - nobody tells what is let be
                await asyncio.sleep(0)
    assert looks.seen == {other.metadata.name: 1}


async def test_what_is_gone_is_forgotten(looks: Looks) -> None:
    """A request that was deleted is no longer counted, nor looked at."""
    control, _ = controller(looks)
    request = make_request()
    control.observe(request)
    control.forget(request.metadata.name, request.metadata.uid)
    assert list(control.requests()) == []
    async with control.working(1, timedelta(seconds=5)):
        other = make_request(session_id="cs_test_other")
        control.observe(other)
        await looks.wait_for(other.metadata.name, 1)
    assert looks.seen == {other.metadata.name: 1}


async def test_what_is_made_anew_is_not_forgotten_with_what_was_deleted(looks: Looks) -> None:
    """The watch handles each object for itself: the end of the old one may be told after the beginning of the new."""
    control, _ = controller(looks)
    old = version(make_request(), 10)
    new = replace(old, metadata=replace(old.metadata, uid="another", resource_version="12"))
    async with control.working(1, timedelta(seconds=5)):
        control.observe(old)
        control.observe(new)
        control.forget(old.metadata.name, old.metadata.uid)
        await looks.wait_for(new.metadata.name, 1)
    assert looks.versions == ["12"]
    assert list(control.requests()) == [new]


async def test_what_is_made_anew_during_the_look_at_the_old_is_looked_at(looks: Looks) -> None:
    """The look finds its own object gone, which says nothing of the new one."""
    looks.go.clear()
    looks.answer = Looked(None, None)
    control, _ = controller(looks)
    old = version(make_request(), 10)
    new = replace(old, metadata=replace(old.metadata, uid="another", resource_version="12"))
    async with control.working(1, timedelta(seconds=5)):
        control.observe(old)
        await asyncio.sleep(0)  # a worker takes it
        control.forget(old.metadata.name, old.metadata.uid)
        control.observe(new)
        looks.go.set()
        await looks.wait_for(new.metadata.name, 2)
    assert looks.versions == ["10", "12"]


async def test_a_look_that_outlasts_the_grace_is_interrupted(looks: Looks) -> None:
    """Stopping takes no longer than the grace: the next operator begins that order anew, with the same key."""
    looks.go.clear()
    control, _ = controller(looks)
    async with asyncio.timeout(5), control.working(1, timedelta(seconds=0.05)):
        control.observe(make_request())
        await asyncio.sleep(0)
    assert looks.seen == {}


async def test_a_worker_that_dies_ends_the_context(looks: Looks) -> None:
    """Nobody would miss it: what is wrong with the controller itself must end the process."""
    control, _ = controller(looks)
    unreadable = replace(make_request(), metadata=replace(make_request().metadata, resource_version="none"))
    looks.answer = Looked(unreadable, None)

    async def work() -> None:
        async with asyncio.timeout(5), control.working(2, timedelta(seconds=5)):
            control.observe(make_request())
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await work()
    assert caught.group_contains(ValueError, match="invalid literal for int")
