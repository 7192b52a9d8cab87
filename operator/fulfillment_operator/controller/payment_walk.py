"""Finds out about payments whose events were lost: walks through Stripe's list of Sessions, for all that await theirs.

A page tells of a hundred what changed, so 20,000 that wait take some 250 requests an interval instead of 20,000, and
no more than to read that page: an order is reconciled only when the list says something else of it than its status.
What the list does not show of an order, the order's own reconcile asks for.
"""

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from fulfillment_api.status import Phase
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.checkout.session_list import Due, Page, SessionList, Span, created_of
from fulfillment_operator.controller.cached_request import CachedRequest
from fulfillment_operator.metrics import OperatorMetrics, stripe_error_kind
from fulfillment_operator.policy.decide import has_news
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.stripe.client import StripeError, StripeMisconfiguredError, StripeUnavailableError

_log = structlog.get_logger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHARE = 0.8
"""Of the interval lies between two walks: what is left is for the walk itself, so that all is seen within one."""
_QUEUED_AT_MOST = 100
"""Orders, while more are asked about by their ids: new ones go first, and each takes a request to Stripe."""
_LOOKS_EVERY = 1.0  # seconds, at the queue


class WaitingOrders(Protocol):
    """The controller's side."""

    def awaiting_payment(self) -> list[CachedRequest]:
        """Return the orders that await their payment."""

    def get(self, name: str, /) -> CachedRequest | None:
        """Return one of them as it is by now."""

    def recheck(self, name: str, /) -> None:
        """Have one of them reconciled."""

    def queue_depth(self) -> int:
        """Count what waits for a worker."""


class PaymentList(Protocol):
    """Stripe's side."""

    async def list_payments(self, span: Span, account: str | None, /) -> tuple[Page, dict[str, CheckoutSession | None]]:
        """List Sessions with how their payments stand; raise StripeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentWalk:
    """Walks through the list, once in each interval."""

    orders: WaitingOrders
    stripe: PaymentList
    interval: timedelta
    """Within which all is seen."""
    backoff: Backoff
    """Between two pages of which Stripe did not answer the first."""
    misconfigured: Backoff
    """Between two walks through lists that Stripe refuses."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone and its fractions of a second."""
    metrics: OperatorMetrics
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits for so many seconds between two walks."""

    async def run(self) -> None:
        """Walk, for ever: at fixed times, so that the operators of a day, each started anew, walk as one would."""
        period = self.interval * _SHARE
        at = _next_time(self.clock(), period)
        refused, failures = set[str | None](), 0
        while True:
            now = self.clock()
            if at - now > 1.5 * period:  # the clock was set back
                at = _next_time(now, period)
            again = min(at, now + self.misconfigured.delay(failures)) if refused else at
            await self.sleep((again - now).total_seconds())
            if again < at:
                refused, failures = await self.walk(refused), failures + 1
            else:
                refused, failures = await self.walk(), 1
                at = max(at + period, self.clock())

    async def walk(self, accounts: Collection[str | None] | None = None) -> set[str | None]:
        """Look at each order once, the newest first.

        Args:
            accounts: whose; None: everybody's.

        Returns:
            Those whose lists Stripe refuses, as of an account that is connected no more: nothing is asked of them.
        """
        of_account = defaultdict[str | None, list[Due]](list)
        for cached in self.orders.awaiting_payment():
            due = cached.due
            if due.created is not None and (accounts is None or due.account in accounts):
                of_account[due.account].append(due)
        refused = set[str | None]()
        for account, every in of_account.items():
            try:
                await self._walk_list(account, sorted(every, key=created_of))
            except StripeMisconfiguredError as error:
                refused.add(account)
                self.metrics.errors.labels(stripe_error_kind(error)).inc()
                _log.warning("payment_walk.stripe_error", message=str(error), account=account)
        return refused

    async def _walk_list(self, account: str | None, left: list[Due]) -> None:
        sessions, failures = SessionList(), 0
        while left:
            span = sessions.plan(left[-1], left)
            if span is None:
                await self._ask_by_id(sessions, left.pop())
                continue
            sessions.asked(span)
            try:
                page, found = await self.stripe.list_payments(span, account)
            except StripeUnavailableError as error:
                sessions.failed(span)
                failures += 1
                await self._back_off(error, failures)
                continue
            failures, begin = 0, bisect_left(left, span.first, key=created_of)
            shown = [each for each in left[begin:] if each.session in found]
            for each in shown:
                self._compare(each, found[each.session])
            lacking = sessions.answered(span, page, len(shown))
            seen = {each.session for each in (*shown, *lacking)}
            left[begin:] = [each for each in left[begin:] if each.session not in seen]
            for each in lacking:
                await self._ask_by_id(sessions, each)

    def _compare(self, due: Due, session: CheckoutSession | None) -> None:
        cached = self.orders.get(due.request)
        if cached is None or cached.level.phase != Phase.AWAITING_PAYMENT:
            return
        if session is None or has_news(cached.unpack(), session, self.clock()):
            self.orders.recheck(due.request)

    async def _ask_by_id(self, sessions: SessionList, due: Due) -> None:
        while self.orders.queue_depth() > _QUEUED_AT_MOST:  # noqa: ASYNC110 - a queue that gets shorter tells nobody
            await asyncio.sleep(_LOOKS_EVERY)
        sessions.asked_by_id()
        self.orders.recheck(due.request)

    async def _back_off(self, error: StripeError, failures: int) -> None:
        self.metrics.errors.labels(stripe_error_kind(error)).inc()
        delay = self.backoff.delay(failures)
        _log.warning("payment_walk.stripe_error", message=str(error), again_after=delay.total_seconds())
        await asyncio.sleep(delay.total_seconds())


def _next_time(after: datetime, period: timedelta) -> datetime:
    """Tell the next of the fixed times after one."""
    return after + (period - (after - _EPOCH) % period)
