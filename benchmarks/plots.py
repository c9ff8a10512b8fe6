"""The pictures, by matplotlib (the ``bench`` extra): bars for ``compare``, lines for ``growth``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.growth_report import PANELS

OWN, BESIDE, OTHER = "#1f6f8b", "#7fa7b5", "#b8b8b8"
"""vmaild in colour, paler where it only stands beside, everybody else in grey."""

Result = Mapping[str, Any]


def draw_compare(result: Result, path: Path) -> None:
    """Bars of answers a second: lookups by postmap and RCPT TO, for each number of clients."""
    rows = result["rows"]
    groups = [(section, clients) for section, clients in _groups(rows) if section in ("load", "postmap", "rcpt")]
    if not groups:
        return
    columns = min(3, len(groups))
    lines = -(-len(groups) // columns)
    figure = Figure(figsize=(5.2 * columns, 2.4 * lines))
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(groups) :]:
        axis.set_visible(False)
    for axis, (section, clients) in zip(axes.flat, groups, strict=False):
        _bars(axis, [row for row in rows if (row["section"], row["clients"]) == (section, clients)])
        axis.set_title(_TITLES[section].format(clients=clients, s="" if clients == 1 else "s"), fontsize=10)
    _save(figure, result, path)


draw_miss = draw_compare
"""``miss`` compares in the same way."""

_TITLES = {
    "load": "lookups/s, load generator, {clients} connection{s}",
    "postmap": "lookups/s, postmap -q -, {clients} client{s}",
    "rcpt": "RCPT TO/s, Postfix, {clients} session{s}",
}


def draw_growth(result: Result, path: Path) -> None:
    """One line plot for each way to grow: CPU for each answer on the left axis, p99 on the right."""
    panels = [panel for panel in PANELS if result["series"].get(panel.name)]
    figure = Figure(figsize=(5.2 * len(panels), 3.6))
    axes = figure.subplots(1, len(panels), squeeze=False)
    for axis, panel in zip(axes.flat, panels, strict=True):
        points = result["series"][panel.name]
        sizes = [point["size"] for point in points]
        for key, label, colour in (("cpu server", "vmaild", OWN), ("cpu slapd", "slapd", "#d08c3f")):
            if all(key in point for point in points):
                axis.plot(sizes, [point[key] * 1e3 for point in points], "o-", color=colour, label=f"{label} CPU")
        axis.set(xscale="log", xlabel=panel.x_label, ylabel="CPU for each answer, us", title=panel.title)
        axis.set_xticks(sizes, [_short(size) for size in sizes])
        axis.minorticks_off()
        axis.set_ylim(0, axis.get_ylim()[1] * 1.1)
        other = axis.twinx()
        other.plot(sizes, [point["p99"] for point in points], "s--", color=OTHER, label="p99")
        other.set_ylabel("p99, ms")
        other.set_ylim(0, other.get_ylim()[1] * 1.1)
        handles = [*axis.get_lines(), *other.get_lines()]
        axis.legend(handles, [str(line.get_label()) for line in handles], loc="lower right", fontsize=8)
    _save(figure, result, path)


def draw_interference(result: Result, path: Path) -> None:
    """p50, p99 and p99.9 of cached answers without the misses, with them, and with them on another vmaild."""
    names = ("p50", "p99", "p99.9")
    figure = Figure(figsize=(5.2, 3.2))
    axis = figure.subplots()
    kinds = (
        (-0.27, "without", OTHER, "without misses"),
        (0.0, "elsewhere", BESIDE, "with misses on another vmaild"),
        (0.27, "with", OWN, "with misses"),
    )
    for offset, state, colour, label in kinds:
        bars = axis.bar(
            [place + offset for place in range(len(names))],
            [result[state][name] for name in names],
            width=0.25,
            color=colour,
            label=label,
        )
        axis.bar_label(bars, fmt="%.2f", fontsize=8)
    axis.set_xticks(range(len(names)), names)
    axis.set(ylabel="latency of cached answers, ms")
    axis.legend(fontsize=8)
    _save(figure, result, path)


def _short(size: float) -> str:
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{size / unit:g}{letter}"
    return f"{size:g}"


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((row["section"], row["clients"]) for row in rows))


def _bars(axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [row["name"] for row in rows]
    rates = [row["figures"]["rate"] for row in rows]
    bars = axis.barh(names, rates, color=[OWN if "vmaild" in name else OTHER for name in names])
    axis.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=3, fontsize=8)
    axis.set_xlim(right=max(rates) * 1.2)
    axis.invert_yaxis()
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, result: Result, path: Path) -> None:
    where = result["machine"]
    figure.text(
        0.01, 0.005, f"{where['date']}, {where['cores']} cores, {where['processor']}", fontsize=7, color="#666666"
    )
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=130)
