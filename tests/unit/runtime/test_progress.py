"""Long work shows at a terminal how far it is, and nowhere else."""

import os
import pty
import subprocess
import sys

import pytest

CODE = """\
import sys
from fulfillment_runtime.progress import progress
with progress("orders", {total}) as advance:
    advance(3)
    print("cs-1 retried")
print("rich" in sys.modules)
"""


def run(total: int | None, *, stderr: int, **environ: str) -> str:
    told = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", CODE.format(total=total)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={"PATH": os.environ["PATH"], "COLUMNS": "80", "TERM": "xterm", **environ},
        text=True,
        check=True,
    )
    return told.stdout


@pytest.mark.parametrize(("total", "shown"), [(7, "3/7"), (None, "orders 3")])
def test_at_a_terminal_it_shows_how_far_it_is(total: int | None, shown: str) -> None:
    """On standard error, and standard output stays a program's."""
    master, slave = pty.openpty()
    output = run(total, stderr=slave, NO_COLOR="1")
    bar = os.read(master, 65536).decode()
    os.close(slave)
    os.close(master)
    assert "orders" in bar
    assert shown in bar
    assert "\x1b[3" not in bar  # no colours
    assert output == "cs-1 retried\nTrue\n"


@pytest.mark.parametrize("total", [0, 1])
def test_of_no_work_to_speak_of_nothing_is_shown(total: int) -> None:
    """A person who names one order sees what became of it, and no bar."""
    master, slave = pty.openpty()
    output = run(total, stderr=slave)
    os.close(slave)
    with pytest.raises(OSError, match="Input/output error"):  # nothing was written, and nobody is left to write
        os.read(master, 65536)
    os.close(master)
    assert output == "cs-1 retried\nFalse\n"


def test_elsewhere_there_is_nothing_to_see() -> None:
    """Nor is what draws it loaded."""
    assert run(7, stderr=subprocess.STDOUT) == "cs-1 retried\nFalse\n"
