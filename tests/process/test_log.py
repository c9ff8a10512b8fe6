"""The log: what a line looks like, and that nobody waits for its reader."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from vmaild.process.log import JournalFormatter, LineQueue, PlainFormatter, escape, open_log


def notice(count: int) -> bytes:
    return b"%d dropped" % count


def record(text: str, *arguments: object, level: int = logging.WARNING, error: bool = False) -> logging.LogRecord:
    return logging.LogRecord("vmaild", level, "", 0, text, arguments, sys.exc_info() if error else None)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("vmaild", "asyncio")]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("o=Käse,c=日本", "o=Käse,c=日本"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2K\x1b]0;x\x07", r"\x1b[2K\x1b]0;x\x07"),
        ("\x00\x7f\x85\u2028", r"\x00\x7f\x85\u2028"),
        ("user\u202egro.elpmaxe", r"user\u202egro.elpmaxe"),
        ("\udcff", r"\udcff"),
        ("", ""),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, line: str) -> None:
    assert escape(text) == line


def test_a_dn_with_a_line_break_forges_no_line() -> None:
    dn = "o=x\n2026-01-01T00:00:00Z ERROR forged\x1b[31m"
    (line,) = PlainFormatter().format(record("entry %s", dn)).split("\n")
    assert line.endswith(r" WARNING entry o=x\n2026-01-01T00:00:00Z ERROR forged\x1b[31m")


@pytest.mark.parametrize(("form", "prefix"), [(PlainFormatter(), ""), (JournalFormatter(), "<3>")])
def test_a_traceback_keeps_its_lines_and_none_passes_for_a_line_of_the_log(form: Any, prefix: str) -> None:
    try:
        raise ValueError("bad\n2026-01-01T00:00:00Z ERROR forged\x1b[31m")
    except ValueError:
        first, *others = form.format(record("it failed", level=logging.ERROR, error=True)).split("\n")
    assert first.startswith(prefix)
    assert first.endswith("it failed")
    assert others[0] == prefix + "    Traceback (most recent call last):"
    assert others[-1] == prefix + r"    2026-01-01T00:00:00Z ERROR forged\x1b[31m"
    assert all(line.startswith(prefix + "    ") for line in others)


def test_a_long_line_is_cut_and_says_so() -> None:
    line = PlainFormatter().format(record("x" * 20_000))
    assert len(line) < 8300
    assert line.endswith("(11808 more characters)")


def test_a_full_queue_drops_lines_counts_them_and_says_so_when_there_is_room() -> None:
    queue = LineQueue(4, 1000, notice)
    for n in range(7):
        queue.put_nowait(b"%d" % n)
    assert queue.dropped == 3
    assert [queue.get(), queue.get()] == [b"0", b"1"]
    queue.put_nowait(b"still full")
    assert queue.dropped == 4
    queue.get()
    queue.put_nowait(b"room again")
    assert [queue.get() for _ in range(3)] == [b"3", b"4 dropped", b"room again"]
    assert queue.dropped == 4


def test_dropped_lines_are_told_of_even_when_nothing_is_logged_after_them() -> None:
    queue = LineQueue(1, 1000, notice)
    queue.put_nowait(b"a")
    queue.put_nowait(b"b")
    assert [queue.get(), queue.get()] == [b"a", b"1 dropped"]


def test_the_queue_is_bounded_in_bytes_too() -> None:
    queue = LineQueue(1000, 100, notice)
    for _ in range(50):
        queue.put_nowait(b"x" * 30)
    assert queue.dropped == 47
    queue.put_nowait(b"y" * 1000)
    assert queue.dropped == 48


def test_logging_never_waits_for_the_writer() -> None:
    class Stuck(io.StringIO):
        let_go = threading.Event()

        def write(self, text: str) -> int:
            self.let_go.wait(30)
            return super().write(text)

    stream = Stuck()
    log = open_log(stream, "info", max_lines=10, environ={})
    for n in range(100):
        logging.getLogger("vmaild.test").warning("line %d", n)
    assert 85 <= log.dropped <= 90
    log.close(0.01)
    stream.let_go.set()
    log.close(10)
    text = stream.getvalue()
    assert f"{log.dropped} log lines were dropped" in text
    assert "line 0\n" in text


PROGRAM = """
import logging, os, sys, time
from vmaild.process import open_log
log = open_log(sys.stderr, "info", max_bytes=100_000)
longest = 0.0
for n in range(5000):
    began = time.perf_counter()
    logging.getLogger("vmaild").info("line %d %s", n, "x" * 50)
    longest = max(longest, time.perf_counter() - began)
log.close(0.1)
print(log.dropped, flush=True)
"""


def test_a_pipe_that_nobody_reads_holds_nothing_up() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"):
        try:
            program = [sys.executable, "-c", PROGRAM]
            done = subprocess.run(program, stdout=subprocess.PIPE, stderr=writing, timeout=30, check=True)
        finally:
            os.close(writing)
    assert int(done.stdout) > 2000


def test_a_pipe_made_non_blocking_by_another_loses_no_line() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(writing, "w") as stream:
        log = open_log(stream, "info", environ={"JOURNAL_STREAM": "1:1"})
        for _ in range(3000):
            logging.getLogger("vmaild").info("x" * 90)
        received = b""
        while received.count(b"\n") < 3000:
            received += os.read(reading, 65_536)
        log.close()
    os.close(reading)
    assert set(received.splitlines()) == {b"<6>" + b"x" * 90}
    assert log.dropped == 0


def test_a_record_that_cannot_be_made_is_a_line_all_the_same() -> None:
    stream = io.StringIO()
    with open_log(stream, "info", environ={}):
        logging.getLogger("vmaild").info("%d", "no number")
    assert stream.getvalue() == "a record of vmaild cannot be written: '%d'\n"


def test_what_the_event_loop_reports_goes_the_same_way() -> None:
    stream = io.StringIO()
    with open_log(stream, "error", environ={}):
        logging.getLogger("asyncio").error("Task exception was never retrieved")
    assert "Task exception" in stream.getvalue()
