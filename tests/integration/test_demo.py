"""`fulfillment demo` as a person runs it. What it plays and shows is checked by its own `--once`."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from support.commands import PROGRAMS

COMMAND = PROGRAMS / "fulfillment"
LISTENING, LOOPBACK = "0A", "0100007F"
USUAL_PORTS = {4242, 4243, 8081, 8082}


def descendants(pid: int) -> set[int]:
    """Find a process's children, and theirs (proc(5))."""
    children = set[int]()
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread, or all of it, that has just ended
            children |= {int(each) for each in (task / "children").read_text().split()}
    return children.union(*(descendants(child) for child in children))


def addresses(pid: int) -> set[str]:
    """Find the local addresses that a process listens on, as /proc/net/tcp writes them (proc(5))."""
    links = list[str]()
    with suppress(FileNotFoundError):  # a process that has just ended
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # a file that was just closed
                links.append(str(each.readlink()))
    sockets = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {line[1].partition(":")[0] for line in lines if line[3] == LISTENING and line[9] in sockets}


def running(pids: set[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def taken_ports() -> Iterator[None]:
    """Let another program have the demo's usual ports, where none has them already."""
    with ExitStack() as stack:
        for port in USUAL_PORTS:
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


@pytest.mark.xdist_group("busy")
@pytest.mark.usefixtures("taken_ports")
@pytest.mark.parametrize(
    ("options", "number", "when", "least", "code"),
    [
        pytest.param(["--once"], signal.SIGTERM, "Starting etcd", 0, 143, id="told to stop while it starts"),
        pytest.param([], signal.SIGINT, "A card order", 4, 0, id="Ctrl-C while orders are played"),
    ],
)
async def test_it_leaves_nothing_running(
    options: list[str], number: signal.Signals, when: str, least: int, code: int
) -> None:
    """The API server, etcd, the service and the operator end with the demo, which says that it stopped.

    Other programs have its usual ports. No part of it can be reached from another machine. Where it was to play each
    order, its exit code says that it did not.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("STRIPE_", "FULFILLMENT_"))}
    process = await asyncio.create_subprocess_exec(
        COMMAND, *("demo", *options), env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    seen, listening = "", set[str]()
    try:
        async with asyncio.timeout(250):
            while when not in seen:
                line = await process.stdout.readline()
                assert line, seen
                seen += line.decode()
            children = descendants(process.pid)
            if least:
                listening = listening.union(*(addresses(pid) for pid in {process.pid, *children}))
            process.send_signal(number)
            rest = await process.stdout.read()
            assert await process.wait() == code
    except TimeoutError as error:
        raise AssertionError(f"it said no more than: {seen}") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert len(children) >= least
    assert not least or listening == {LOOPBACK}
    assert running(children) == []
    assert rest.decode().endswith("Stopped.\n")


async def test_stripe_itself_needs_the_signing_secret() -> None:
    """With an API key alone nobody could verify events: one line that says where the secret comes from."""
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "STRIPE_API_KEY": "sk_test_1"}
    process = await asyncio.create_subprocess_exec(COMMAND, "demo", env=environ, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 78
    assert (
        errors.decode()
        == "Error: STRIPE_WEBHOOK_SECRETS (stripe.existingSecret) is not set: use the one that `stripe listen` prints\n"
    )
