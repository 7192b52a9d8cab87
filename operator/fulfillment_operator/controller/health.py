"""Whether the operator that leads hears and works: what /healthz, /readyz and the metrics say of it.

Liveness follows what the API server has really said to the watch, a bookmark or an event, and how long a worker has
been at one order. A connection that stands and brings nothing counts for nothing. A watch that is refused is heard
from: a restart would not help it, so that is readiness, and a person's to mend.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from fulfillment_operator.metrics import OperatorMetrics

SILENT_AT_MOST = timedelta(minutes=3)
"""The API server sends a bookmark each minute (Kubernetes, "Watch bookmarks"); kopf asks anew after 70 s of silence."""


class Health:
    """What is known of the watch and of the workers. On a standby there is neither, and all is well.

    The methods about the watch may be called in any thread.
    """

    def __init__(
        self,
        *,
        at_one_order: timedelta,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        metrics: OperatorMetrics,
    ) -> None:
        """Make it.

        Args:
            at_one_order: how long a worker may be at one order, while the API server takes statuses.
            clock: tells the time, with its zone.
            monotonic: tells seconds from any moment on; it never goes back.
            metrics: gets when the watch heard, and whether it is refused.
        """
        self._at_one_order = at_one_order
        self._clock = clock
        self._monotonic = monotonic
        self._metrics = metrics
        self._heard_at: float | None = None
        self._refusal: str | None = None
        self._working: dict[asyncio.Task[Any] | None, float] = {}

    def heard(self) -> None:
        """Take in that the API server said something to the watch: it is not refused."""
        self._said(None)

    def refused(self, why: str) -> None:
        """Take in that the API server refuses the watch; `why` is for a person."""
        self._said(why)

    def _said(self, refusal: str | None) -> None:
        self._heard_at, self._refusal = self._monotonic(), refusal
        self._metrics.watch_heard_at.set(self._clock().timestamp())
        self._metrics.watch_refused.set(refusal is not None)

    @property
    def is_refused(self) -> bool:
        """Whether the last that the API server said to the watch was no."""
        return self._refusal is not None

    def silence(self) -> timedelta:
        """Tell for how long the watch has heard nothing; none before it began."""
        return timedelta(seconds=0 if self._heard_at is None else self._monotonic() - self._heard_at)

    def begins(self) -> None:
        """Take in that the worker that calls this begins with an order."""
        self._working[asyncio.current_task()] = self._monotonic()

    def must_wait(self) -> None:
        """Take in that the API server does not take a status: the worker that has it waits rightly, however long.

        So do those that wait for this one's turn with the mail server.
        """
        now = self._monotonic()
        for worker in self._working:
            self._working[worker] = now

    def ends(self) -> None:
        """Take in that the worker that calls this is done with its order."""
        self._working.pop(asyncio.current_task(), None)

    def live(self) -> str | None:
        """Say why the process must be started again; None: it need not."""
        silence = self.silence()
        if silence > SILENT_AT_MOST:
            return f"the watch has heard nothing from the API server for {silence.total_seconds():.0f} s"
        now = self._monotonic()
        longest = now - min(self._working.values(), default=now)
        if longest > self._at_one_order.total_seconds():
            return f"a worker has been at one order for {longest:.0f} s, longer than every deadline allows"
        return None

    def ready(self) -> str | None:
        """Say what keeps the operator from its work, and a person must mend; None: nothing does."""
        return f"the API server refuses the watch: {self._refusal}" if self._refusal else None
