"""Figures of several rounds put together: the median of each, with every sample kept."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Figures = dict[str, float]


@dataclass(slots=True)
class Row:
    """One rival under one load. ``clients`` are connections, processes or sessions."""

    section: str
    name: str
    clients: int
    samples: list[Figures] = field(default_factory=list)

    @property
    def figures(self) -> Figures:
        """The median of each figure over all rounds."""
        names = dict.fromkeys(name for sample in self.samples for name in sample)
        return {name: statistics.median(s[name] for s in self.samples if name in s) for name in names}

    def as_json(self) -> dict[str, Any]:
        """Row and samples."""
        return {
            "section": self.section,
            "name": self.name,
            "clients": self.clients,
            "figures": self.figures,
            "samples": self.samples,
        }


class Rows:
    """Rows in the order in which they were first measured."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, int], Row] = {}

    def add(self, section: str, name: str, clients: int, sample: Figures) -> None:
        """Add the sample of one round."""
        row = self._rows.setdefault((section, name, clients), Row(section, name, clients))
        row.samples.append(sample)

    def find(self, section: str, name: str, clients: int) -> Row | None:
        """One row, if it was measured."""
        return self._rows.get((section, name, clients))

    def section(self, section: str) -> list[Row]:
        """The rows of one section."""
        return [row for row in self._rows.values() if row.section == section]

    def as_json(self) -> list[dict[str, Any]]:
        """All rows."""
        return [row.as_json() for row in self._rows.values()]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A text table: the first column to the left, the others to the right; valid as Markdown."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = [
            cell.ljust(width) if not n else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join([first, *others]) + " |"

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])
