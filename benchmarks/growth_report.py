"""The tables of ``growth``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.load_report import milliseconds
from benchmarks.samples import table


@dataclass(frozen=True, slots=True)
class Panel:
    """How one series is shown."""

    name: str
    title: str
    x_label: str


PANELS = (
    Panel("answers", "cached answers", "answers in the cache"),
    Panel("connections", "connections, cached answers", "connections"),
    Panel("entries", "every lookup a miss", "accounts in the directory"),
)


def report(result: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    parts = []
    for panel in PANELS:
        points = result["series"].get(panel.name)
        if points:
            parts.append(f"## {panel.title.capitalize()}\n\n{_table(panel, points)}")
    return "\n\n".join(parts)


def _table(panel: Panel, points: list[Mapping[str, float]]) -> str:
    header = [panel.x_label, "a second", "CPU: vmaild", "slapd", "p50", "p99"]
    memory = "resident" in points[0]
    header += ["memory", "bytes for each answer"] if memory else []
    lines = []
    for point in points:
        times = [point.get(name) for name in ("cpu server", "cpu slapd", "p50", "p99")]
        line = [f"{point['size']:,.0f}", f"{point['rate']:,.0f}"]
        line += ["" if time is None else milliseconds(time) for time in times]
        if memory:
            line += [f"{point['resident'] / 2**20:,.0f} MiB", f"{point['bytes for each answer']:,.0f}"]
        lines.append(line)
    return table(header, lines)
