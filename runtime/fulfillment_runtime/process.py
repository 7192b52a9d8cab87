"""The frame of a process that runs until it is told to stop, or cannot go on."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO, TypeVar

import click
import uvloop

from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.log_stream import LogStream, log_stream
from fulfillment_runtime.logs import configure_logs, is_for_people, last_line
from fulfillment_runtime.settings import LogFormat, WorkloadSettings

T = TypeVar("T")

_YOUNG_OBJECTS = 50_000  # before garbage is looked for; the default of 700 costs a fifth of an event's CPU time


def run_process(settings: WorkloadSettings, work: Coroutine[Any, Any, T], *, terminal: TextIO | None = None) -> T:
    """Run a workload to its end, with its log lines in the form that its settings say.

    Args:
        settings: they.
        work: the workload.
        terminal: takes log lines at once, as where a progress bar stands below them; None: standard error does, in a
            thread, so that a reader that stalls stops nothing.
    """
    lines: AbstractContextManager[TextIO | LogStream] = nullcontext(terminal) if terminal else log_stream()
    with lines as stream:
        configure_logs(settings.log_level, settings.log_format, stream)
        gc.set_threshold(_YOUNG_OBJECTS)
        return uvloop.run(work)


class Workload(click.Command):
    """A command that runs a workload: where its log is JSON, what ends it is a line of it, too."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run it; of a failure that is ours, also one before there are settings, write the last line."""
        try:
            return super().invoke(ctx)
        except click.UsageError:
            raise
        except click.ClickException as error:
            if is_for_people(_log_format(os.environ), sys.stderr):
                raise
            click.echo(last_line("process.failed", message=error.format_message(), exit_code=error.exit_code), err=True)
            ctx.exit(error.exit_code)


def _log_format(environ: Mapping[str, str]) -> LogFormat:
    """Read how log lines look, also where other settings, or this one, are wrong."""
    try:
        return LogFormat(environ.get("FULFILLMENT_LOG_FORMAT", LogFormat.AUTO).strip())
    except ValueError:
        return LogFormat.AUTO


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Have SIGTERM, as the kubelet sends it, and SIGINT, as Ctrl-C does, call what stops the running work."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def fail(ended: asyncio.Future[None], error: UnavailableError) -> None:
    """End whoever awaits a future by the first failure; what fails after it does so because of it."""
    if not ended.done():
        ended.set_exception(error)
