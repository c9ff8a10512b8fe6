"""The load's processes, as the parent sees them: started, listened to, ended."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.soak.tally import Tally


class Waited(NamedTuple):
    """What the probe waited in one second, in seconds of time."""

    at: float
    median: float
    p99: float
    longest: float


class Worker:
    """A child running ``module`` with ``arguments``, which begins by reading ``first`` from its standard input."""

    def __init__(self, name: str, arguments: list[str], home: Path, *, first: str = "") -> None:
        self.name = name
        self.tally = Tally()
        self.waited: list[Waited] = []
        self._errors = home / f"{name}.err"
        self._emitted = threading.Condition()
        self._lines = 0
        with self._errors.open("wb") as errors:
            self._child = subprocess.Popen(
                [sys.executable, "-m", f"tests.soak.{name}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        if first:
            self.tell(first)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def tell(self, line: str) -> None:
        """Write a line to it."""
        assert self._child.stdin is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def wait_line(self, count: int, seconds: float) -> bool:
        """Wait until it has emitted ``count`` tallies in all, at most ``seconds``. Returns whether it has."""
        with self._emitted:
            return self._emitted.wait_for(lambda: self._lines >= count, seconds)

    @property
    def lines(self) -> int:
        """Tallies emitted so far."""
        return self._lines

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._child.poll() is None

    def last_words(self) -> str:
        """The end of its standard error."""
        return self._errors.read_text(errors="replace")[-1500:]

    def stop(self) -> None:
        """End it."""
        self._child.kill()
        self._child.wait()
        self._reader.join()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            try:
                told = json.loads(line)
            except ValueError:
                # It was ended in the middle of a line.
                return
            with self._emitted:
                self.tally.add(told)
                self._lines += 1
                self._emitted.notify_all()
            if times := sorted(told["latencies"]):
                rank = min(len(times) - 1, int(0.99 * len(times)))
                self.waited.append(Waited(time.monotonic(), times[len(times) // 2], times[rank], times[-1]))
