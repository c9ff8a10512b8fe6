"""What slapd saw: searches and connections in its log (loglevel ``stats``)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vmaild.demo.tree import BASE, SEARCH_BASE

_SEARCH = re.compile(r'SRCH base="([^"]*)" scope=(\d)')
_ACCEPT = re.compile(r"\bACCEPT from\b")

_CHECKED = {SEARCH_BASE, BASE, "", "cn=Subschema"}
"""Asked for by themselves only to see that a server still holds them, or what its schema is, and not for a message."""


class Seen(NamedTuple):
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
        searches += match is not None and not (match[2] == "0" and match[1] in _CHECKED)
        connections += _ACCEPT.search(line) is not None
    return Seen(searches, connections)
