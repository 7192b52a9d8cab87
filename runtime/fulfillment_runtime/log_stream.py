"""Where log lines go, written in a thread: a reader that stalls, such as a log shipper, stops no event loop."""

import os
import select
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_CAPACITY = 10_000  # lines: some megabytes, and a minute of a busy shop
_GATHERED_FOR = 0.02  # seconds: to wake a thread for each line takes as long as to make the line
_DRAINED_WITHIN = 2.0  # seconds, at the end of the process


class LogStream:
    """Takes lines at once. Those that nobody reads in time are dropped, the newest first, and counted."""

    def __init__(self, descriptor: int, *, is_terminal: bool, capacity: int = _CAPACITY) -> None:
        """Begin to write.

        Args:
            descriptor: a file descriptor, such as that of standard error.
            is_terminal: whether a person reads it.
            capacity: how many lines may wait.
        """
        self._descriptor = descriptor
        self._is_terminal = is_terminal
        self._capacity = capacity
        self._lines: deque[str] = deque()
        self._changed = threading.Event()
        self._closed = threading.Event()
        self.dropped = 0
        """Lines that nobody will see."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def isatty(self) -> bool:
        """Tell whether a person reads it."""
        return self._is_terminal

    def write(self, line: str) -> None:
        """Take a line in."""
        if not self._thread.is_alive():  # it is closed, and these are the last words
            self._write([line])
        elif len(self._lines) >= self._capacity:
            self.dropped += 1
        else:
            self._lines.append(line)
            if not self._changed.is_set():
                self._changed.set()

    def flush(self) -> None:
        """Do nothing: each line is on its way."""

    def close(self, *, within: float) -> None:
        """Write what waits, for so many seconds at most."""
        self._closed.set()
        self._changed.set()
        self._thread.join(within)

    def _run(self) -> None:
        while True:
            self._changed.wait()
            closed = self._closed.wait(_GATHERED_FOR)
            self._changed.clear()
            while self._lines:
                self._write([self._lines.popleft() for _ in range(len(self._lines))])
            if closed:
                return

    def _write(self, lines: list[str]) -> None:
        rest = memoryview("".join(lines).encode(errors="backslashreplace"))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # who shares the descriptor has made it so
                select.select([], [self._descriptor], [])
            except OSError:  # a full disk, or a reader that is gone: there is nowhere to say it
                self.dropped += len(lines)
                return


@contextmanager
def log_stream(stream: TextIO = sys.stderr) -> Iterator[LogStream]:
    """Write log lines where `stream` does while the context lasts; at its end, what waits is written."""
    opened = LogStream(stream.fileno(), is_terminal=stream.isatty())
    try:
        yield opened
    finally:
        opened.close(within=_DRAINED_WITHIN)
