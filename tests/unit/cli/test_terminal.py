"""What a terminal shows, asked of a real one."""

import os
import pty
import subprocess
import sys

import pytest

CODE = "from fulfillment_cli.terminal import coloured, terminal_width; print(coloured('failed'), terminal_width())"


def at_a_terminal(columns: int, **environ: str) -> str:
    """Run a program before a terminal, and return what that gets."""
    master, slave = pty.openpty()
    subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", CODE],
        stdout=slave,
        env={"PATH": os.environ["PATH"], "COLUMNS": str(columns), "TERM": "xterm", **environ},
        check=True,
    )
    shown = os.read(master, 4096).decode()
    os.close(slave)
    os.close(master)
    return shown.strip()


@pytest.mark.parametrize(
    ("environ", "shown"),
    [({}, "\x1b[31mfailed\x1b[0m 40"), ({"NO_COLOR": "1"}, "failed 40"), ({"TERM": "dumb"}, "failed 40")],
)
def test_colours_are_for_terminals_that_want_them(environ: dict[str, str], shown: str) -> None:
    """https://no-color.org; and its width is what COLUMNS says, or it says itself."""
    assert at_a_terminal(40, **environ) == shown


def test_elsewhere_is_no_width_and_no_colour() -> None:
    """A pipe is read by a program."""
    told = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert told.stdout == "failed None\n"
