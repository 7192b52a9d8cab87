"""Which backend an order goes to, and stays with."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import Fulfillment, Phase, Reason
from fulfillment_operator.backends.interface import Done, InProgress, Outcome, PaidOrder, Rejected, TryAgain
from fulfillment_operator.backends.order import ReversalNotice
from fulfillment_operator.backends.routes import Routing, parse_routing
from fulfillment_operator.controller.dispatcher import Dispatcher
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_operator.policy.decide import Fail
from support.builders import CREATED, make_request, make_session, make_status

NOTICE = ReversalNotice(ReversalKind.REFUNDED, "cs-1.refunded")


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    async def fulfill(self, order: PaidOrder) -> Outcome:
        return Done(f"{self.name} {order.key}")


def dispatcher(routing: Routing, *backends: str) -> Dispatcher:
    return Dispatcher(
        backends={name: Named(name) for name in backends},
        routing=routing,
        deadline=timedelta(hours=1),
        clock=lambda: CREATED,
        metrics=OperatorMetrics(CollectorRegistry()),
    )


ORDER = PaidOrder("cs-1", "shop", make_request().spec.session, make_session())


GONE = TryAgain(
    "the backend gone may have the order, and is gone: bring it back into FULFILLMENT_BACKEND (backend.name) or "
    "FULFILLMENT_ROUTES (backend.routes), or ask for another try by another one"
)


def tried(backend: str, *, accepted: bool = False) -> Fulfillment:
    at = make_request().metadata.creation_timestamp
    return Fulfillment(backend=backend, attempts=1, started_at=at, accepted_at=at if accepted else None)


def fulfilled(by: Fulfillment) -> FulfillmentRequest:
    return make_request(status=structs.replace(make_status(Phase.FULFILLED, Reason.FULFILLED), fulfillment=by))


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (None, Done("http cs-1")),
        (tried("log"), Done("log cs-1")),  # another backend would fulfill it a second time
        (tried("log", accepted=True), Done("log cs-1")),
        (tried("gone"), GONE),  # after a time-out nobody knows whether it took the order
        (tried("gone", accepted=True), GONE),
    ],
)
async def test_an_order_stays_with_its_backend(before: Fulfillment | None, expected: Outcome) -> None:
    """Whatever the routes say since."""
    backend = dispatcher(parse_routing(None, "http"), "log", "http").choose(ORDER, before)
    assert not isinstance(backend, Fail)
    assert await backend.fulfill(ORDER) == expected


def test_what_no_route_takes_fails() -> None:
    """With a reason of its own, and what to do."""
    routing = parse_routing("- {when: {mode: subscription}, backend: log}", "none")
    failed = dispatcher(routing, "log").choose(ORDER, None)
    assert failed == Fail(
        Reason.NO_ROUTE,
        "no route takes it, and FULFILLMENT_BACKEND (backend.name) is none: add a route that does, and then ask for "
        "another try",
        ORDER.session,
    )


class Stops(Named):
    """Leaves orders off, in its own way."""

    def __init__(self, answer: TryAgain | InProgress | Exception | None) -> None:
        super().__init__("any")
        self.answer, self.told = answer, 0

    async def stop(self, _key: str, _uid: str) -> TryAgain | InProgress | None:
        self.told += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


BUSY = InProgress("the Job is being stopped", check_after=timedelta(seconds=3))
FIRST = TryAgain("the Job is being stopped first", timedelta(seconds=3))
BROKEN = TryAgain("the backend own failed with ZeroDivisionError: the operator's log says more")


@pytest.mark.parametrize(
    ("answer", "stopped", "free"),
    [
        (None, None, None),
        (BUSY, None, FIRST),
        (TryAgain("away"), TryAgain("away"), TryAgain("away")),
        (ZeroDivisionError(), BROKEN, BROKEN),
    ],
)
async def test_every_backend_leaves_an_order_off(
    answer: TryAgain | InProgress | Exception | None, stopped: TryAgain | None, free: TryAgain | None
) -> None:
    """Whatever one of them raises is its fault, and passes; what one still ends keeps no other from ending, too."""
    own, last = Stops(answer), Stops(None)
    asked = dispatcher(parse_routing(None, "log"), "log")
    asked = replace(asked, backends={"own": own, "last": last, "log": Named("log")})
    assert await asked.stop("cs-1", "uid") == stopped
    assert await asked.free_for("log", "cs-1", "uid") == free
    assert await asked.free_for("own", "cs-1", "uid") is None
    assert last.told == (1 if isinstance(stopped, TryAgain) else 3)


@pytest.mark.parametrize(
    ("backend", "accepted", "notices", "knows"),
    [
        ("gone", True, (NOTICE,), False),
        ("gone", True, (), True),
        ("gone", False, (NOTICE,), True),  # it never took the order
        ("manually", True, (NOTICE,), True),  # a person completed it
        ("log", True, (NOTICE,), True),  # it does not listen
    ],
)
async def test_whether_a_backend_knows_of_a_reversal(
    backend: str, accepted: bool, notices: tuple[ReversalNotice, ...], knows: bool
) -> None:
    """One that was taken out of the settings cannot be told: whoever has the order does not know."""
    request = fulfilled(tried(backend, accepted=accepted))
    asked = dispatcher(parse_routing(None, "log"), "log")
    problems = await asked.notify(request, make_session(), notices)
    gone = TryAgain(
        "the backend gone had the order, and is gone: bring it back into FULFILLMENT_BACKEND (backend.name) or "
        "FULFILLMENT_ROUTES (backend.routes), or tell whoever has the order"
    )
    assert problems == ({} if knows else {ReversalKind.REFUNDED: gone})


class Listens(Named):
    """Takes some notices."""

    def __init__(self, answers: Mapping[ReversalKind, Outcome]) -> None:
        super().__init__("any")
        self.answers, self.told = answers, list[ReversalKind]()

    async def handle_reversal(self, _order: PaidOrder, notice: ReversalNotice) -> Outcome:
        self.told.append(notice.kind)
        return self.answers.get(notice.kind, Done())


SETTLED, WON = ReversalKind.DISPUTE_PREVENTED, ReversalKind.DISPUTE_WON


@pytest.mark.parametrize(
    ("answers", "told", "problems"),
    [
        ({}, [ReversalKind.REFUNDED, SETTLED, WON], {}),
        ({SETTLED: Rejected("422")}, [ReversalKind.REFUNDED, SETTLED, WON], {SETTLED: Rejected("422")}),
        (
            {SETTLED: TryAgain("503")},
            [ReversalKind.REFUNDED, SETTLED],
            {SETTLED: TryAgain("503"), WON: TryAgain("503")},
        ),
    ],
)
async def test_what_a_backend_takes_of_several_notices_it_knows(
    answers: Mapping[ReversalKind, Outcome],
    told: list[ReversalKind],
    problems: Mapping[ReversalKind, TryAgain | Rejected],
) -> None:
    """What it does not take says nothing of the others; while it is away it is asked once."""
    listener = Listens(answers)
    asked = replace(dispatcher(parse_routing(None, "log"), "log"), backends={"own": listener})
    request = fulfilled(tried("own", accepted=True))
    notices = [ReversalNotice(kind, f"cs-1.{kind}") for kind in (ReversalKind.REFUNDED, SETTLED, WON)]
    assert await asked.notify(request, make_session(), notices) == problems
    assert listener.told == told
