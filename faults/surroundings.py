"""What a workload finds around it on its machine, and that a case can spoil: names, a log's reader, a log's disk."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_READ_AT_ONCE = 1 << 16  # bytes


class LogReader:
    """Reads a pipe as a container's runtime does, and throws away what it reads."""

    def __init__(self, path: Path) -> None:
        """Make the pipe, and begin to read it."""
        os.mkfifo(path)
        self._reader: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._writer = os.open(path, os.O_WRONLY)  # else it would end with the first process that writes
        self._read_on()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Read nothing while the context lasts."""
        if self._reader is not None:
            asyncio.get_running_loop().remove_reader(self._reader)
        try:
            yield
        finally:
            self._read_on()

    def close(self) -> None:
        """End; who writes on gets EPIPE."""
        if self._reader is not None:
            asyncio.get_running_loop().remove_reader(self._reader)
            os.close(self._reader)
            os.close(self._writer)
            self._reader = None

    def _read_on(self) -> None:
        if self._reader is not None:
            asyncio.get_running_loop().add_reader(self._reader, os.read, self._reader, _READ_AT_ONCE)


class Hosts:
    """The /etc/hosts of some processes, who ask no name server that answers."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Write it."""
        self._hosts, self._resolv = folder / "hosts", folder / "resolv.conf"
        self._content = "".join(f"127.0.0.1 {name}\n" for name in ["localhost", *names])
        self._hosts.write_text(self._content, encoding="utf-8")
        self._resolv.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", encoding="utf-8")

    @contextmanager
    def empty(self) -> Iterator[None]:
        """Know no name while the context lasts."""
        self._hosts.write_text("", encoding="utf-8")  # in place: it is mounted
        try:
            yield
        finally:
            self._hosts.write_text(self._content, encoding="utf-8")

    def wrapper(self) -> list[str]:
        """Return the program that runs another one with it."""
        return _in_mount_namespace(
            f'mount --bind {self._hosts} /etc/hosts && mount --bind {self._resolv} /etc/resolv.conf && exec "$@"'
        )


def on_small_disk(folder: Path) -> list[str]:
    """Return the program that runs another one, whose log is on a disk of its own, of 256 KiB, mounted at `folder`."""
    return _in_mount_namespace(f'mount -t tmpfs -o size=256k tmpfs {folder} && exec "$@" 2>>{folder}/log')


def _in_mount_namespace(script: str) -> list[str]:
    options = "--mount" if os.geteuid() == 0 else "--mount --map-root-user"
    return ["/usr/bin/unshare", *options.split(), "/bin/sh", "-c", script, "sh"]
