"""Where Checkout Sessions come from: each by its id at once, or many of a backlog by one list.

Who waits for a Session alone gets it at once, by a request of its own. When many are due, a list is asked for those
that were created at about the same time, also for the ones that are still queued: their answers are kept until their
turn comes, seconds at most. An answer serves a wish that is older than the request for it, never a newer one.
"""

import asyncio
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import stripe

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.checkout.session_list import PAGE, WORTHWHILE, Due, SessionList, Span, created_of
from fulfillment_operator.checkout.session_page import SESSIONS, page_params, read_page
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_runtime.stripe.throttle import Turn

SESSION = "/v1/checkout/sessions/{id}"

_EXPAND = ["line_items", "payment_intent.latest_charge"]
_AHEAD = 3 * PAGE  # Sessions that are asked for before a worker is free for their orders
_KEPT = 10.0  # seconds; an answer that nobody asked for by then is too old
_LOOKS_EVERY = 1.0  # seconds, at what is queued


_Key: TypeAlias = tuple[str | None, str]


class Backlog(Protocol):
    """The orders that wait for a worker."""

    def queue_depth(self) -> int:
        """Count them."""

    def queued(self) -> Iterable[Due]:
        """Tell what they need, in their order."""

    def prefer(self, names: Iterable[str], /) -> None:
        """Let some of them go first: what they need of Stripe is there."""


class _NoBacklog:
    def queue_depth(self) -> int:
        return 0

    def queued(self) -> Iterable[Due]:
        return ()

    def prefer(self, names: Iterable[str], /) -> None:
        """Nobody waits."""


def due_of(request: FulfillmentRequest) -> Due:
    """Tell what is to be asked of Stripe about a request."""
    session, meta = request.spec.session, request.metadata
    created = int(session.created_at.timestamp()) if session.created_at else None
    return Due(session.id, created, session.account, meta.name, meta.resource_version)


