"""A result as Markdown: one table for each section, one for the ratios, the notes, and the machine. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.report.rows import Result, Section, milliseconds


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _memory(value: float) -> str:
    return f"{value / 2**20:,.0f} MiB"


LATENCIES = ("p50", "p90", "p99", "p99.9", "max")

COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "rate": ("a second", _number),
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


def _section(section: Section, rows: Sequence[Mapping[str, Any]]) -> str:
    rows = [row for row in rows if row["section"] == section.name]
    hidden = set(LATENCIES) - set(section.latencies)
    shown = [name for name in COLUMNS if name not in hidden and any(name in row["figures"] for row in rows)]
    sizes = [section.clients] if section.clients else []
    header = ["", *sizes, *(COLUMNS[name][0] for name in shown)]
    lines = [
        [row["name"], *(f"{row['clients']:,}" for _ in sizes), *(cell(name, row["figures"]) for name in shown)]
        for row in rows
    ]
    return f"## {section.title}\n\n{table(header, lines)}" if rows else ""


def cell(name: str, figures: Mapping[str, float]) -> str:
    """A figure as text; empty where it was not measured."""
    return COLUMNS[name][1](figures[name]) if name in figures else ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A text table: the first column to the left, the others to the right; valid as Markdown."""
    widths = [max(3, *(len(row[column]) for row in (header, *rows))) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *padded]) + " |"

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])
