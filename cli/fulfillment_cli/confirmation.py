"""Asks a person before something is requested."""

import asyncio
import io
import sys

import click

_YES, _NO = {"y", "yes"}, {"", "n", "no"}


async def confirm(question: str) -> None:
    """Go on if a person says yes.

    The event loop waits for the answer, so that it hears Ctrl-C: the signal interrupts no read where another thread
    gets it.

    Args:
        question: what is asked, at the terminal's standard error.

    Raises:
        click.Abort: the answer is no, there is none, or it is Ctrl-C.
    """
    while True:
        click.echo(f"{question} [y/N]: ", nl=False, err=True)
        try:
            await _input_available()
        except asyncio.CancelledError:
            raise click.Abort from None
        line = sys.stdin.readline()
        answer = line.strip().lower()
        if answer in _YES:
            return
        if answer in _NO:
            if not line.endswith("\n"):
                click.echo(err=True)
            raise click.Abort
        click.echo("Error: invalid input", err=True)


async def _input_available() -> None:
    """Wait until a line can be read; a file's can at once."""
    try:
        descriptor, loop, available = sys.stdin.fileno(), asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, available.set)
    except (io.UnsupportedOperation, PermissionError):  # epoll takes no regular file
        return
    try:
        await available.wait()
    finally:
        loop.remove_reader(descriptor)
