"""Lets requests to Stripe go within its limits: for the account, for each endpoint, and so many at once.

Who asks waits for a turn, and tells at its end what came of it: what Stripe refuses slows the limit that it names.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import stripe

from fulfillment_runtime.stripe.pace import Pace
from fulfillment_runtime.stripe.refusals import RateLimit, refused_limit, retry_after


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is asked of Stripe."""

    per_second: float
    """Requests of the account."""
    per_endpoint: float
    """Requests of each endpoint in a second."""
    concurrency: int
    """Requests at once."""


@dataclass(eq=False, slots=True)
class Turn:
    """The turn of one request, which goes at once. Its end must be told."""

    endpoint: str
    taken_at: float
    _end: Callable[["Turn", stripe.StripeError | None], None]

    def end(self, error: stripe.StripeError | None = None) -> None:
        """Tell that the request is over, and what the library raised of it."""
        self._end(self, error)


@dataclass(eq=False, slots=True)
class _Waiting:
    endpoints: tuple[str, ...]
    began: float
    turn: asyncio.Future[Turn] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Throttle:
    """Gives turns in the order in which they were asked for; what one endpoint keeps waiting holds up no other."""

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        waited: Callable[[str, float], None] = lambda _endpoint, _seconds: None,
    ) -> None:
        """Make a throttle.

        Args:
            limits: the most that is asked.
            clock: tells the time in seconds.
            waited: is told of each turn: to which endpoint, and how many seconds it waited.
        """
        self._limits = limits
        self._clock = clock
        self._waited = waited
        self._account = Pace(limits.per_second)
        self._endpoints: dict[str, Pace] = {}
        self._at_once = 0
        self._waiting: dict[_Waiting, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def turn_at_once(self, endpoint: str) -> Turn | None:
        """Take a turn if there is one now, and nobody waits for one; None: there is not."""
        now = self._clock()
        return None if self._waiting else self._take((endpoint,), now, now)

    async def turn(self, *endpoints: str) -> Turn:
        """Wait for a turn at the first of some endpoints that is free, and take it."""
        waiting = _Waiting(endpoints, self._clock())
        self._waiting[waiting] = None
        self._give_turns()
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            self._waiting.pop(waiting, None)
            if waiting.turn.done() and not waiting.turn.cancelled():
                waiting.turn.result().end()
            raise

    def _give_turns(self) -> None:
        now = self._clock()
        for waiting in list(self._waiting):
            if waiting.turn.done():  # cancelled
                del self._waiting[waiting]
            elif (turn := self._take(waiting.endpoints, now, waiting.began)) is not None:
                del self._waiting[waiting]
                waiting.turn.set_result(turn)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._at_once < self._limits.concurrency:
            free_at = min(self._free_at(each, now) for waiting in self._waiting for each in waiting.endpoints)
            self._timer = asyncio.get_running_loop().call_later(free_at - now, self._give_turns)

    def _take(self, endpoints: tuple[str, ...], now: float, began: float) -> Turn | None:
        if self._at_once >= self._limits.concurrency:
            return None
        for endpoint in endpoints:
            if self._free_at(endpoint, now) <= now:
                self._account.take(now)
                self._pace_of(endpoint).take(now)
                self._at_once += 1
                self._waited(endpoint, now - began)
                return Turn(endpoint, now, self._end)
        return None

    def _end(self, turn: Turn, error: stripe.StripeError | None) -> None:
        self._at_once -= 1
        if error is not None:
            now = self._clock()
            pause = (retry_after(error) or timedelta(0)).total_seconds()
            for pace in self._refused(refused_limit(error), turn.endpoint):
                pace.refuse(turn.taken_at, now, pause)
        self._give_turns()

    def _refused(self, limit: RateLimit | None, endpoint: str) -> tuple[Pace, ...]:
        match limit:
            case None:
                return ()
            case RateLimit.ACCOUNT:
                return (self._account,)
            case RateLimit.ENDPOINT:
                return (self._pace_of(endpoint),)
            case RateLimit.UNNAMED:
                return self._account, self._pace_of(endpoint)

    def _free_at(self, endpoint: str, now: float) -> float:
        return max(self._account.free_at(now), self._pace_of(endpoint).free_at(now))

    def _pace_of(self, endpoint: str) -> Pace:
        return self._endpoints.setdefault(endpoint, Pace(self._limits.per_endpoint))
