"""What the operating system has accounted to a process: proc(5), `/proc/PID/stat` and `/proc/PID/statm`."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # a second
_MIB = 2**20


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of all that it started: user and system, in seconds.

    Raises:
        OSError: there is no such process.
    """
    return sum(_own_cpu_seconds(each) for each in _family(pid))


def resident_mib(pid: int) -> float:
    """Return how much memory of a process and of its children is resident, in MiB.

    Raises:
        OSError: there is no such process.
    """
    return sum(_own_resident_bytes(each) for each in _family(pid)) / _MIB


def _own_cpu_seconds(pid: int) -> float:
    """Return utime, stime, and both of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS  # the fields 14 to 17, of which 3 is the first after the name


def _own_resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = (task / "children").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that has just ended
        for child in children.split():
            yield from _family(int(child))
