"""Finds the order of a visit: at the API server, or else by Stripe."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_page.budgets import Budget
from fulfillment_page.buyer_state import OrderView, view_of
from fulfillment_page.metrics import VisitOutcome
from fulfillment_page.session_id import SessionId
from fulfillment_page.session_lookup import LookupOutcome, SessionLookup
from fulfillment_runtime.kubernetes.errors import KubernetesError, NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient

_log = structlog.get_logger(__name__)

_OUTCOMES = {
    LookupOutcome.LIMITED: VisitOutcome.LIMITED,
    LookupOutcome.UNAVAILABLE: VisitOutcome.UNAVAILABLE,
    LookupOutcome.MISCONFIGURED: VisitOutcome.UNAVAILABLE,
}
"""What a visitor is shown when Stripe was not asked; else there is no such order."""


@dataclass(slots=True, kw_only=True)
class Orders:
    """The orders, as visitors may see them."""

    requests: FulfillmentRequestClient
    lookup: SessionLookup
    budget: Budget
    """How often the API server is asked."""
    has_seen_deleted: Callable[[str], bool]
    """Tells whether a request was deleted lately: that was somebody's will, and a visit does not undo it."""
    livemode: bool
    """The one mode that counts: the API key's, which may be another one some day."""

    async def find(self, session: SessionId, address: str) -> OrderView | VisitOutcome:
        """Find the order of a Session, and make sure that it exists; or tell why none is shown.

        Args:
            session: as the visitor names it, whatever that is.
            address: the visitor's.
        """
        if not session.is_well_formed(livemode=self.livemode):
            return VisitOutcome.MALFORMED
        if not self.budget.try_accept(address):
            return VisitOutcome.LIMITED
        name = session.request_name
        try:
            try:
                request = await self.requests.get(name)
            except NotFoundError:
                if self.has_seen_deleted(name):
                    return VisitOutcome.UNKNOWN
                outcome = await self.lookup.make_request(session, address)
                if outcome is not LookupOutcome.MADE:
                    return _OUTCOMES.get(outcome, VisitOutcome.UNKNOWN)
                request = await self.requests.get(name)
        except KubernetesError as error:
            _log.warning("page.order_not_read", request=name, message=str(error))
            return VisitOutcome.UNAVAILABLE
        return self.view(request, session) or VisitOutcome.UNKNOWN

    def view(self, request: FulfillmentRequest, named: SessionId) -> OrderView | None:
        """Decide what the visitor sees of a request of that name; None: nothing."""
        session = request.spec.session
        if (session.id, session.livemode, session.account) != (named.id, self.livemode, named.account):
            return None
        return view_of(request)
