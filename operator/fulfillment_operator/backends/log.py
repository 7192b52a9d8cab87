"""The guide's own backend: print the order (Stripe, "Fulfill orders with Checkout", `fulfill_order`)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from fulfillment_api import names
from fulfillment_operator.backends.interface import (
    Backend,
    BackendContext,
    Done,
    Outcome,
    PaidOrder,
    ReversalNotice,
)

_log = structlog.get_logger(__name__)


class LogBackend:
    """Writes each order as one log line, without the customer's personal data."""

    name = names.LOG_BACKEND

    async def fulfill(self, order: PaidOrder) -> Outcome:
        """Print the order."""
        amount = order.session.amount
        _log.info(
            "backend.log.order",
            key=order.key,
            amount=amount.display if amount else None,
            line_items=[f"{item.quantity or 1} x {item.description or item.id}" for item in order.session.line_items],
        )
        return Done()

    async def handle_reversal(self, order: PaidOrder, notice: ReversalNotice) -> Outcome:
        """Print what became of the order's payment."""
        refunded = order.session.amount_refunded
        _log.info(
            "backend.log.reversal",
            key=order.key,
            kind=notice.kind,
            amount_refunded=refunded.display if refunded else None,
        )
        return Done()


@asynccontextmanager
async def log_backend(_context: BackendContext) -> AsyncIterator[Backend]:
    """Make the backend."""
    yield LogBackend()
