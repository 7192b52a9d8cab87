"""Runs the product's commands for `commands`, as a program of its own: imports what they need, and forks for each.

It imports only when the first is asked for: many a test run needs none.
"""

import atexit
import gc
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

COMMANDS = ("fulfillment", "kubectl-fulfillment", "kubectl_complete-fulfillment")
"""Console scripts, by name."""
_OURS = "fulfillment."  # the entry-point groups of what a command may load
_exit_codes: list[int] = []
"""That of the command, once it has ended in good order."""
_LOADED_LATE = ("fulfillment_cli", "fulfillment_operator", "fulfillment_runtime", "fulfillment_service")


def serve(path: Path) -> None:
    """Fork for each who connects, until standard input ends."""
    atexit.register(_leave)  # the first is the last to be called
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        print("listening", flush=True)  # noqa: T201 - for who started it
        commands: dict[str, Callable[[], Any]] = {}
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            if not commands:
                commands = _imported()
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a fork ended
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(connection, commands)
            connection.close()


def _imported() -> dict[str, Callable[[], Any]]:
    gc.disable()  # it would look through all of it again and again
    everything = entry_points()
    for group in everything.groups:
        if group.startswith(_OURS):
            for entry in everything.select(group=group):
                entry.load()
    for package in _LOADED_LATE:  # a command loads what it runs only when it runs
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            import_module(module.name)
    client = import_module("kubernetes.aio.client")
    for api in ("Authentication", "Authorization", "Batch", "Coordination", "Core"):
        getattr(client, f"{api}V1Api")  # the library imports it only now, in seconds
    commands = {each.name: each.load() for each in everything.select(group="console_scripts") if each.name in COMMANDS}
    gc.freeze()  # so that a fork shares these pages
    gc.enable()
    return commands


def _run(connection: socket.socket, commands: dict[str, Callable[[], Any]]) -> None:
    """Run a command in a further fork, and tell the other side its process id and, in the end, its exit code."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as asked:
        arguments, folder, environ = json.loads(asked.readline())
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)  # noqa: FBT003 - the library's
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        connection.close()
        signal.set_wakeup_fd(-1)
        _become(arguments, folder, environ, streams)
        try:
            sys.exit(commands[sys.argv[0]]())
        except SystemExit as end:
            if isinstance(end.code, int):
                _exit_codes.append(end.code)
            raise
    connection.sendall(f"{child}\n".encode())
    for stream in streams:
        os.close(stream)
    if connection in select.select([connection, woken], [], [])[0]:  # the other side is gone
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with suppress(BrokenPipeError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _leave() -> None:
    """Do not let go of all that was imported, object by object: in a fork that takes longer than most commands."""
    if _exit_codes and "coverage" not in sys.modules:  # which writes what it saw afterwards
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_codes[0])


def _become(arguments: list[str], folder: str, environ: dict[str, str], streams: list[int]) -> None:
    """Make this process what a new one would be."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    program, *rest = arguments
    sys.argv = [Path(program).name, *rest]


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
