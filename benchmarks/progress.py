"""The progress line of a load: one line on a terminal, rewritten twice a second; one line a second elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from benchmarks.tally import Tally

TERMINAL_SECONDS = 0.5
FILE_SECONDS = 5.0
"""A log file or a CI job wants a sign of life, not a film."""


class Progress:
    """Shows how a load goes; ``total`` is its measured seconds."""

    def __init__(self, total: float, out: TextIO = sys.stderr) -> None:
        self._total = total
        self._out = out
        self._terminal = out.isatty()
        self._every = TERMINAL_SECONDS if self._terminal else FILE_SECONDS
        self._shown = time.monotonic()
        self._answers = 0
        self._warming = True

    def __call__(self, seconds: float, tally: Tally, warming: bool) -> None:
        now = time.monotonic()
        passed = now - self._shown
        if warming != self._warming:
            self._warming, self._answers, self._shown = warming, 0, now
        elif passed >= self._every:
            rate = (tally.answers - self._answers) / passed
            self._shown, self._answers = now, tally.answers
            self._show(progress_line(seconds, self._total, rate, tally, warming))

    def end(self) -> None:
        """Leave the line alone."""
        if self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _show(self, line: str) -> None:
        self._out.write(f"\r{line}\x1b[K" if self._terminal else line + "\n")
        self._out.flush()


def progress_line(seconds: float, total: float, rate: float, tally: Tally, warming: bool) -> str:
    """What the line says: time, answers a second since the last line, p99 so far, errors and wrong answers."""
    phase = "warm-up" if warming else f"{seconds:.0f} of {total:.0f} s"
    line = f"{phase}: {rate:,.0f}/s, p99 {tally.latency.percentile(99) / 1e6:.2f} ms"
    if tally.errors:
        line += f", {sum(tally.errors.values())} errors"
    return line + (f", {tally.wrong} WRONG" if tally.wrong else "")
