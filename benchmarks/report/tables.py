"""A result as Markdown: one table for each section, one for the ratios, the notes, and the machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.rows import Column, Result, Section

LATENCIES = ("p50", "p90", "p99", "p99.9", "max")

COLUMNS = {
    "rate": Column("a second", "number"),
    "cpu server": Column("CPU: server"),
    "cpu slapd": Column("slapd"),
    "cpu relay": Column("relay"),
    "cpu postfix": Column("Postfix"),
    "client_cpu": Column("client"),
    "ldap_connections": Column("LDAP connections", "number"),
    "cold searches": Column("cold", "number"),
    "warm searches": Column("warm", "number"),
    "cold connections": Column("new LDAP connections: cold", "number"),
    "warm connections": Column("warm", "number"),
    "time": Column("median"),
    "longest": Column("longest"),
    **{name: Column(name) for name in LATENCIES},
    "resident": Column("memory", "memory"),
    "bytes for each answer": Column("bytes for each answer", "number"),
}
"""The figures that a table shows, in this order, where a section has them. Others stand in the JSON alone."""


def report(result: Result) -> str:
    """All of a result that is for people."""
    parts = [_section(Section(**each), result["rows"]) for each in result["sections"]]
    if result["ratios"]:
        lines = [[each["title"], f"{each['ratio']:.2f}", each["aim"]] for each in result["ratios"]]
        parts.append("## Ratios\n\n" + table(["", "measured", "aim"], lines))
    parts += result["notes"]
    return "\n\n".join(part for part in [*parts, about(result["machine"])] if part) + "\n"


def about(machine: Mapping[str, str]) -> str:
    """The machine in one line."""
    versions = ", ".join(
        f"{name} {machine[key]}" for name, key in _VERSIONS.items() if machine.get(key, "none") != "none"
    )
    return (
        f"Measured {machine['date']} on {machine['cores']} cores ({machine['processor']}), {machine.get('system', '')},"
        f" Linux {machine.get('kernel', '')}, {versions}."
    )


_VERSIONS = {
    "Python": "python", "uvloop": "uvloop", "Postfix": "postfix", "OpenLDAP": "openldap", "memcached": "memcached",
    "postfix-mta-sts-resolver": "postfix-mta-sts-resolver", "vmaild": "commit",
}  # fmt: skip


def _section(section: Section, rows: Sequence[Mapping[str, Any]]) -> str:
    rows = [row for row in rows if row["section"] == section.name]
    if not rows:
        return ""
    hidden = set(LATENCIES) - set(section.latencies)
    shown = [name for name in COLUMNS if name not in hidden and any(name in row["figures"] for row in rows)]
    sizes = [section.clients] if section.clients else []
    lines = [
        [
            row["name"],
            *(f"{row['clients']:,}" for _ in sizes),
            *(COLUMNS[name].text(row["figures"].get(name)) for name in shown),
        ]
        for row in rows
    ]
    return f"## {section.title}\n\n" + table(["", *sizes, *(COLUMNS[name].heading for name in shown)], lines)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A text table: the first column to the left, the others to the right; valid as Markdown."""
    widths = [max(3, *(len(row[column]) for row in (header, *rows))) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *padded]) + " |"

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])
