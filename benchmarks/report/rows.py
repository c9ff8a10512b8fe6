"""Figures of several rounds put together, the median of each, with every sample kept; and as Markdown. Pure."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Figures = dict[str, float]
"""Figures of one measurement by name. Latencies and CPU are milliseconds, rates a second, memory bytes."""
Result = dict[str, Any]
"""What a JSON file holds: experiment, machine, settings, minutes, sections, rows, ratios, notes; or more."""


class Section(NamedTuple):
    """Rows in one table with these ``latencies``; ``clients`` heads the column of sizes, empty for none.

    ``picture``: ``bars`` (a panel for each size, of ``figure``), ``lines`` (over the sizes), ``percentiles`` or empty.
    """

    name: str
    title: str
    clients: str = ""
    picture: str = "bars"
    figure: str = "rate"
    latencies: Sequence[str] = ("p50", "p99")


class Aim(NamedTuple):
    """``name`` over ``base`` at one size of a section, and the bound that is aimed at, if any."""

    title: str
    section: str
    clients: int
    name: str
    base: str
    figure: str = "rate"
    least: float = 0.0
    most: float = math.inf

    def __str__(self) -> str:
        if self.least:
            return f"at least {self.least:.2f}"
        return f"at most {self.most:.2f}" if self.most < math.inf else ""


class Rows:
    """Rows in the order in which they were first measured, each with the samples of all rounds."""

    def __init__(self) -> None:
        self._samples: defaultdict[tuple[str, str, int], list[Figures]] = defaultdict(list)

    def add(self, section: str, name: str, clients: int, sample: Figures) -> None:
        self._samples[section, name, clients].append(sample)

    def figures(self, section: str, name: str, clients: int) -> Figures:
        """The median of each figure of one row over all rounds; none if it was not measured."""
        samples = self._samples.get((section, name, clients), [])
        names = dict.fromkeys(name for sample in samples for name in sample)
        return {name: statistics.median(each[name] for each in samples if name in each) for name in names}

    def ratios(self, aims: Iterable[Aim]) -> list[dict[str, Any]]:
        """What JSON keeps of the aims: medians of the rounds' ratios, since both sides are of the same minute."""
        found = []
        for aim in aims:
            rows = (self._samples.get((aim.section, name, aim.clients), []) for name in (aim.name, aim.base))
            sides = [(over.get(aim.figure), under.get(aim.figure)) for over, under in zip(*rows, strict=False)]
            if ratios := [over / under for over, under in sides if over is not None and under]:
                ratio = statistics.median(ratios)
                missed = not aim.least <= ratio <= aim.most
                found.append({"title": aim.title, "ratio": ratio, "aim": str(aim), "missed": missed})
        return found

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {"section": row[0], "name": row[1], "clients": row[2], "figures": self.figures(*row), "samples": samples}
            for row, samples in self._samples.items()
        ]


def milliseconds(number: float) -> str:
    """A time of so many milliseconds, in a unit that suits it."""
    if number < 0.1:
        return f"{number * 1e3:.1f} us"
    return f"{number:.2f} ms" if number < 1000 else f"{number / 1e3:.2f} s"


def _memory(value: float) -> str:
    return f"{value / 2**20:,.1f} MiB"


_number = "{:,.0f}".format
LATENCIES = ("p50", "p90", "p99", "p99.9", "max")
COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "rate": ("a second", _number),
    "hit ratio": ("hit ratio", "{:.4f}".format),
    "heard": ("changes heard", _number),
    "searches": ("searches", _number),
    "dropped": ("records dropped", _number),
    "lookups a message": ("lookups", "{:.1f}".format),
    "cpu in all": ("CPU in all", milliseconds),
    "disk": ("on disk", _memory),
    "cpu server": ("CPU: server", milliseconds),
    "cpu slapd": ("slapd", milliseconds),
    "cpu relay": ("relay", milliseconds),
    "cpu postfix": ("Postfix", milliseconds),
    "client_cpu": ("client", milliseconds),
    "ldap_connections": ("LDAP connections", _number),
    "cold searches": ("cold", _number),
    "warm searches": ("warm", _number),
    "cold connections": ("new LDAP connections: cold", _number),
    "warm connections": ("warm", _number),
    "time": ("median", milliseconds),
    "longest": ("longest", milliseconds),
    **{name: (name, milliseconds) for name in LATENCIES},
    "resident": ("memory", _memory),
    "resident a record": ("bytes a record", _number),
    "accounted a record": ("accounted for", _number),
    "dependences a record": ("of this, dependences", _number),
    "most": ("most memory", _memory),
    "accounted": ("accounted for", _memory),
    "kept": ("records", _number),
    "bytes for each answer": ("bytes for each answer", _number),
}
"""The figures that a table shows, in this order, where a section has them: heading and form. JSON has more."""


def report(result: Result) -> str:
    """All of a result that is for people."""
    parts = [_section(Section(**each), result["rows"]) for each in result["sections"]]
    if result["ratios"]:
        lines = [[each["title"], f"{each['ratio']:.2f}", each["aim"]] for each in result["ratios"]]
        parts.append("## Ratios\n\n" + table(["", "measured", "aim"], lines))
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items() if value != "none")
    return "\n\n".join(part for part in [*parts, *result["notes"], f"Measured on: {machine}."] if part) + "\n"


def _section(section: Section, rows: Iterable[Mapping[str, Any]]) -> str:
    rows = [row for row in rows if row["section"] == section.name]
    hidden = set(LATENCIES) - set(section.latencies)
    shown = [name for name in COLUMNS if name not in hidden and any(name in row["figures"] for row in rows)]
    header = ["", section.clients, *(COLUMNS[name][0] for name in shown)]
    lines = [[row["name"], f"{row['clients']:,}", *(cell(name, row["figures"]) for name in shown)] for row in rows]
    if not section.clients:
        header, *lines = ([line[0], *line[2:]] for line in (header, *lines))
    return f"## {section.title}\n\n{table(header, lines)}" if rows else ""


def cell(name: str, figures: Mapping[str, float]) -> str:
    """A figure as text; empty where it was not measured."""
    return COLUMNS[name][1](figures[name]) if name in figures else ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A text table: the first column to the left, the others to the right; valid as Markdown."""
    widths = [max(3, *map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in (header, rule, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
