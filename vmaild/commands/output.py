"""How the commands print: columns, and colours where they are wanted.

Colours are for a terminal only, and never where the variable NO_COLOR is set (https://no-color.org) or TERM is "dumb".
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from vmaild.process import escape

__all__ = ["Style", "columns", "escape", "style_for"]

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
        """What should be checked."""
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
