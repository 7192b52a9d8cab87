"""What the terminal can show: how wide it is, and whether in colours."""

import os
import shutil
import sys
from collections.abc import Mapping

import click

_COLOURS = {
    "ok": "green",
    "fulfilled": "green",
    "warning": "yellow",
    "awaiting-payment": "yellow",
    "fulfilling": "cyan",
    "unknown": "cyan",
    "failure": "red",
    "failed": "red",
}


def terminal_width() -> int | None:
    """Tell how many characters a line of standard output may have; None when no terminal shows it."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def shows_colours(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether standard output is shown in colours: at a terminal that has them, unless NO_COLOR is set.

    Source: https://no-color.org.
    """
    return sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def coloured(word: str) -> str:
    """Colour a phase or a verdict, where colours are shown."""
    return click.style(word, fg=_COLOURS[word]) if word in _COLOURS and shows_colours() else word
