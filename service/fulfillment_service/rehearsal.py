"""A dry run: tells what recording would change, as if all that came before it in the run had been recorded."""

from collections.abc import Awaitable, Callable

from fulfillment_api.spec import PaymentStatus
from fulfillment_service.record import Outcome
from fulfillment_service.translate import Desired, Ignored, Wanted


class Rehearsal:
    """Remembers what would have been written."""

    def __init__(self, foresee: Callable[[Wanted], Awaitable[Outcome | Ignored]]) -> None:
        """Make one.

        Args:
            foresee: tells what recording would change in the cluster as it is.
        """
        self._foresee = foresee
        self._written: dict[str, Desired] = {}

    async def put(self, wanted: Wanted) -> Outcome | Ignored:
        """Tell what recording would change. Raises what `foresee` does.

        What came after the sale is told by the cluster as it is: an order that is only rehearsed is not in it.
        """
        if not isinstance(wanted, Desired):
            return await self._foresee(wanted)
        before = self._written.get(wanted.name)
        if before is None:
            outcome = await self._foresee(wanted)
        else:
            outcome = Outcome.UPDATED if _payment(before).may_become(_payment(wanted)) else Outcome.UNCHANGED
        if outcome is not Outcome.UNCHANGED:
            self._written[wanted.name] = wanted
        return outcome


def _payment(desired: Desired) -> PaymentStatus:
    return desired.spec.payment.status
