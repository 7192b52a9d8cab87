"""Runs Stripe's own stateless mock, which checks each request against Stripe's published schema.

Source: https://github.com/stripe/stripe-mock.
"""

import asyncio
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fulfillment_runtime.fatal_errors import UnavailableError

_LISTENING = "Listening for HTTP at address: "
_READY_WITHIN = 120.0  # seconds: it reads some megabytes of schema first


@asynccontextmanager
async def stripe_mock(program: Path, *, ready_within: float = _READY_WITHIN) -> AsyncIterator[str]:
    """Run the program on a free loopback port, and yield its URL.

    It takes any key of the form `sk_test_…`, and answers 400 to a request that the schema does not allow.

    Args:
        program: its path, as `find_stripe_mock` returns it.
        ready_within: seconds that it may take to start.

    Raises:
        UnavailableError: it does not start.
    """
    # Without an address of its own, HTTPS would take port 12112 on every interface.
    addresses = ("-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
    try:
        process = await asyncio.create_subprocess_exec(program, *addresses, stdout=PIPE, stderr=STDOUT)
    except OSError as error:
        raise UnavailableError(f"stripe-mock cannot be started: {error}") from error
    rest: asyncio.Task[object] | None = None
    try:
        try:
            async with asyncio.timeout(ready_within):
                address = await _address(process)
        except TimeoutError:
            raise UnavailableError(f"stripe-mock does not listen after {ready_within:g} s") from None
        rest = asyncio.create_task(process.communicate())  # it logs each request: a full pipe would stop it
        yield f"http://{address}"
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await (process.communicate() if rest is None else rest)


async def _address(process: Process) -> str:
    """Read what it writes until it tells where it listens."""
    assert process.stdout is not None
    written: list[str] = []
    async for raw in process.stdout:
        line = raw.decode(errors="replace").strip()
        if line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING)
        written.append(line)
    raise UnavailableError(f"stripe-mock ended at its start: {' '.join(written)}")
