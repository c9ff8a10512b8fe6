"""How the commands print: columns, durations, sizes, and colours where they are wanted.

Colours are for a terminal only, and never where the variable NO_COLOR is set (https://no-color.org) or TERM is "dumb".
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from vmaild.process import escape

__all__ = ["Style", "bytes_in_words", "columns", "count", "duration", "escape", "latency", "percent", "style_for"]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class Style:
    """Paints text, when ``on``."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def paint(self, text: str, colour: str) -> str:
        """``text`` in a colour (bold, dim, red, green, yellow)."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.on and text else text

    def title(self, text: str) -> str:
        """A headline."""
        return self.paint(text, "bold")

    def good(self, text: str) -> str:
        """What is as it should be."""
        return self.paint(text, "green")

    def bad(self, text: str) -> str:
        """What is not."""
        return self.paint(text, "red")

    def doubtful(self, text: str) -> str:
        """What should be looked at."""
        return self.paint(text, "yellow")

    def quiet(self, text: str) -> str:
        """What stands back."""
        return self.paint(text, "dim")


def style_for(stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> Style:
    """The style for what ``stream`` is (stdout by default)."""
    stream = stream or sys.stdout
    return Style(stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb")


def columns(rows: Iterable[Sequence[str]], right: str = "", indent: str = "  ") -> list[str]:
    """Lines with ``rows`` in columns. ``right`` has an ``r`` for each column that is flushed right, else any letter."""
    rows = list(rows)
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - _width(cell))
            cells.append(blanks + cell if right[number : number + 1] == "r" else cell + blanks)
        lines.append(f"{indent}{'  '.join(cells)}".rstrip())
    return lines


def _width(cell: str) -> int:
    return len(_ESCAPES.sub("", cell))


def duration(seconds: float) -> str:
    """``3 d 4 h``, ``4 min 10 s``: the two largest units."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def latency(seconds: float | None) -> str:
    """The bound of a bucket: ``25 us``, ``1 ms``; a dash without one."""
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:g} us"
    return f"{seconds * 1e3:g} ms" if seconds < 1 else f"{seconds:g} s"


def bytes_in_words(number: float) -> str:
    """``3.4 MB``."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def percent(share: float | None) -> str:
    """``99.1 %``; a dash without a share. Nothing but all is 100 %."""
    if share is None:
        return "-"
    return "100 %" if share == 1 else f"{min(share * 100, 99.9):.1f} %"


def count(number: int, singular: str, plural: str = "") -> str:
    """``1 map``, ``2 maps``."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
