"""Asks Stripe about a Session that no request is of, once, and makes its request if it is an order.

Most buyers come when the event has made their request: Checkout waits for the webhook before it redirects them. This is
for the others (Stripe, "Fulfill orders with Checkout"), and for whoever guesses: what is asked is bounded, for each
address and over all, and what was no order is not asked again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum, unique

import stripe
import structlog

from fulfillment_page.budgets import Budget
from fulfillment_page.metrics import PageMetrics
from fulfillment_page.session_id import SessionId
from fulfillment_runtime.stripe.client import StripeMisconfiguredError, translate_error
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_runtime.stripe.refusals import error_code
from fulfillment_service.events.retrieved_session import NotCompleted, parse_retrieved_session
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.translate import DesiredRequest, translate
from fulfillment_service.request_store import NotRecordedError, NotRecordedReason, RequestStore

_log = structlog.get_logger(__name__)

_SESSION = "/v1/checkout/sessions/{id}"
_RIGHT = "to read Checkout Sessions: give the restricted key this read permission"
_NO_SUCH_SESSION = {"resource_missing", "account_invalid", "platform_account_required"}
"""Stripe's error codes. The second is of an account that is not connected, the third of any account, where the key's is
no Connect platform: anybody can name one, so the settings are not wrong for that."""
_LANDS_WITHIN = timedelta(days=2)
"""So long after a Session was created its buyer may come from Checkout: it expires after a day at most.

An order that is missing later was deleted, and would be fulfilled twice; or its event is lost, which Stripe sends again
for three days, and `fulfillment recover` finds.
"""
_REMEMBERED = 20_000
"""Sessions that were no order; the oldest is forgotten first."""
_NO_ORDER_FOR = timedelta(hours=6)
_OPEN_FOR = timedelta(minutes=1)
"""A Session that is open may be completed the next moment."""


@unique
class LookupOutcome(StrEnum):
    """What became of a question to Stripe, or why none was asked: a metric's label."""

    MADE = "made"
    """The Session is an order, and has its request."""
    NOT_FOUND = "not-found"
    """Stripe knows no such Session."""
    OPEN = "open"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"
    NOT_COUNTED = "not-counted"
    """The Session sold nothing, or not what counts here."""
    TOO_OLD = "too-old"
    """Nobody comes from Checkout so late."""
    REMEMBERED = "remembered"
    """It was no order before: Stripe was not asked."""
    LIMITED = "limited"
    """Too many were asked for: Stripe was not asked."""
    UNAVAILABLE = "unavailable"
    """Stripe, or the API server, cannot be asked right now."""
    MISCONFIGURED = "misconfigured"
    """Stripe, or the API server, refuses it: a person must mend the settings."""


_FORGOTTEN_AFTER = {
    LookupOutcome.NOT_FOUND: _NO_ORDER_FOR,
    LookupOutcome.EXPIRED: _NO_ORDER_FOR,
    LookupOutcome.UNREADABLE: _NO_ORDER_FOR,
    LookupOutcome.NOT_COUNTED: _NO_ORDER_FOR,
    LookupOutcome.TOO_OLD: _NO_ORDER_FOR,
    LookupOutcome.OPEN: _OPEN_FOR,
}
"""How long Stripe is not asked again."""
_NOT_COMPLETED = {
    NotCompleted.OPEN: LookupOutcome.OPEN,
    NotCompleted.EXPIRED: LookupOutcome.EXPIRED,
    NotCompleted.UNREADABLE: LookupOutcome.UNREADABLE,
}


def request_of(body: bytes, session: SessionId, rules: EventRules, *, now: datetime) -> DesiredRequest | LookupOutcome:
    """Decide which request a Session that was retrieved should have. Pure.

    Args:
        body: Stripe's answer, as it came.
        session: the Session that was asked for.
        rules: which Sessions are orders here, and what is stored of them.
        now: the time, with its zone.
    """
    event = parse_retrieved_session(body, session.id, session.account)
    if isinstance(event, NotCompleted):
        return _NOT_COMPLETED[event]
    if event.created_at is None or event.created_at < now - _LANDS_WITHIN:
        return LookupOutcome.TOO_OLD
    change = translate(event, rules, observed_at=now)
    return change if isinstance(change, DesiredRequest) else LookupOutcome.NOT_COUNTED


