"""Which backend fulfills an order: the one that has it, else the one that its route names; and every call to one."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from fulfillment_api.spec import SaleKind
from fulfillment_api.status import Fulfillment, Reason
from fulfillment_operator.backends.interface import (
    Backend,
    Done,
    HearsAfterSale,
    InProgress,
    Outcome,
    PaidOrder,
    Refused,
    Stoppable,
    TryAgain,
)
from fulfillment_operator.decide import Refuse
from fulfillment_operator.metrics import BackendResult, OperatorMetrics, Trouble
from fulfillment_operator.routes import Routing, facts_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Gives each order its backend, and counts and times what it is asked."""

    backends: Mapping[str, Backend]
    """Those that are at work, by name."""
    routing: Routing
    metrics: OperatorMetrics

    def backend_of(self, order: PaidOrder, before: Fulfillment | None) -> Backend | Refuse:
        """Choose the backend of an order, or say that there is none.

        An order stays with the backend that it was handed to, whatever the routes say since: another one would fulfill
        it a second time. A person's wish for another try frees it.

        Args:
            order: the order.
            before: what was done so far, since a person last asked for it.
        """
        if before is not None and before.backend in self.backends:
            return self.backends[before.backend]
        if before is not None and before.accepted_at is not None:
            return _Missing(before.backend)
        choice = self.routing.choose(facts_of(order.reference, order.session))
        if choice.backend is None:
            return Refuse(
                Reason.NO_ROUTE,
                f"{choice.why}: add a route that does, and then ask for another try",
                order.session,
            )
        return self.backends[choice.backend]

    async def fulfill(self, backend: Backend, order: PaidOrder) -> Outcome:
        """Hand an order to its backend, or ask how it goes."""
        return await self._asked(backend.name, partial(backend.fulfill, order))

    async def tell(self, backend: str, order: PaidOrder, kinds: Iterable[SaleKind]) -> TryAgain | Refused | None:
        """Tell the backend that has, or had, an order what came after the sale.

        Args:
            backend: its name.
            order: the order.
            kinds: what is news.

        Returns:
            Why the backend does not know it; None: it knows, or does not listen.
        """
        listener: object = self.backends.get(backend)
        refusal: Refused | None = None
        if isinstance(listener, HearsAfterSale):
            for kind in kinds:
                outcome = await self._asked(backend, partial(listener.after_sale, order, kind))
                match outcome:
                    case TryAgain():
                        return outcome
                    case Refused():
                        refusal = outcome
        return refusal

    async def _asked(self, backend: str, ask: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Ask a backend. Should it fail in a way that it did not foresee, the order has a deadline all the same."""
        try:
            with self.metrics.backend_seconds.labels(backend).time():
                outcome = _checked(await ask())
        except Exception as error:  # noqa: BLE001 - a backend may be anybody's
            _log.exception("backend.failed", backend=backend)
            self.metrics.troubles.labels(Trouble.UNEXPECTED).inc()
            outcome = TryAgain(
                f"the backend {backend} failed with {type(error).__name__}: the operator's log says more"
            )
        self.metrics.backend_attempts.labels(backend, _result(outcome)).inc()
        return outcome

    async def stop(self, key: str, uid: str) -> TryAgain | None:
        """Let every backend that can leave off an order: whichever had it may still be at work.

        Args:
            key: the order's idempotency key.
            uid: the request's uid in the cluster.

        Returns:
            Why one of them cannot now; None: nothing is at work, or it is about to end.
        """
        backends: list[object] = [*self.backends.values()]
        for backend in backends:
            if isinstance(backend, Stoppable):
                problem = await backend.stop(key, uid)
                if problem is not None:
                    return problem
        return None


@dataclass(frozen=True, slots=True)
class _Missing:
    """Stands for the backend that has an order, and is no longer among those that work."""

    name: str

    async def fulfill(self, order: PaidOrder) -> Outcome:  # noqa: ARG002 - the interface's
        """Wait for it."""
        return TryAgain(
            f"the backend {self.name} has the order, and is gone: bring it back into FULFILLMENT_BACKEND or "
            "FULFILLMENT_ROUTES, or ask for another try by another one"
        )


def _checked(answer: object) -> Outcome:
    """Make sure that a backend's answer is one, such as when it forgets to return any."""
    if isinstance(answer, Outcome):
        return answer
    raise TypeError(f"a backend answers Done, InProgress, TryAgain or Refused, and not {type(answer).__name__}")


def _result(outcome: Outcome) -> BackendResult:
    match outcome:
        case Done():
            return BackendResult.DONE
        case InProgress():
            return BackendResult.IN_PROGRESS
        case TryAgain():
            return BackendResult.TRY_AGAIN
        case Refused():
            return BackendResult.REFUSED