@dataclass(eq=False, slots=True)
class _Wish:
    """An order whose worker waits for its Session."""

    due: Due
    by_id: bool = False
    """Whether the list lacks it."""
    answer: asyncio.Future[object] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a list showed of an order that is queued."""

    due: Due
    answer: object
    asked_at: float


class SessionSource:
    """Asks Stripe for Sessions, by their ids or by the list, as is cheaper."""

    def __init__(self, reader: StripeReader, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a source without a backlog.

        Args:
            reader: asks Stripe.
            clock: tells the time in seconds.
        """
        self.backlog: Backlog = _NoBacklog()
        self._reader = reader
        self._clock = clock
        self._lists: dict[str | None, SessionList] = {}
        self._wishes: dict[_Wish, None] = {}
        """Those that wait, and for which no request by id is on its way."""
        self._open: dict[_Key, Due] = {}
        """What is due, and is not asked for yet."""
        self._by_time: dict[str | None, list[Due]] = {}
        """Those of each account whose time of creation is known, by it."""
        self._on_the_way: dict[_Key, Due] = {}
        """What is due, and may stand in a page that is asked for."""
        self._kept: dict[_Key, _Kept] = {}
        self._looked_at, self._seen = float("-inf"), 0
        self._changed = asyncio.Event()
        """Set when a wish comes, or a page: what is asked for next may be another."""
        self._worker: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Task[None]] = set()

    async def retrieve(self, session_id: str, account: str | None) -> object:
        """Ask for one Session by its id, and return Stripe's answer.

        Raises:
            stripe.StripeError: as the library does.
        """
        return await self._by_id(Due(session_id, None, account), None)

    async def retrieve_due(self, due: Due) -> object:
        """Return Stripe's answer about a Session, which was asked for since it is due: by its id, or by a list.

        Raises:
            stripe.StripeError: as the library does.
        """
        kept = self._take_kept(due)
        if kept is not None:
            self._begin_work()  # for what is queued behind it
            return kept.answer
        self._look()
        if not self._is_on_the_way(due):
            self._add_open(due)
            if not self._wishes and (turn := self._turn_at_once(due)) is not None:
                self._close(due.key)
                self._list_of(due.account).asked_by_id()
                return await self._by_id(due, turn)
        wish = _Wish(due)
        self._wishes[wish] = None
        self._begin_work()
        try:
            return await wish.answer
        finally:
            self._wishes.pop(wish, None)

    async def close(self) -> None:
        """Leave off."""
        tasks = [*self._requests, *([self._worker] if self._worker else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What is due

    def _look(self) -> None:
        """See what is queued, now and then: of thousands that takes a while."""
        now, depth = self._clock(), self.backlog.queue_depth()
        if depth < WORTHWHILE or (now < self._looked_at + _LOOKS_EVERY and depth < 2 * self._seen):
            return
        self._looked_at, self._seen = now, depth
        waiting = [wish.due for wish in self._wishes]
        self._open = {}
        for due in (*waiting, *self.backlog.queued()):
            if due.key not in self._on_the_way and due.key not in self._kept:
                self._open.setdefault(due.key, due)
        self._by_time = {}
        for due in sorted((each for each in self._open.values() if each.created is not None), key=_place):
            self._by_time.setdefault(due.account, []).append(due)

    def _add_open(self, due: Due) -> None:
        if self._open.get(due.key) == due:
            return
        self._close(due.key)
        self._open[due.key] = due
        if due.created is not None:
            insort(self._by_time.setdefault(due.account, []), due, key=_place)

    def _close(self, key: _Key) -> None:
        due = self._open.pop(key, None)
        if due is not None and due.created is not None:
            by_time = self._by_time[due.account]
            del by_time[bisect_left(by_time, _place(due), key=_place)]

    def _is_on_the_way(self, due: Due) -> bool:
        """Tell whether a page is asked for in which it may stand: it is seen when that comes."""
        return self._list_of(due.account).covers(due)

    def _list_of(self, account: str | None) -> SessionList:
        return self._lists.setdefault(account, SessionList())

    def _take_kept(self, due: Due) -> _Kept | None:
        kept = self._kept.pop(due.key, None)
        if kept is None or (kept.due == due and self._clock() <= kept.asked_at + _KEPT):
            return kept
        self._list_of(due.account).unused()
        return None

    def _drop_old(self) -> None:
        now = self._clock()
        for kept in [each for each in self._kept.values() if now > each.asked_at + _KEPT]:
            del self._kept[kept.due.key]
            self._list_of(kept.due.account).unused()

    # What is asked for next

    def _turn_at_once(self, due: Due) -> Turn | None:
        """Take a turn for one that waits alone; None: there is none now, or many are due."""
        return None if _is_worthwhile(self._plan(due)) else self._reader.throttle.turn_at_once(SESSION)

    def _begin_work(self) -> None:
        self._changed.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        """Ask for what is due, one request after the other as there are turns, until nothing waits."""
        try:
            while True:
                self._changed.clear()
                self._drop_old()
                self._look()
                wish, span = self._next()
                if wish is not None or span is not None:
                    await self._ask_next(*([SESSION] if wish else []), *([SESSIONS] if span else []))
                elif self._wishes:
                    await self._changed.wait()
                else:
                    return
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            for each in list(self._wishes):
                _fail(each, error)

    async def _ask_next(self, *endpoints: str) -> None:
        turn = await self._reader.throttle.turn(*endpoints)
        wish, span = self._next()  # what is due may have changed until it was our turn
        if turn.endpoint == SESSION and wish is not None:
            self._wishes.pop(wish, None)
            self._close(wish.due.key)
            self._list_of(wish.due.account).asked_by_id()
            self._spawn(self._answer_by_id(wish, turn))
        elif turn.endpoint == SESSIONS and span is not None:
            self._ask_list(span, turn)
        else:
            turn.end()

    def _next(self) -> tuple[_Wish | None, Span | None]:
        """Choose an order to ask for by its id, or a page; with both, the one for which there is a turn first."""
        waiting = [wish for wish in self._wishes if not wish.answer.done()]
        by_id = next((wish for wish in waiting if wish.by_id), None)
        first = next((wish for wish in waiting if not wish.by_id and not self._is_on_the_way(wish.due)), None)
        if first is None:
            return by_id, self._plan_ahead()
        span = self._plan(first.due)
        return by_id or (None if _is_worthwhile(span) else first), span

    def _plan(self, anchor: Due) -> Span | None:
        return self._list_of(anchor.account).plan(anchor, self._by_time.get(anchor.account, ()))

    def _plan_ahead(self) -> Span | None:
        """Choose a page for what is queued, so that no worker has to wait for it."""
        if len(self._kept) + len(self._on_the_way) > _AHEAD - PAGE or len(self._open) < PAGE:
            return None
        anchor = next((each for each in self._open.values() if each.created and not self._is_on_the_way(each)), None)
        span = self._plan(anchor) if anchor else None
        return span if _is_worthwhile(span) else None

    # The requests

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _by_id(self, due: Due, turn: Turn | None) -> object:
        found = await self._reader.get(
            SESSION, {"expand": _EXPAND}, account=due.account, object_id=due.session, turn=turn
        )
        return found.data

    async def _answer_by_id(self, wish: _Wish, turn: Turn) -> None:
        try:
            _answer(wish, await self._by_id(wish.due, turn))
        except Exception as error:  # noqa: BLE001 - the worker that waits for it meets it
            _fail(wish, error)

    def _ask_list(self, span: Span, turn: Turn) -> None:
        account = span.due[0].account
        by_time = self._by_time.get(account, ())
        of_span = {each.key: each for each in by_time if span.first <= created_of(each) <= span.last}
        for key in of_span:
            self._close(key)
        self._on_the_way |= of_span
        self._list_of(account).asked(span)
        self._spawn(self._answer_by_list(span, account, of_span, turn))

    async def _answer_by_list(self, span: Span, account: str | None, due: dict[_Key, Due], turn: Turn) -> None:
        """Give each order what the page shows of it.

        Args:
            span: what is asked for.
            account: whose Sessions.
            due: what was due before it was asked: only for that the answer is new enough.
            turn: the turn of the request.
        """
        asked_at, sessions = self._clock(), self._list_of(account)
        failure: Exception | None = None
        shown: dict[_Key, object] = {}
        try:
            answer = await self._reader.get(SESSIONS, page_params(span, _EXPAND), account=account, turn=turn)
        except Exception as error:  # noqa: BLE001 - each that waits is asked for by its id, or meets it
            failure, lacking = error, frozenset(due.values())
            sessions.failed(span)
        else:
            page, found = read_page(answer.data)
            shown = {key: found[each.session] for key, each in due.items() if each.session in found}
            lacking = sessions.answered(span, page, len(shown))
        for key in due:
            del self._on_the_way[key]
        self._give(due, shown, asked_at)
        self._reopen(account, due, shown, lacking, failure)
        self._begin_work()

    def _give(self, due: dict[_Key, Due], shown: dict[_Key, object], asked_at: float) -> None:
        """Answer those that wait, and keep the rest for those that are queued."""
        waiting = {wish.due.key for wish in self._wishes}
        for wish in list(self._wishes):
            key = wish.due.key
            if key in shown and due[key] == wish.due:
                _answer(wish, shown[key])
        # Not for one that waits: it has its answer, or what it waits for is newer.
        kept = {key: _Kept(due[key], answer, asked_at) for key, answer in shown.items() if key not in waiting}
        self._kept |= kept
        self.backlog.prefer(each.due.request for each in kept.values())

    def _reopen(
        self,
        account: str | None,
        due: dict[_Key, Due],
        shown: dict[_Key, object],
        lacking: frozenset[Due],
        failure: Exception | None,
    ) -> None:
        """Have the others asked for again: by their ids, if the list lacks them, or was not to be had."""
        lacking_keys = {each.key for each in lacking}
        for wish in list(self._wishes):
            key = wish.due.key
            if wish.answer.done() or wish.due.account != account:
                continue
            if isinstance(failure, stripe.APIConnectionError) and key in due:
                _fail(wish, failure)  # by its id it would fare no better
                continue
            wish.by_id = wish.by_id or key in lacking_keys
            if not self._is_on_the_way(wish.due):
                self._add_open(wish.due)
        for key, each in due.items():
            if key not in shown and key not in lacking_keys and key not in self._open:
                self._add_open(each)


def _place(due: Due) -> tuple[int, str]:
    """Return where among others it stands by the time of its creation."""
    return created_of(due), due.session


def _is_worthwhile(span: Span | None) -> bool:
    return span is not None and len(span.due) >= WORTHWHILE


def _answer(wish: _Wish, answer: object) -> None:
    if not wish.answer.done():
        wish.answer.set_result(answer)


def _fail(wish: _Wish, error: Exception) -> None:
    if not wish.answer.done():
        wish.answer.set_exception(error)
