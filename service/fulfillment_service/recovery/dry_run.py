"""A dry run: what recording would change, as if all that came before it in the run had been recorded."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.translate import DesiredRequest, SpecChange
from fulfillment_service.request_store import OperationResult

if TYPE_CHECKING:
    from fulfillment_api.spec import PaymentStatus


class DryRun:
    """Remembers the payments that would have been written."""

    def __init__(self, preview: Callable[[SpecChange], Awaitable[OperationResult | Ignored]]) -> None:
        """Make one.

        Args:
            preview: returns what recording would change in the cluster as it is.
        """
        self._preview = preview
        self._payments: dict[str, PaymentStatus] = {}

    async def record(self, change: SpecChange) -> OperationResult | Ignored:
        """Return what recording would change. Raises what `preview` does.

        A hint is compared with the cluster as it is: a request that this run would make is not in it.
        """
        if not isinstance(change, DesiredRequest):
            return await self._preview(change)
        payment, before = change.spec.payment.status, self._payments.get(change.name)
        if before is None:
            result = await self._preview(change)
        else:
            result = OperationResult.UPDATED if before.may_become(payment) else OperationResult.UNCHANGED
        if result is not OperationResult.UNCHANGED:
            self._payments[change.name] = payment
        return result
