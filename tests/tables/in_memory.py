"""A directory held in memory, and lookups that are driven to their end over it."""

from __future__ import annotations

from typing import Any

from tests.tables import evaluator
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.errors import DataError
from vmaild.lookup import Entry, Reply, Scope, Search
from vmaild.tables import Group, KeyLookup, Schema, dn

BASE = "o=hosting,dc=myhosting,dc=example"

SCHEMA = evaluator.schema()


class Tree:
    """Entries by DN, the searches that were asked of it, and attributes that can be searched and not read."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.searches: list[Search] = []
        self.hidden: set[str] = set()

    def add(self, name: str, **attributes: str | bytes | list[str]) -> None:
        values = {
            key.lower(): tuple(
                v.encode() if isinstance(v, str) else v for v in ([a] if isinstance(a, (str, bytes)) else a)
            )
            for key, a in attributes.items()
        }
        self.entries.append(Entry(name, values))

    def search(self, search: Search) -> list[Entry]:
        """What a server would answer, with the schema of ``tests.tables.evaluator``."""
        self.searches.append(search)
        base = dn.parse(search.base)
        readable = {name.lower() for name in search.attributes} - self.hidden
        found = []
        for entry in self.entries:
            name = dn.parse(entry.dn)
            deeper = len(name) - len(base)
            inside = (
                dn.under(name, base)
                and {Scope.BASE: deeper == 0, Scope.ONE: deeper == 1, Scope.SUB: True}[search.scope]
            )
            if inside and evaluator.matches(search.filter, entry.attributes):
                found.append(Entry(entry.dn, {a: v for a, v in entry.attributes.items() if a in readable}))
        return found


class Answer:
    """What a lookup for one map came to: its reply, or the error raised; and what is known without more searches."""

    def __init__(self, tree: Tree, group: Group, map_name: str, key: str, schema: Schema | None) -> None:
        self._group = group
        self.lookup = KeyLookup(group, key, schema)
        place = [table.name for table in group.tables].index(map_name)
        while isinstance(settled := self.lookup.settle(place), Search):
            self.lookup.receive(tree.search(settled))
        if isinstance(settled, DataError):
            raise settled
        self.reply = settled
        self.warnings = self.lookup.warnings

    @property
    def known(self) -> dict[tuple[str, str], Reply | DataError]:
        """What is known by map and key of this key and of others."""
        return {
            (table.name, lookup.key): settled
            for lookup in (self.lookup, *self.lookup.others)
            for place, table in enumerate(self._group.tables)
            if not isinstance(settled := lookup.settle(place), Search)
        }


def groups(maps: dict[str, Any] | None = None, preset: str = "courier", delimiter: str = "+") -> dict[str, Group]:
    """The group of each map."""
    problems = Problems("test.toml")
    read = read_maps(preset, maps or {}, Common(BASE, delimiter), problems)
    assert problems.found == []
    return {table.name: group for group in read.groups for table in group.tables}


def ask(
    tree: Tree,
    map_name: str,
    key: str,
    maps: dict[str, Any] | None = None,
    *,
    schema: Schema | None = SCHEMA,
    **options: Any,
) -> Answer:
    """The answer of a map of the courier preset, or of ``maps``. Raises its DataError."""
    return Answer(tree, groups(maps, **options)[map_name], map_name, key, schema)


def reply(tree: Tree, map_name: str, key: str, maps: dict[str, Any] | None = None, **options: Any) -> Reply:
    return ask(tree, map_name, key, maps, **options).reply
