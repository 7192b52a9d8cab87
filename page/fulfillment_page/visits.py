"""How a visit is answered: with the order, or with the page that shows none; and how an order is followed."""

import time
from asyncio import get_running_loop, timeout, wait_for
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urlencode

from litestar.response import ServerSentEventMessage

from fulfillment_page.budgets import customer_of
from fulfillment_page.buyer_state import OrderView
from fulfillment_page.languages import Language, Languages
from fulfillment_page.metrics import PageMetrics, VisitOutcome
from fulfillment_page.order_feed import FeedEndedError, OrderFeed
from fulfillment_page.orders import Orders
from fulfillment_page.renderer import PageRenderer, json_of, json_of_unknown
from fulfillment_page.session_id import SessionId

RETRY_AFTER = "20"  # seconds, after which the page looks again by itself, if it does
_FOLLOWERS, _FOLLOWERS_OF_ONE = 500, 20
"""Visitors who follow their order at once, and those of one address; others look again by themselves."""
_FOLLOWED_FOR = 600.0  # seconds; then the browser asks anew, perhaps another pod
_HEARTBEAT = 20.0  # seconds; load balancers cut what says nothing for a minute
STILL_HERE = ServerSentEventMessage(comment="still here", data=None)
"""Without the None it would have data, an empty text, and be an event."""
_RETRY_MILLISECONDS = 3000
_STATUSES = {
    VisitOutcome.UNKNOWN: HTTPStatus.NOT_FOUND,
    VisitOutcome.MALFORMED: HTTPStatus.NOT_FOUND,
    VisitOutcome.LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    VisitOutcome.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a visitor asks for."""

    session: SessionId
    """Whatever they name."""
    address: str
    locale: str | None
    """The language that the page's address names."""
    accept_language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What they get, in both forms."""

    status: HTTPStatus
    language: str
    html: str
    json: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """Answers visitors."""

    orders: Orders
    feed: OrderFeed
    renderer: PageRenderer
    languages: Languages
    metrics: PageMetrics
    deadline: timedelta
    """Within which a visit is answered."""
    _followers: Counter[str] = field(default_factory=Counter)

    async def visit(self, visit: Visit) -> Answer:
        """Show the order that a visitor names, if there is one, within the deadline."""
        started = time.perf_counter()
        try:
            async with timeout(self.deadline.total_seconds()):
                found = await self.orders.find(visit.session, visit.address)
        except TimeoutError:
            found = VisitOutcome.UNAVAILABLE
        if isinstance(found, OrderView):
            outcome, answer = VisitOutcome.SHOWN, self._order(found, visit)
        else:
            outcome, answer = found, self.none(visit, _STATUSES[found])
        self.metrics.visited(outcome, time.perf_counter() - started)
        return answer

    def none(self, visit: Visit, status: HTTPStatus) -> Answer:
        """Show no order: by the same page, whatever the reason is."""
        language = self._language(visit)
        return Answer(
            status=status,
            language=language.tag,
            html=self.renderer.unknown(language),
            json=json_of_unknown(language),
        )

    def has_room_for(self, visit: Visit) -> bool:
        """Tell whether one more visitor may follow their order."""
        here = self._followers[customer_of(visit.address)]
        return here < _FOLLOWERS_OF_ONE and self._followers.total() < _FOLLOWERS

    async def events(self, visit: Visit) -> AsyncGenerator[ServerSentEventMessage, None]:
        """Tell how the order stands, now and whenever that changes, as server-sent events.

        A message holds the parts of the page that change. `end` says that nothing more will come, `gone` that there
        is no such order, or no longer.
        """
        customer = customer_of(visit.address)
        self._followers[customer] += 1
        self.metrics.followers.inc()
        try:
            async for message in self._follow(visit):
                yield message
        except FeedEndedError:
            return  # the browser asks anew, and another pod answers
        finally:
            self._followers[customer] -= 1
            if not self._followers[customer]:
                del self._followers[customer]
            self.metrics.followers.dec()

    async def _follow(self, visit: Visit) -> AsyncGenerator[ServerSentEventMessage, None]:
        language, shown, clock = self._language(visit), "", get_running_loop().time
        until = clock() + _FOLLOWED_FOR
        with self.feed.subscription(visit.session.request_name) as subscription:
            # Read after it listens: so no change is missed between.
            found = await self.orders.find(visit.session, visit.address)
            while isinstance(found, OrderView):
                parts = self.renderer.parts(found, language)
                if parts != shown:
                    shown = parts
                    yield ServerSentEventMessage(data=parts, retry=_RETRY_MILLISECONDS)
                if found.state.is_final:
                    yield ServerSentEventMessage(event="end", data="-")
                    return
                if clock() >= until:
                    return
                try:
                    request = await wait_for(subscription.next(), _HEARTBEAT)
                except TimeoutError:
                    yield STILL_HERE
                else:
                    found = (self.orders.view(request, visit.session) if request else None) or VisitOutcome.UNKNOWN
        if _STATUSES[found] is HTTPStatus.NOT_FOUND:
            yield ServerSentEventMessage(event="gone", data="-")

    def _order(self, view: OrderView, visit: Visit) -> Answer:
        language = self._language(visit)
        named = {"session_id": visit.session.id, "account": visit.session.account, "locale": language.tag}
        events = f"/order/events?{urlencode({name: value for name, value in named.items() if value is not None})}"
        return Answer(
            status=HTTPStatus.OK,
            language=language.tag,
            html=self.renderer.order(view, language, events),
            json=json_of(view, language),
        )

    def _language(self, visit: Visit) -> Language:
        return self.languages.choose(visit.locale, visit.accept_language)
