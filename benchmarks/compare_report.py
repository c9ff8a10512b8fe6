"""The tables of ``compare``, and the ratios that it is about."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.load_report import milliseconds
from benchmarks.samples import table

Row = Mapping[str, Any]

GOALS = (
    ("cached through 16 postmap, over ldap:", "postmap", 16, "socketmap: vmaild, cached", "ldap:", 4.0),
    ("cached through 1 postmap, over ldap:", "postmap", 1, "socketmap: vmaild, cached", "ldap:", 4.0),
    ("the dict server through 1 postmap, over ldap:", "postmap", 1, "socketmap: dict server", "ldap:", None),
    ("all misses from 16 clients, over ldap:", "postmap", 16, "socketmap: vmaild, all misses", "ldap:", 1.0),
    ("RCPT TO, 1 session, over ldap:", "rcpt", 1, "vmaild", "ldap:", 1.5),
    ("RCPT TO, 10 sessions, over ldap:", "rcpt", 10, "vmaild", "ldap:", 1.5),
    ("RCPT TO, 50 sessions, over ldap:", "rcpt", 50, "vmaild", "ldap:", 1.5),
    ("RCPT TO, 1 session, over the dict server", "rcpt", 1, "vmaild", "dict socketmap server", 0.95),
    ("RCPT TO, 10 sessions, over the dict server", "rcpt", 10, "vmaild", "dict socketmap server", 0.95),
    ("RCPT TO, 50 sessions, over the dict server", "rcpt", 50, "vmaild", "dict socketmap server", 0.95),
)
"""What is compared, where, who over whom, and the least that is aimed at; None for what only shows the ceiling."""


def report(result: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    rows: Sequence[Row] = result["rows"]
    parts = [
        ("Lookups by the load generator", _speeds([r for r in rows if r["section"] == "load"], "connections")),
        ("Lookups by `postmap -q -`", _speeds([r for r in rows if r["section"] == "postmap"], "processes")),
        ("RCPT TO through Postfix", _speeds([r for r in rows if r["section"] == "rcpt"], "sessions")),
        ("LDAP searches for one message", _messages([r for r in rows if r["section"] == "messages"])),
        ("Ratios", _ratios(rows)),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in parts if text)


def ratio(rows: Sequence[Row], section: str, clients: int, name: str, base: str, figure: str = "rate") -> float | None:
    """``name`` over ``base``: the median of the ratios of each round, since both were measured in the same minute."""
    over, under = (_find(rows, section, clients, which) for which in (name, base))
    if over is None or under is None:
        return None
    pairs = zip(over["samples"], under["samples"], strict=False)
    return float(statistics.median(a[figure] / b[figure] for a, b in pairs))


def _find(rows: Sequence[Row], section: str, clients: int, name: str) -> Row | None:
    for row in rows:
        if (row["section"], row["clients"], row["name"]) == (section, clients, name):
            return row
    return None


def _speeds(rows: Sequence[Row], clients: str) -> str:
    if not rows:
        return ""
    rcpt = rows[0]["section"] == "rcpt"
    header = ["", clients, "a second", "CPU: server", "slapd", "Postfix" if rcpt else "client"]
    header += ["LDAP connections"] if rcpt else []
    header += ["p50", "p99"] if any("p99" in row["figures"] for row in rows) else []
    lines = []
    for row in rows:
        figures = row["figures"]
        line = [row["name"], str(row["clients"]), f"{figures['rate']:,.0f}"]
        line += [_time(figures.get(name)) for name in ("cpu server", "cpu slapd", "client_cpu")]
        line += [f"{figures['ldap_connections']:.0f}"] if rcpt else []
        line += [_time(figures.get(name)) for name in ("p50", "p99")] if "p99" in header else []
        lines.append(line)
    return table(header, lines)


def _messages(rows: Sequence[Row]) -> str:
    header = ["", "cold", "warm", "new LDAP connections: cold", "warm"]
    names = ("cold searches", "warm searches", "cold connections", "warm connections")
    lines = [[row["name"], *(f"{row['figures'][name]:.0f}" for name in names)] for row in rows]
    return table(header, lines) if rows else ""


def _ratios(rows: Sequence[Row]) -> str:
    lines = []
    for title, section, clients, name, base, goal in GOALS:
        value = ratio(rows, section, clients, name, base)
        if value is not None:
            lines.append([title, f"{value:.2f}", "" if goal is None else f"{goal:.2f}"])
    dearer = ratio(rows, "load", 16, "vmaild, cached", "dict socketmap server", "cpu server")
    if dearer is not None:
        lines.append(["CPU of a cached answer, over the dict server", f"{dearer:.2f}", "at most 1.15"])
    return table(["", "measured", "aim"], lines) if lines else ""


def _time(value: float | None) -> str:
    return "" if value is None else milliseconds(value)
