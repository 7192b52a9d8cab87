"""Runs programs that end when this process ends, however it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fulfillment_runtime.fatal_errors import UnavailableError

_STOPS_WITHIN = 10.0  # seconds, after which it is killed
_SHOWN_LINES = 20

# Runs before the program, in its process. On Linux the kernel kills it when its parent is gone, even if that was killed
# itself (prctl(2), PR_SET_PDEATHSIG is 1; it outlives the exec). Elsewhere only `Child.stop` ends it.
_BOUND_TO_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started this one is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Child:
    """A program in a session of its own: Ctrl-C reaches it only by way of the process that started it."""

    def __init__(
        self, program: Path, arguments: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        """Name a program, what it is told, and the file for what it writes; None has this process's environment."""
        self._environ = environ
        self._program = program
        self._arguments = arguments
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; again, if it was stopped. Call it from the main thread: for the kernel that thread is the parent.

        Raises:
            UnavailableError: it cannot be executed.
        """
        if not os.access(self._program, os.X_OK):
            raise UnavailableError(f"{self._program} cannot be executed: is it there?")
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", _BOUND_TO_PARENT, str(os.getpid())),
                str(self._program),
                *self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environ,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of its process, once it was started."""
        assert self._process is not None, "it was not started"  # noqa: S101 - a mistake in the calling code
        return self._process.pid

    async def stop(self) -> None:
        """End it if it runs: in good order if it does so in time, else at once."""
        if self._process is None or self._process.returncode is not None:
            return
        try:
            self._process.terminate()
            async with asyncio.timeout(_STOPS_WITHIN):
                await self._process.wait()
        except TimeoutError:
            pass  # it is killed below
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it at once if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until it ends, and return its exit code; below 0 is the signal that ended it."""
        assert self._process is not None, "it was not started"  # noqa: S101 - a mistake in the calling code
        return await self._process.wait()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Make it hang: it keeps its connections and takes new ones, but answers none."""
        assert self._process is not None, "it was not started"  # noqa: S101 - a mistake in the calling code
        self._process.send_signal(signal.SIGSTOP)
        # Each of its threads stops when it runs next, on a busy machine a while later.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def fail_when_ended(self) -> None:
        """Wait until it ends.

        Raises:
            UnavailableError: always, with the last lines it wrote.
        """
        raise UnavailableError(self._ending(await self.wait()))

    def how_it_ended(self) -> str | None:
        """Tell how it ended, with the last lines it wrote; None: it runs, or was never started."""
        code = self._process.returncode if self._process is not None else None
        return None if code is None else self._ending(code)

    def _ending(self, code: int) -> str:
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return f"{self._program.name} ended ({how}):\n{self.last_lines()}"

    def last_lines(self) -> str:
        """Return the end of what it wrote."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:])


async def wait_until_ready(condition: Coroutine[None, None, None], *children: Child, within: float) -> None:
    """Wait until a condition holds for children that start.

    Args:
        condition: returns when it holds.
        children: what must not end meanwhile.
        within: seconds.

    Raises:
        UnavailableError: a child ended, or the time is over; with the last lines it wrote.
    """
    waits = [asyncio.ensure_future(each) for each in (condition, *(child.fail_when_ended() for child in children))]
    try:
        done, _ = await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    if not done:
        logs = "\n".join(child.last_lines() for child in children)
        raise UnavailableError(f"not ready after {within:g} s:\n{logs}")
