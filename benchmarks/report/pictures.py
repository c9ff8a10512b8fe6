"""The pictures, by matplotlib (the ``bench`` extra), from what a result's JSON says.

A section is drawn as bars, one panel for each size, or as lines over the sizes; ``percentiles`` of a load as a curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.report.rows import COLUMNS, Result, Section, cell

OWN, OTHER, SLAPD = "#1f6f8b", "#b8b8b8", "#d08c3f"
"""vmaild in colour, everybody else in grey."""

Panel = tuple[Section, list[Mapping[str, Any]]]


def draw(result: Result, path: Path) -> None:
    """Write the picture of a result, or none where nothing of it is for a picture."""
    panels = _panels(result)
    if not panels:
        return
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    most = max(len(rows) for _, rows in panels)
    figure = Figure(figsize=(5.6 * columns, max(3.0, 0.6 + 0.22 * most) * lines))
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (section, rows) in zip(axes.flat, panels, strict=False):
        {"bars": _bars, "lines": _lines, "percentiles": _percentiles}[section.picture](axis, section, rows)
    where = result["machine"]
    text = f"{where['date']}, {where['cores']} cores, {where['processor']}"
    figure.text(0.01, 0.005, text, fontsize=7, color="#666666")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=110)


def _panels(result: Result) -> list[Panel]:
    panels: list[Panel] = []
    for section in (Section(**each) for each in result["sections"]):
        rows = [row for row in result["rows"] if row["section"] == section.name]
        if section.picture == "bars":
            sizes = dict.fromkeys(row["clients"] for row in rows)
            panels += [(section, [row for row in rows if row["clients"] == size]) for size in sizes]
        elif section.picture and rows:
            panels.append((section, rows))
    return panels


def _bars(axis: Any, section: Section, rows: Sequence[Mapping[str, Any]]) -> None:
    values = [row["figures"].get(section.figure, 0.0) for row in rows]
    bars = axis.barh([row["name"] for row in rows], values, color=_colours(rows))
    axis.bar_label(bars, [cell(section.figure, row["figures"]) for row in rows], padding=3, fontsize=8)
    axis.set_xlim(right=(max(values) or 1.0) * 1.25)
    axis.invert_yaxis()
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    size = f", {rows[0]['clients']:,} {section.clients}" if section.clients else ""
    axis.set_title(f"{section.title}, {COLUMNS[section.figure][0]}{size}", fontsize=9)


def _lines(axis: Any, section: Section, rows: Sequence[Mapping[str, Any]]) -> None:
    sizes = [row["clients"] for row in rows]
    for name, label, colour in (("cpu server", "vmaild CPU", OWN), ("cpu slapd", "slapd CPU", SLAPD)):
        if all(name in row["figures"] for row in rows):
            axis.plot(sizes, [row["figures"][name] * 1e3 for row in rows], "o-", color=colour, label=label)
    axis.set(xscale="log", xlabel=section.clients, ylabel="CPU for each answer, us", title=section.title)
    axis.set_xticks(sizes, [_short(size) for size in sizes])
    axis.minorticks_off()
    axis.set_ylim(0, axis.get_ylim()[1] * 1.1)
    other = axis.twinx()
    other.plot(sizes, [row["figures"]["p99"] for row in rows], "s--", color=OTHER, label="p99")
    other.set_ylabel("p99, ms")
    other.set_ylim(0, other.get_ylim()[1] * 1.1)
    handles = [*axis.get_lines(), *other.get_lines()]
    axis.legend(handles, [str(line.get_label()) for line in handles], loc="lower right", fontsize=8)


def _percentiles(axis: Any, section: Section, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        points = [point for point in row["percentiles"] if point[0] < 100]
        axis.plot([1 / (1 - percent / 100) for percent, _ in points], [value for _, value in points], color=OWN)
    axis.set(xscale="log", yscale="log", title=section.title, ylabel="latency, ms", xlabel="percentile")
    axis.set_xticks([1, 2, 10, 100, 1000, 10_000], ["0", "50", "90", "99", "99.9", "99.99"])
    axis.minorticks_off()
    axis.grid(alpha=0.3)


def _colours(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    own = ["vmaild" in row["name"] for row in rows]
    return [OWN if mine or not any(own) else OTHER for mine in own]


def _short(size: float) -> str:
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{size / unit:.3g}{letter}"
    return f"{size:g}"
