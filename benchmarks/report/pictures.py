"""The pictures, by matplotlib (the ``bench`` extra), from what a result's JSON says: see ``rows.Section``."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from benchmarks.report.rows import COLUMNS, Result, Section, cell

OWN, OTHER, SLAPD = "#1f6f8b", "#b8b8b8", "#d08c3f"
"""vmaild in colour, everybody else in grey."""
Rows = Sequence[Mapping[str, Any]]


def draw(result: Result, path: Path) -> None:
    """Write the picture of a result, or none where nothing of it is for a picture."""
    panels = list(_panels(result))
    if not panels:
        return
    columns = min(3, len(panels))
    lines, most = -(-len(panels) // columns), max(len(rows) for _, rows in panels)
    figure = Figure(figsize=(5.6 * columns, max(3.0, 0.6 + 0.22 * most) * lines))
    for axis, panel in zip_longest(figure.subplots(lines, columns, squeeze=False).flat, panels):
        axis.set_visible(panel is not None)
        if panel:
            {"bars": _bars, "lines": _lines, "percentiles": _percentiles}[panel[0].picture](axis, *panel)
    text = "{date}, {cores} cores, {processor}".format(**result["machine"])
    figure.text(0.01, 0.005, text, fontsize=7, color="#666666")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=110)


def _panels(result: Result) -> Iterator[tuple[Section, Rows]]:
    for section in (Section(**each) for each in result["sections"] if each["picture"]):
        rows = [row for row in result["rows"] if row["section"] == section.name]
        if section.picture == "bars":
            sizes = dict.fromkeys(row["clients"] for row in rows)
            yield from ((section, [row for row in rows if row["clients"] == size]) for size in sizes)
        elif rows:
            yield section, rows if section.picture == "lines" else [result]


def _bars(axis: Any, section: Section, rows: Rows) -> None:
    names, values = [row["name"] for row in rows], [row["figures"].get(section.figure, 0.0) for row in rows]
    alone = not any("vmaild" in name for name in names)
    bars = axis.barh(names, values, color=[OWN if alone or "vmaild" in name else OTHER for name in names])
    axis.bar_label(bars, [cell(section.figure, row["figures"]) for row in rows], padding=3, fontsize=8)
    axis.set_xlim(right=(max(values) or 1.0) * 1.25)
    axis.invert_yaxis()
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    size = f", {rows[0]['clients']:,} {section.clients}" if section.clients else ""
    axis.set_title(f"{section.title}, {COLUMNS[section.figure][0]}{size}", fontsize=9)


def _lines(axis: Any, section: Section, rows: Rows) -> None:
    sizes, other = [row["clients"] for row in rows], axis.twinx()
    for where, name, factor, style, colour in (
        (axis, "cpu server", 1e3, "o-", OWN), (axis, "cpu slapd", 1e3, "o-", SLAPD), (other, "p99", 1, "s--", OTHER),
    ):  # fmt: skip
        if all(name in row["figures"] for row in rows):
            where.plot(sizes, [row["figures"][name] * factor for row in rows], style, color=colour, label=name)
            where.set_ylim(0, where.get_ylim()[1] * 1.1)
    axis.set(xscale="log", xlabel=section.clients, ylabel="CPU for each answer, us", title=section.title)
    axis.set_xticks(sizes)
    axis.xaxis.set_major_formatter(EngFormatter(places=0, sep=""))
    axis.minorticks_off()
    other.set_ylabel("p99, ms")
    axis.legend(handles=[*axis.get_lines(), *other.get_lines()], loc="lower right", fontsize=8)


def _percentiles(axis: Any, section: Section, results: Rows) -> None:
    points = [(1 / (1 - percent / 100), value) for percent, value in results[0]["percentiles"] if percent < 100]
    axis.plot(*zip(*points, strict=True), color=OWN)
    axis.set(xscale="log", yscale="log", title=section.title, ylabel="latency, ms", xlabel="percentile")
    axis.set_xticks([1, 2, 10, 100, 1000, 10_000], ["0", "50", "90", "99", "99.9", "99.99"])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
