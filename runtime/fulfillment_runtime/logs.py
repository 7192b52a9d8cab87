"""Log lines: structlog's and every library's in one form. JSON lines, or a form for people at a terminal.

Each line has one dotted event name. A library's line has its logger's name for one, and its text as `message`.
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from fulfillment_runtime.settings import LogFormat, LogLevel

# Below warning these write each step, and whole objects and requests, where personal data and secrets may stand.
_ONLY_WARNINGS = ("aiohttp", "aiosmtplib", "asyncio", "kubernetes", "litestar", "mail.log", "stripe", "uvicorn")
# kopf's steps are of use to who looks for a fault; at debug it, too, writes whole objects.
_NEVER_DEBUG = "kopf"


def configure_logs(level: LogLevel, log_format: LogFormat, stream: TextIO = sys.stderr) -> None:
    """Send every log line of this process to `stream`, in one form."""
    console = log_format is LogFormat.CONSOLE or (log_format is LogFormat.AUTO and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
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
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _name_library_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event["message"] = event["event"]
    event["event"] = record.name
    reference = getattr(record, "k8s_ref", None)  # kopf: the object that a line concerns
    if reference:
        event["request"] = reference.get("name")
    return event