class SessionLookup:
    """Asks Stripe, and remembers what was no order."""

    def __init__(  # noqa: PLR0913 - who is asked, what counts, and what is injected
        self,
        reader: StripeReader,
        store: RequestStore,
        rules: EventRules,
        *,
        budget: Budget,
        deadline: timedelta,
        metrics: PageMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        """Make it; nothing is remembered yet.

        Args:
            reader: asks Stripe.
            store: makes requests.
            rules: which Sessions are orders here, and what is stored of them.
            budget: how often Stripe is asked.
            deadline: how long an answer may take.
            metrics: counts.
            clock: tells the time, with its zone.
        """
        self._reader = reader
        self._store = store
        self._rules = rules
        self._budget = budget
        self._deadline = deadline.total_seconds()
        self._metrics = metrics
        self._clock = clock
        self._no_orders: OrderedDict[SessionId, datetime] = OrderedDict()
        self._under_way: dict[SessionId, asyncio.Task[LookupOutcome]] = {}

    def take(self, reader: StripeReader, rules: EventRules) -> None:
        """Ask Stripe by another API key, or go by other rules: what was no order may be one then."""
        self._reader, self._rules = reader, rules
        self._no_orders.clear()

    async def make_request(self, session: SessionId, address: str) -> LookupOutcome:
        """Make the request of a Session that has none, if it is an order.

        Args:
            session: it has the shape of one.
            address: who asks.
        """
        outcome = await self._outcome(session, address)
        self._metrics.looked_up(outcome)
        return outcome

    async def _outcome(self, session: SessionId, address: str) -> LookupOutcome:
        until = self._no_orders.get(session)
        if until is not None and self._clock() < until:
            return LookupOutcome.REMEMBERED
        task = self._under_way.get(session)
        if task is None:
            if not self._budget.try_accept(address):
                return LookupOutcome.LIMITED
            task = asyncio.create_task(self._ask(session))
            self._under_way[session] = task
            task.add_done_callback(lambda _: self._under_way.pop(session, None))
        # A visitor who leaves takes nobody else's answer away, nor the order's request.
        return await asyncio.shield(task)

    async def _ask(self, session: SessionId) -> LookupOutcome:
        reader, rules = self._reader, self._rules  # others may take their place meanwhile
        deadline = asyncio.get_running_loop().time() + self._deadline
        try:
            async with asyncio.timeout_at(deadline):
                found = await self._ask_stripe(session, reader, rules)
        except TimeoutError:
            _log.warning("page.stripe_not_asked", message="Stripe did not answer in time")
            return LookupOutcome.UNAVAILABLE
        if isinstance(found, DesiredRequest):
            return await self._make(found, deadline)
        if found in _FORGOTTEN_AFTER and reader is self._reader:
            self._no_orders[session] = self._clock() + _FORGOTTEN_AFTER[found]
            self._no_orders.move_to_end(session)
            if len(self._no_orders) > _REMEMBERED:
                self._no_orders.popitem(last=False)
        return found

    async def _ask_stripe(
        self, session: SessionId, reader: StripeReader, rules: EventRules
    ) -> DesiredRequest | LookupOutcome:
        body = await _retrieve(session, reader)
        if isinstance(body, LookupOutcome):
            return body
        desired = request_of(body, session, rules, now=self._clock())
        if isinstance(desired, DesiredRequest) and session.account is not None:
            # Whoever names the key's own account gets its Sessions, too: under that name an order of the shop's would
            # be fulfilled a second time.
            own = await _retrieve(SessionId(session.id, None), reader)
            if isinstance(own, bytes):
                return LookupOutcome.NOT_FOUND
            if own is not LookupOutcome.NOT_FOUND:
                return own
        return desired

    async def _make(self, desired: DesiredRequest, deadline: float) -> LookupOutcome:
        try:
            result = await self._store.ensure(desired, deadline=deadline)
        except NotRecordedError as error:
            _log.error("page.order_not_recorded", request=desired.name, message=str(error))
            is_wrong = error.reason is NotRecordedReason.BLOCKED
            return LookupOutcome.MISCONFIGURED if is_wrong else LookupOutcome.UNAVAILABLE
        _log.info("page.order_recorded", request=desired.name, session=desired.spec.session.id, outcome=result)
        return LookupOutcome.MADE


async def _retrieve(session: SessionId, reader: StripeReader) -> bytes | LookupOutcome:
    """Return a Session as Stripe answers it, or why there is none."""
    try:
        answer = await reader.get(_SESSION, {}, account=session.account, object_id=session.id)
    except stripe.StripeError as error:
        if error_code(error) in _NO_SUCH_SESSION:
            return LookupOutcome.NOT_FOUND
        failure = translate_error(error, right=_RIGHT)
        _log.warning("page.stripe_not_asked", message=str(failure))
        is_wrong = isinstance(failure, StripeMisconfiguredError)
        return LookupOutcome.MISCONFIGURED if is_wrong else LookupOutcome.UNAVAILABLE
    return answer.body
