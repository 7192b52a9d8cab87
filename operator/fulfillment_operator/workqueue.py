"""A queue of names to reconcile, as client-go's workqueue: each once, never twice at a time, now or later."""

import asyncio
from collections import deque


class WorkQueue:
    """Hands out names, urgent ones first. One added while it is worked on is handed out again afterwards."""

    def __init__(self) -> None:
        self._urgent: deque[str] = deque()
        self._others: deque[str] = deque()
        self._due: dict[str, bool] = {}  # whether it is urgent
        self._working: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._free = asyncio.Semaphore(0)  # counts what `take` may return: names, and the end
        self._closed = False

    def __len__(self) -> int:
        """Count the names that wait for a worker."""
        return len(self._urgent) + len(self._others)

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
                self._others.remove(name)
                self._urgent.append(name)

    def add_after(self, name: str, delay: float, *, urgent: bool) -> None:
        """Hand out a name in `delay` seconds; a later call for the same name takes the place of this one."""
        self.cancel(name)
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(max(delay, 0), lambda: self.add(name, urgent=urgent))

    def cancel(self, name: str) -> None:
        """Drop what a name waits for."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def is_working(self, name: str) -> bool:
        """Tell whether a name is being worked on."""
        return name in self._working

    async def take(self) -> str | None:
        """Wait for a name to work on, and `finish` it afterwards; None says that the queue is closed."""
        await self._free.acquire()
        if self._closed:
            self._free.release()  # for the next one who waits
            return None
        name = (self._urgent or self._others).popleft()
        del self._due[name]
        self._working.add(name)
        return name

    def finish(self, name: str) -> None:
        """End the work on a name."""
        self._working.discard(name)
        if name in self._due:
            self._offer(name)

    def close(self) -> None:
        """Hand out nothing more."""
        for name in list(self._timers):
            self.cancel(name)
        self._closed = True
        self._free.release()

    def _offer(self, name: str) -> None:
        (self._urgent if self._due[name] else self._others).append(name)
        self._free.release()
