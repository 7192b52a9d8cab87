"""The frame of a process that runs until it is told to stop, or cannot go on."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.log_stream import log_stream
from fulfillment_runtime.logs import configure_logs
from fulfillment_runtime.settings import WorkloadSettings

T = TypeVar("T")


def run_process(settings: WorkloadSettings, work: Coroutine[Any, Any, T]) -> T:
    """Run a workload to its end, with its log lines in the form that its settings say."""
    with log_stream() as stream:
        configure_logs(settings.log_level, settings.log_format, stream)
        return uvloop.run(work)


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Have SIGTERM, as the kubelet sends it, and SIGINT, as Ctrl-C does, call what stops the running work."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def fail(ended: asyncio.Future[None], error: UnavailableError) -> None:
    """End whoever awaits a future by the first failure; what fails after it does so because of it."""
    if not ended.done():
        ended.set_exception(error)
