"""Log lines: structlog's and every library's in one form. JSON lines, or a form for people at a terminal.

Each line begins with its time, its level and one dotted event name. A library's line has its logger's name for one, and
its text as `message`.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from fulfillment_runtime.log_stream import LogStream
from fulfillment_runtime.settings import LogFormat, LogLevel

# Below warning these write each step, and whole objects and requests, where personal data and secrets may stand.
_ONLY_WARNINGS = ("aiohttp", "aiosmtplib", "asyncio", "kubernetes", "litestar", "mail.log", "stripe", "uvicorn")
# kopf's steps are of use to who looks for a fault; at debug it, too, writes whole objects.
_NEVER_DEBUG = "kopf"


def configure_logs(level: LogLevel, log_format: LogFormat, stream: TextIO | LogStream = sys.stderr) -> None:
    """Send every log line of this process to `stream`, in one form."""
    console = is_for_people(log_format, stream)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, _begin_alike, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_library_line, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for library in _ONLY_WARNINGS:
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))
    logging.getLogger(_NEVER_DEBUG).setLevel(
        logging.INFO if level is LogLevel.DEBUG else max(logging.WARNING, root.level)
    )
    file: Any = stream  # of which only write and flush are used
    ours = structlog.WriteLogger(file)  # past the standard library, which takes twice as long as all the rest
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=lambda *_name: ours,
        cache_logger_on_first_use=False,
    )


def is_for_people(log_format: LogFormat, stream: TextIO | LogStream) -> bool:
    """Tell whether lines are written for people, or else as JSON."""
    return log_format is LogFormat.CONSOLE or (log_format is LogFormat.AUTO and stream.isatty())


def last_line(event: str, **details: object) -> str:
    """Write a line as JSON for a process that ends before, or after, it has a log."""
    line = {"timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"), "level": "error", "event": event}
    return json.dumps(line | details, ensure_ascii=False)


def dropped_lines() -> int:
    """Count the log lines of this process that nobody will see."""
    streams = [handler.stream for handler in logging.getLogger().handlers if isinstance(handler, logging.StreamHandler)]
    return sum(stream.dropped for stream in streams if isinstance(stream, LogStream))


def _begin_alike(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Let each line begin with the same three, for those who read them as they come."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _name_library_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event["message"] = event["event"]
    event["event"] = record.name
    reference = getattr(record, "k8s_ref", None)  # kopf: the object that a line concerns
    if reference:
        event["request"] = reference.get("name")
    return event
