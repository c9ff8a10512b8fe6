"""The log: lines on standard error, written by a thread, so that the event loop never waits for their reader.

``open_log`` sets it up for the whole process and returns the ``Log``, whose ``close`` is called at the end. A line is
made where it is logged and goes into a queue that is bounded in lines and in bytes; a thread writes it. When the
queue is full, because the pipe, terminal or journal behind standard error is not read, lines are dropped and counted,
until half of the queue is free again; the next line then says how many were dropped.

A record is one line, whatever it is made of: control characters, line breaks, escape sequences and everything else that
cannot be printed are written as backslash escapes, since names of entries, keys and error texts come from outside.
A traceback follows its line, each of its lines indented, so that none of them passes for a line of the log. Under
systemd, which adds time and name itself, each line begins with the priority of sd-daemon(3).
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, TextIO

MAX_LINES = 10_000
"""Lines that wait to be written. A restart of journald takes a second or two."""

MAX_BYTES = 4 * 1024 * 1024
"""Bytes of the lines that wait to be written."""

MAX_TEXT = 8192
"""Characters of one record; the rest is left out. journald itself cuts lines at 48 KiB."""

CLOSE_SECONDS = 1.0
"""How long ``Log.close`` waits for a reader that may never read."""

LOGGERS = ("vmaild", "asyncio")
"""Whose records are written. The event loop reports through a logger of its own."""

_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_INDENT = "    "


class LineQueue:
    """Lines between those who log and the thread that writes, bounded; ``None`` is the end.

    ``notice(count)`` makes the line that says how many were dropped. The methods are those that
    ``logging.handlers`` calls; ``put_nowait`` never waits for the writer, nor raises.
    """

    def __init__(self, max_lines: int, max_bytes: int, notice: Callable[[int], bytes]) -> None:
        self.dropped = 0
        """Lines dropped since the start."""
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._notice = notice
        self._lines: deque[bytes | None] = deque()
        self._bytes = 0
        self._unsaid = 0
        self._full = False
        self._unwritten = 0
        # Reentrant, as Condition makes it: a finalizer may log while this thread is in here.
        self._changed = threading.Condition()

    def put_nowait(self, line: bytes | None) -> None:
        """Add a line, or drop it when the queue is full."""
        with self._changed:
            if line is not None:
                self._full = not self._fits(len(line))
                if self._full:
                    self.dropped += 1
                    self._unsaid += 1
                    return
                self._say_dropped()
            self._append(line)

    def get(self, block: bool = True) -> bytes | None:
        """The next line; waits for one. ``block`` is there for ``logging.handlers`` and always true."""
        with self._changed:
            if not self._lines:
                self._say_dropped()
            while not self._lines:
                self._changed.wait()
            line = self._lines.popleft()
            self._bytes -= len(line or b"")
            return line

    def task_done(self) -> None:
        """A line that ``get`` returned is written."""
        with self._changed:
            self._unwritten -= 1
            self._changed.notify_all()

    def drained(self, seconds: float) -> bool:
        """Wait until every line is written, at most ``seconds``; returns whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._unwritten and not self._unsaid, seconds)

    def _fits(self, size: int) -> bool:
        # Once full, it takes lines again when half is free: else each line would come with a notice of its own.
        share = 2 if self._full else 1
        return len(self._lines) < self._max_lines // share and self._bytes + size <= self._max_bytes // share

    def _say_dropped(self) -> None:
        if self._unsaid:
            count, self._unsaid = self._unsaid, 0
            self._append(self._notice(count))

    def _append(self, line: bytes | None) -> None:
        self._lines.append(line)
        self._bytes += len(line or b"")
        self._unwritten += 1
        self._changed.notify_all()


class _Handler(logging.handlers.QueueHandler):
    """Makes the line where it is logged: what it refers to may have changed when it is written."""

    queue: LineQueue

    def prepare(self, record: logging.LogRecord) -> Any:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        # The base class would write to standard error from here.
        self.queue.put_nowait(f"a record of {record.name} cannot be written: {record.msg!a}\n".encode())


class _Listener(logging.handlers.QueueListener):
    """The thread that writes."""

    queue: LineQueue

    def __init__(self, queue: LineQueue, write: Callable[[bytes], None]) -> None:
        super().__init__(queue)
        self._write = write

    def handle(self, record: Any) -> None:
        # Nobody is left to complain to.
        with contextlib.suppress(OSError, ValueError):
            self._write(record)


class Log:
    """The running log of this process; as a context manager it closes itself."""

    def __init__(
        self, write: Callable[[bytes], None], formatter: logging.Formatter, level: str, queue: LineQueue
    ) -> None:
        self._queue = queue
        self._listener = _Listener(queue, write)
        self._handler = _Handler(queue)
        self._handler.setFormatter(formatter)
        for name in LOGGERS:
            logger = logging.getLogger(name)
            logger.handlers[:] = [self._handler]
            logger.propagate = False
        logging.getLogger(LOGGERS[0]).setLevel(level.upper())
        self._listener.start()

    @property
    def dropped(self) -> int:
        """Lines dropped since the start, because nobody read those before them."""
        return self._queue.dropped

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, for ``seconds`` at most. What is logged afterwards is lost."""
        if self._queue.drained(seconds):
            self._listener.stop()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_log(
    stream: TextIO,
    level: str,
    *,
    max_lines: int = MAX_LINES,
    max_bytes: int = MAX_BYTES,
    environ: Mapping[str, str] = os.environ,
) -> Log:
    """Log to ``stream`` from now on, in the form that suits systemd when ``environ`` says that it reads."""
    journal = "JOURNAL_STREAM" in environ
    formatter = JournalFormatter() if journal else PlainFormatter()

    def notice(count: int) -> bytes:
        text = f"{count} log lines were dropped: those before them were not read fast enough"
        record = logging.LogRecord("vmaild.process", logging.WARNING, "", 0, text, None, None)
        return formatter.format(record).encode() + b"\n"

    return Log(_writer(stream), formatter, level, LineQueue(max_lines, max_bytes, notice))


def _writer(stream: TextIO) -> Callable[[bytes], None]:
    """What writes a line to ``stream``: to its descriptor, for the buffer above it would be one more queue."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):

        def to_text(line: bytes) -> None:
            stream.write(line.decode())
            stream.flush()

        return to_text

    def to_descriptor(line: bytes) -> None:
        left = memoryview(line)
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:  # another user of the pipe may have made it non-blocking
                select.select([], [descriptor], [])

    return to_descriptor


def escape(text: str) -> str:
    """``text`` on one line, with everything that cannot be printed as a backslash escape."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")


class LineFormatter(logging.Formatter):
    """The record as one line, and its traceback as indented ones."""

    def lines(self, record: logging.LogRecord) -> Iterator[str]:
        """The lines, without what the form puts before each."""
        yield _cut(escape(record.getMessage()))
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        for text in filter(None, (record.exc_text, record.stack_info)):
            yield from (_INDENT + escape(line) for line in _cut(text).split("\n"))


class PlainFormatter(LineFormatter):
    """Time in UTC, level, text."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, without the last line's end."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        first, *others = self.lines(record)
        return "\n".join([f"{at} {record.levelname} {first}", *others])


class JournalFormatter(LineFormatter):
    """Each line behind its syslog priority, sd-daemon(3)."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, without the last line's end."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in self.lines(record))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ... ({len(text) - MAX_TEXT} more characters)"
