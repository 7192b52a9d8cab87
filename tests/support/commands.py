"""The product's commands, which start at once: each run is a fork of one process that has imported all of them.

Else a start is imports for seconds, and a test run has hundreds. A fork has its own arguments, environment, folder,
streams, signals and exit code, and ends when who started it is gone. What a command imports by itself is for the real
programs to show, which lie in `PROGRAMS`.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from support import command_server

PROGRAMS = Path(sys.executable).parent
"""The folder of the real ones."""

_SHARED = "SHARED_COMMANDS"
"""The variable by which the processes of a test run know the folder of all."""

_CLIENT = f"""\
#!{sys.executable} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect("SOCKET")
    socket.send_fds(server, [b" "], [0, 1, 2])
    server.sendall(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode() + b"\\n")
    answers = server.makefile()
    pid = int(answers.readline())
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _: os.kill(pid, number))
    code = int(answers.readline())
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def fulfillment() -> Path:
    """Give the command `fulfillment`."""
    return plugins() / "fulfillment"


@cache
def plugins() -> Path:
    """Give a folder for PATH that has `fulfillment`, and kubectl's plugin with its completion.

    The process that they are forks of ends with this one, or with the one that shares it.
    """
    if shared := os.environ.get(_SHARED):
        return Path(shared)
    folder = Path(tempfile.mkdtemp(prefix="commands-"))
    socket = folder / "socket"
    server = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, command_server.__file__, socket],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert server.stdin
    assert server.stdout
    server.stdout.readline()  # it listens

    def end() -> None:
        server.communicate()
        shutil.rmtree(folder)

    atexit.register(end)
    for name in command_server.COMMANDS:
        client = folder / name
        client.write_text(_CLIENT.replace("SOCKET", str(socket)))
        client.chmod(0o755)
    return folder


def share_commands() -> None:
    """Let the processes that this one starts from now on have their commands from it, too."""
    os.environ[_SHARED] = str(plugins())
