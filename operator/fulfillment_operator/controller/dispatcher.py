"""Which backend fulfills an order: the one that has it, else the one that its route names; and every call to one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from fulfillment_api.names import LOG_BACKEND, MANUAL_BACKEND
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import Fulfillment, Reason
from fulfillment_operator.backends.interface import (
    Backend,
    Done,
    InProgress,
    Outcome,
    PaidOrder,
    Rejected,
    ReversalListener,
    ReversalNotice,
    Stoppable,
    TryAgain,
)
from fulfillment_operator.backends.routes import Routing, facts_of
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.controller.paid_order import paid_order
from fulfillment_operator.metrics import BackendResult, ErrorKind, OperatorMetrics
from fulfillment_operator.policy.decide import Fail
from fulfillment_operator.policy.notices import Problems, given_up_after_deadline
from fulfillment_operator.policy.transition import MANUALLY
from fulfillment_runtime.chart_values import with_chart_values

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_SILENT = {MANUALLY, MANUAL_BACKEND, LOG_BACKEND}
"""Those that have nobody to notify."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Gives each order its backend, and counts and times its calls."""

    backends: Mapping[str, Backend]
    """Those that are at work, by name."""
    routing: Routing
    deadline: timedelta
    """How long a backend that does not take a notice is tried, from the event on."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone, in whole seconds."""
    metrics: OperatorMetrics

    def choose(self, order: PaidOrder, before: Fulfillment | None) -> Backend | Fail:
        """Choose the backend of an order, or say that there is none.

        An order stays with the backend that it was handed to, whatever the routes say since: another one would fulfill
        it a second time. A retry that a person asks for frees it.

        Args:
            order: the order.
            before: what was done so far, since a person last asked for it.
        """
        if before is not None:  # it may have had its effect, whatever came of the answer
            return self.backends.get(before.backend) or _Missing(before.backend)
        choice = self.routing.choose(facts_of(order.reference, order.session))
        if choice.backend is None:
            return Fail(
                Reason.NO_ROUTE,
                f"{choice.reason}: add a route that does, and then ask for another try",
                order.session,
            )
        return self.backends[choice.backend]

    async def fulfill(self, backend: Backend, order: PaidOrder) -> Outcome:
        """Hand an order to its backend, or ask how it goes."""
        return await self._called(backend.name, partial(backend.fulfill, order))

    async def notify(
        self, request: FulfillmentRequest, session: CheckoutSession, notices: Sequence[ReversalNotice]
    ) -> Problems:
        """Notify the backend that has, or had, an order of its reversals.

        Args:
            request: the object as it stands in the cluster.
            session: what Stripe says now.
            notices: those that are new, or that it could not be told before.

        Returns:
            Which of them the backend does not know of; it may not listen, or there was none.
        """
        tries = request.status.fulfillment if request.status else None
        if tries is None:
            return {}
        problems = await self._notified(tries, paid_order(request, session, tries), notices)
        return given_up_after_deadline(request, problems, self.deadline, self.clock())

    async def _notified(self, tries: Fulfillment, order: PaidOrder, notices: Sequence[ReversalNotice]) -> Problems:
        backend, has_it = tries.backend, tries.accepted_at is not None or tries.completed_at is not None
        listener: object = self.backends.get(backend)
        if listener is None and has_it and backend not in _SILENT and notices:
            gone = with_chart_values(
                f"the backend {backend} had the order, and is gone: bring it back into FULFILLMENT_BACKEND or "
                "FULFILLMENT_ROUTES, or tell whoever has the order"
            )
            return {each.kind: TryAgain(gone) for each in notices}
        problems = dict[ReversalKind, TryAgain | Rejected]()
        if isinstance(listener, ReversalListener):
            for place, notice in enumerate(notices):
                match await self._called(backend, partial(listener.handle_reversal, order, notice)):
                    case TryAgain() as away:  # those that follow wait with it
                        return problems | {each.kind: away for each in notices[place:]}
                    case Rejected() as rejected:
                        problems[notice.kind] = rejected
        return problems

    async def _called(self, backend: str, call: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Call a backend that has, or is to have, an order; time and count that."""

        async def timed() -> Outcome:
            with self.metrics.backend_seconds.labels(backend).time():
                return _checked(await call())

        outcome = await self._guarded(backend, timed)
        self.metrics.backend_attempts.labels(backend, _result(outcome)).inc()
        return outcome

    async def _guarded(self, backend: str, call: Callable[[], Awaitable[T]]) -> T | TryAgain:
        """Call a backend. Should it fail in a way that it did not foresee, the order has a deadline all the same."""
        try:
            return await call()
        except Exception as error:  # noqa: BLE001 - a backend may be anybody's
            _log.exception("backend.failed", backend=backend)
            self.metrics.errors.labels(ErrorKind.UNEXPECTED).inc()
            return TryAgain(f"the backend {backend} failed with {type(error).__name__}: the operator's log says more")

    async def stop(self, key: str, uid: str) -> TryAgain | None:
        """Let every backend that can leave off an order: whichever had it may still be at work.

        Args:
            key: the order's idempotency key.
            uid: the request's uid in the cluster.

        Returns:
            Why one of them cannot now; None: nothing is at work, or it is about to end.
        """
        waited_for = await self._leave_off(key, uid)
        return waited_for if isinstance(waited_for, TryAgain) else None

    async def free_for(self, backend: str, key: str, uid: str) -> TryAgain | None:
        """Let every other backend leave off an order that is to be handed to this one.

        Args:
            backend: the name of the one that is to have it.
            key: the order's idempotency key.
            uid: the request's uid in the cluster.

        Returns:
            What is waited for; None: nothing else is at work on it.
        """
        match await self._leave_off(key, uid, except_for=backend):
            case InProgress(message, _, check_after):
                return TryAgain(f"{message} first", check_after)
            case problem:
                return problem

    async def _leave_off(self, key: str, uid: str, *, except_for: str = "") -> TryAgain | InProgress | None:
        """Let each backend that can leave off an order, but for one; return what is waited for."""
        at_work: InProgress | None = None
        for name, each in self.backends.items():
            backend: object = each
            if name == except_for or not isinstance(backend, Stoppable):
                continue
            match await self._guarded(name, partial(backend.stop, key, uid)):
                case TryAgain() as problem:
                    return problem
                case InProgress() as answer:
                    at_work = answer
        return at_work


@dataclass(frozen=True, slots=True)
class _Missing:
    """Stands for the backend that was given an order, and is no longer among those that work."""

    name: str

    async def fulfill(self, order: PaidOrder) -> Outcome:  # noqa: ARG002 - the interface's
        """Wait for it."""
        return TryAgain(
            with_chart_values(
                f"the backend {self.name} may have the order, and is gone: bring it back into FULFILLMENT_BACKEND or "
                "FULFILLMENT_ROUTES, or ask for another try by another one"
            )
        )


def _checked(answer: object) -> Outcome:
    """Make sure that a backend's answer is one, such as when it forgets to return any."""
    if isinstance(answer, Outcome):
        return answer
    raise TypeError(f"a backend answers Done, InProgress, TryAgain or Rejected, and not {type(answer).__name__}")


def _result(outcome: Outcome) -> BackendResult:
    match outcome:
        case Done():
            return BackendResult.DONE
        case InProgress():
            return BackendResult.IN_PROGRESS
        case TryAgain():
            return BackendResult.TRY_AGAIN
        case Rejected():
            return BackendResult.REJECTED
