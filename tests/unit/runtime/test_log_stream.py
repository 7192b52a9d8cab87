"""The log stream: a reader that stalls costs lines, and never time."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fulfillment_runtime.log_stream import LogStream, log_stream

CAPACITY = 100  # lines
MORE = 10_000  # than a pipe and the stream hold


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """What is read, and what is written to."""
    reader, writer = os.pipe()
    with ExitStack() as closing:
        closing.callback(os.close, writer)
        closing.callback(os.close, reader)
        yield reader, writer


def read_until(reader: int, last: str) -> list[str]:
    text = ""
    while last not in text:
        text += os.read(reader, 65536).decode()
    return text.splitlines()


@pytest.mark.parametrize("blocking", [True, False])
def test_what_nobody_reads_is_dropped_and_counted(pipe: tuple[int, int], blocking: bool) -> None:
    """Whoever writes goes on; when someone reads again, the lines of before and of then come whole and in order."""
    reader, writer = pipe
    os.set_blocking(writer, blocking)
    stream = LogStream(writer, is_terminal=False, capacity=CAPACITY)
    for number in range(MORE):
        stream.write(f"line {number:06} {'x' * 80}\n")
    assert 0 < stream.dropped < MORE
    kept = MORE - stream.dropped
    read: list[str] = []
    while len(read) < kept:
        read += read_until(reader, "\n")
        while not read[-1].endswith("x" * 80):  # a read may end within a line
            first, *rest = read_until(reader, "\n")
            read[-1] += first
            read += rest
    stream.write("the last\n")
    assert read_until(reader, "the last\n") == ["the last"]
    stream.close(within=5)
    assert read == sorted(read)
    assert len(read) == len(set(read)) == kept


def test_all_that_waits_is_written_at_the_end(pipe: tuple[int, int]) -> None:
    """And what comes afterwards, too: those are the last words."""
    reader, writer = pipe
    with os.fdopen(writer, "w", closefd=False) as text, log_stream(text) as stream:
        for number in range(50):
            stream.write(f"{number}\n")
    stream.write("Error: it ends\n")
    assert read_until(reader, "Error: it ends\n") == [*map(str, range(50)), "Error: it ends"]
    assert stream.dropped == 0


def test_a_reader_that_is_gone_costs_lines(pipe: tuple[int, int]) -> None:
    """There is nowhere to say it but in the metric."""
    reader, writer = pipe
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reader)
    os.close(null)
    stream = LogStream(writer, is_terminal=False)
    stream.write("lost\n")
    stream.close(within=5)
    assert stream.dropped == 1
