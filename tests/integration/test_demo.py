"""`fulfillment demo` as a person runs it. What it plays and shows is checked by its own `--once`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("fulfillment")


def descendants(pid: int) -> set[int]:
    """Find a process's children, and theirs (proc(5))."""
    children = {int(each) for task in Path(f"/proc/{pid}/task").glob("*/children") for each in task.read_text().split()}
    return children.union(*(descendants(child) for child in children))


def running(pids: set[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_leaves_nothing_running(number: signal.Signals) -> None:
    """The API server, etcd, the service and the operator end with the demo, which says that it stopped."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("STRIPE_", "FULFILLMENT_"))}
    process = await asyncio.create_subprocess_exec(
        COMMAND, "demo", env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    seen = b""
    async with asyncio.timeout(100):
        while b"Ctrl-C stops everything." not in seen:
            line = await process.stdout.readline()
            assert line, seen.decode()
            seen += line
        children = descendants(process.pid)
        process.send_signal(number)
        rest = await process.stdout.read()
        assert await process.wait() == 0
    assert len(children) == 4
    assert running(children) == []
    assert rest.decode().endswith("Stopped.\n")


async def test_stripe_itself_needs_the_signing_secret() -> None:
    """With an API key alone nobody could verify events: one line that says where the secret comes from."""
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "STRIPE_API_KEY": "sk_test_1"}
    process = await asyncio.create_subprocess_exec(COMMAND, "demo", env=environ, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 78
    assert errors.decode() == "Error: STRIPE_WEBHOOK_SECRETS is not set: use the one that `stripe listen` prints\n"
