"""A directory held in memory: entries, and the searches that were asked of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest

from vmaild.lookup import Entry, Scope, Search
from vmaild.tables import dn, filter
from vmaild.tables.template import Parts

Result = TypeVar("Result")


class Tree:
    """Entries by DN. ``drive`` runs a generator of searches to its end."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.searches: list[Search] = []

    def add(self, name: str, **attributes: str | bytes | list[str]) -> None:
        values = {
            key.lower(): tuple(
                v.encode() if isinstance(v, str) else v for v in ([a] if isinstance(a, (str, bytes)) else a)
            )
            for key, a in attributes.items()
        }
        self.entries.append(Entry(name, values))

    def search(self, search: Search) -> list[Entry]:
        """What a server would answer, as far as the filter can be evaluated without a schema."""
        self.searches.append(search)
        base = dn.parse(search.base)
        wanted = filter.FilterTemplate(search.filter.replace("%", "%%"))
        nothing = Parts.of("")
        found = []
        for entry in self.entries:
            name = dn.parse(entry.dn)
            deeper = len(name) - len(base)
            inside = (
                dn.under(name, base)
                and {Scope.BASE: deeper == 0, Scope.ONE: deeper == 1, Scope.SUB: True}[search.scope]
            )
            if inside and wanted.matches(filter.FoldedEntry(entry), nothing):
                found.append(Entry(entry.dn, {a: v for a, v in entry.attributes.items() if a in _lower(search)}))
        return found

    def drive(self, steps: Generator[Search, list[Entry], Result]) -> Result:
        try:
            search = next(steps)
            while True:
                search = steps.send(self.search(search))
        except StopIteration as stop:
            return stop.value


def _lower(search: Search) -> set[str]:
    return {name.lower() for name in search.attributes}


@pytest.fixture
def tree() -> Tree:
    return Tree()
