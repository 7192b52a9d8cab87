"""A queue of names to reconcile, as client-go's workqueue: each once, never twice at a time, now or later."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator


class WorkQueue:
    """Hands out names, urgent ones first. One added while it is worked on is handed out again afterwards."""

    def __init__(self) -> None:
        self._urgent: OrderedDict[str, None] = OrderedDict()
        self._others: OrderedDict[str, None] = OrderedDict()
        self._due: dict[str, bool] = {}  # whether it is urgent
        self._working: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._free = asyncio.Semaphore(0)  # counts what `get` may return: names, and the end
        self._shut_down = False

    def __len__(self) -> int:
        """Count the names that wait for a worker."""
        return len(self._urgent) + len(self._others)

    def __iter__(self) -> Iterator[str]:
        """Return the names that wait for a worker, in the order in which they are handed out."""
        yield from self._urgent
        yield from self._others

    def prefer(self, names: Iterable[str]) -> None:
        """Hand out some of those that wait first, in this order; urgent ones still go before the others."""
        for name in reversed(list(names)):
            for queue in (self._urgent, self._others):
                if name in queue:
                    queue.move_to_end(name, last=False)

    def add(self, name: str, *, urgent: bool) -> None:
        """Hand out a name as soon as a worker is free; whatever it waited for is over."""
        self.cancel(name)
        if name not in self._due:
            self._due[name] = urgent
            if name not in self._working:
                self._offer(name)
        elif urgent and not self._due[name]:
            self._due[name] = True
            if name not in self._working:
                del self._others[name]
                self._urgent[name] = None

    def add_after(self, name: str, delay: float, *, urgent: bool) -> None:
        """Hand out a name in `delay` seconds; a later call for the same name takes the place of this one."""
        self.cancel(name)
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(max(delay, 0), self._fall_due, name, urgent)

    def cancel(self, name: str) -> None:
        """Drop what a name waits for."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def is_working(self, name: str) -> bool:
        """Tell whether a name is being worked on."""
        return name in self._working

    async def get(self) -> str | None:
        """Wait for a name to work on, and say `done` afterwards; None: the queue is shut down."""
        await self._free.acquire()
        if self._shut_down:
            self._free.release()  # for the next one who waits
            return None
        name, _ = (self._urgent or self._others).popitem(last=False)
        del self._due[name]
        self._working.add(name)
        return name

    def done(self, name: str) -> None:
        """End the work on a name."""
        self._working.discard(name)
        if name in self._due:
            self._offer(name)

    def shut_down(self) -> None:
        """Hand out nothing more."""
        for name in list(self._timers):
            self.cancel(name)
        self._shut_down = True
        self._free.release()

    def _fall_due(self, name: str, urgent: bool) -> None:  # noqa: FBT001 - of 20,000 that wait a closure each is much
        self.add(name, urgent=urgent)

    def _offer(self, name: str) -> None:
        (self._urgent if self._due[name] else self._others)[name] = None
        self._free.release()
