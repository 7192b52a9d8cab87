"""CPU time and memory as the operating system accounts them."""

import os
import subprocess
import sys
import time

import pytest

from benchmarks.accounting import cpu_seconds, resident_mib

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="proc(5) is Linux's")

BUSY = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_a_processs_cpu_time_is_what_it_used_itself() -> None:
    before, start = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - start < 0.2:
        pass
    assert 0.15 < cpu_seconds(os.getpid()) - before < 2


def test_what_its_children_used_counts_too_while_they_run() -> None:
    """As a server's that has workers."""
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY + 'print(flush=True); input()'!r}])"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert process.stdout
        process.stdout.readline()
        assert cpu_seconds(process.pid) >= 0.25  # each part of it is told in whole ticks, rounded down
        assert resident_mib(process.pid) > resident_mib(os.getpid()) / 100
        process.communicate(b"\n")
