"""Waits for a person, or a program that acts for one, to say how the order ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fulfillment_api import names
from fulfillment_operator.backends.interface import Backend, BackendContext, InProgress, Outcome, PaidOrder


class ManualBackend:
    """Takes each order, and has no end of its own: annotations, or a patch of `status.manual`, are the end."""

    name = names.MANUAL_BACKEND

    async def fulfill(self, order: PaidOrder) -> Outcome:
        """Say what ends the order."""
        kubectl = f"kubectl annotate --overwrite -n {order.namespace} {names.SHORT_NAME} {order.key}"
        return InProgress(
            f"a person fulfills this order: when it is done, {kubectl} {names.COMPLETE}=REFERENCE; "
            f"if it cannot be, {kubectl} {names.FAIL}=WHY"
        )


@asynccontextmanager
async def manual_backend(_context: BackendContext) -> AsyncIterator[Backend]:
    """Make the backend."""
    yield ManualBackend()
