"""What slapd saw: searches and connections in its log (loglevel ``stats``), and connections that are open now."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vmaild.demo.tree import BASE, SEARCH_BASE

ESTABLISHED = "01"
"""The state in /proc/net/tcp (include/net/tcp_states.h)."""

_SEARCH = re.compile(r'SRCH base="([^"]*)" scope=(\d)')
_ACCEPT = re.compile(r"\bACCEPT from\b")

_CHECKED = {SEARCH_BASE, BASE, "cn=Subschema", ""}
"""Asked for by themselves only to see that a server still holds them, or what its schema is, and not for a message."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Counts of a part of the log."""

    searches: int
    connections: int


class LogMark:
    """A place in slapd's log; ``since`` counts what was written after it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = log.stat().st_size

    def since(self) -> Seen:
        """What came after the mark."""
        with self._log.open(errors="replace") as file:
            file.seek(self._offset)
            return count(file)


def count(lines: Iterable[str]) -> Seen:
    """Searches for keys, and connections accepted, in lines of the log."""
    searches = connections = 0
    for line in lines:
        match = _SEARCH.search(line)
        if match is not None:
            searches += not (match[2] == "0" and match[1] in _CHECKED)
        elif _ACCEPT.search(line):
            connections += 1
    return Seen(searches, connections)


def open_connections(port: int) -> int:
    """Connections that are open to the local TCP ``port``, counted on the server's side."""
    local = f":{port:04X}"
    found = 0
    for name in ("tcp", "tcp6"):
        table = Path("/proc/net") / name
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            found += fields[1].endswith(local) and fields[3] == ESTABLISHED
    return found
