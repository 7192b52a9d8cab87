"""Which backend fulfills an order: the one that has it, else the one that its route names."""

from collections.abc import Mapping
from dataclasses import dataclass

from fulfillment_api.status import Fulfillment, Reason
from fulfillment_operator.backends.interface import Backend, Done, InProgress, Outcome, PaidOrder, Refused, TryAgain
from fulfillment_operator.decide import Refuse
from fulfillment_operator.metrics import BackendResult
from fulfillment_operator.routes import Routing, facts_of


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Gives each order its backend."""

    backends: Mapping[str, Backend]
    """Those that are at work, by name."""
    routing: Routing

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


def result_of(outcome: Outcome) -> BackendResult:
    """Call what a backend said by the word that metrics have for it."""
    match outcome:
        case Done():
            return BackendResult.DONE
        case InProgress():
            return BackendResult.IN_PROGRESS
        case TryAgain():
            return BackendResult.TRY_AGAIN
        case Refused():
            return BackendResult.REFUSED
