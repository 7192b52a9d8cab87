"""Shows at a terminal how far a long work is. Elsewhere, as in a pod or a pipe, there is nothing to see."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Advance: TypeAlias = Callable[[int], None]
"""Says that so many more are done."""


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """Show a line on standard error while the context lasts; what is printed meanwhile stands above it.

    Args:
        what: the work, in a word or two.
        total: how many there are to do, for a bar; None: nobody knows, and what is done is counted. For none, and for
            a single one, there is no bar.
    """
    if total in {0, 1} or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _count: None
        return
    from rich.console import Console  # noqa: PLC0415 - who sees no bar waits for none
    from rich.progress import (  # noqa: PLC0415 - likewise
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    text, elapsed = TextColumn("{task.description}"), TimeElapsedColumn()
    counted = TextColumn("{task.completed:.0f}", style="progress.download")
    columns = [SpinnerColumn(), text, counted, elapsed] if total is None else [text, BarColumn(bar_width=20)]
    columns += [] if total is None else [MofNCompleteColumn(), elapsed]
    # Standard output may be a file, which the bar is to leave alone.
    console, redirect_stdout = Console(stderr=True), sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=redirect_stdout) as shown:
        task = shown.add_task(what, total=total)
        yield lambda count: shown.advance(task, count)
