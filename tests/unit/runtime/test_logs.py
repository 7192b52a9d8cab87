"""Log lines: ours and every library's in one form."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from fulfillment_runtime.logs import configure_logs
from fulfillment_runtime.settings import LogFormat, LogLevel


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A log stream; the root logger is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_are_json_with_one_event_name(stream: io.StringIO) -> None:
    """Event, level, time, what is bound, and the details."""
    configure_logs(LogLevel.INFO, LogFormat.AUTO, stream)
    with structlog.contextvars.bound_contextvars(request="cs-1"):
        structlog.get_logger("any").info("webhook.recorded", outcome="created")
    (line,) = lines(stream)
    assert [*line][:3] == ["timestamp", "level", "event"]
    assert line.pop("timestamp")
    assert line == {"event": "webhook.recorded", "level": "info", "request": "cs-1", "outcome": "created"}


def test_library_lines_have_the_same_form(stream: io.StringIO) -> None:
    """A library's logger is the event's name; kopf's object is the request."""
    configure_logs(LogLevel.INFO, LogFormat.JSON, stream)
    logging.getLogger("kopf.objects").warning("It is %s", "late", extra={"k8s_ref": {"name": "cs-1"}})
    (line,) = lines(stream)
    assert [*line][:3] == ["timestamp", "level", "event"]
    assert line.pop("timestamp")
    assert line == {"event": "kopf.objects", "level": "warning", "message": "It is late", "request": "cs-1"}


def test_an_exception_is_part_of_its_line(stream: io.StringIO) -> None:
    """A traceback does not spread over lines that a collector would take for others."""
    configure_logs(LogLevel.INFO, LogFormat.JSON, stream)
    try:
        int("broken")
    except ValueError:
        structlog.get_logger("any").exception("webhook.failed")
        logging.getLogger("library").exception("failed")
    for line in lines(stream):
        assert "ValueError: invalid literal" in str(line["exception"])


def test_libraries_are_never_heard_at_debug(stream: io.StringIO) -> None:
    """There they write whole objects and requests."""
    configure_logs(LogLevel.DEBUG, LogFormat.JSON, stream)
    for library in ("kopf.objects", "stripe", "aiosmtplib", "aiohttp.client", "kubernetes"):
        logging.getLogger(library).debug("personal data")
    assert lines(stream) == []


def test_people_get_a_form_for_people(stream: io.StringIO) -> None:
    """The console form, when asked for."""
    configure_logs(LogLevel.INFO, LogFormat.CONSOLE, stream)
    structlog.get_logger("any").info("webhook.recorded", outcome="created")
    assert "webhook.recorded" in stream.getvalue()
    assert "outcome=created" in stream.getvalue()
