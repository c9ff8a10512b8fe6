"""A query of a map: one way to find entries for a key, named as in ldap_table(5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vmaild.lookup import Scope
from vmaild.tables.filter import FilterTemplate
from vmaild.tables.results import Expansion
from vmaild.tables.template import WHOLE, Get, Parts, Template


class Question(NamedTuple):
    """What a query asks, apart from what is made of the answer: queries with the same texts ask the same."""

    base: str
    scope: Scope
    filter: str


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One way to find entries for a key."""

    search_base: Template
    scope: Scope
    query_filter: FilterTemplate
    expansion: Expansion
    domain: frozenset[str] = frozenset()
    """Only keys in these domains are asked for; empty for all."""
    localpart: frozenset[str] = frozenset()
    """Only keys with these localparts are asked for; empty for all."""
    size_limit: int = 0
    """Most entries that may match, 0 for no limit of its own."""
    require_result: bool = False
    """An entry that is found but has no value for the map is an error, not "not found"."""

    @property
    def question(self) -> Question:
        """What is asked."""
        return Question(self.search_base.text, self.scope, self.query_filter.text)

    @property
    def labels(self) -> tuple[Get, ...]:
        """What of a key decides whether it can be asked for, beside its text, localpart and domain: the labels."""
        gets = (*self.search_base.inserts, *self.query_filter.template.inserts, *self.expansion.result_format.of_key)
        return tuple(get for get in dict.fromkeys(gets) if get not in WHOLE)

    def accepts(self, key: Parts) -> bool:
        """Whether ``key`` is asked for at all: its domain and localpart are wanted, and the result needs no more."""
        if (self.domain and key.domain not in self.domain) or (self.localpart and key.localpart not in self.localpart):
            return False
        return self.expansion.result_format.answers(key)

    def can_ask(self, key: Parts) -> bool:
        """Whether ``key`` has every part that the templates need."""
        inserts = (*self.search_base.inserts, *self.query_filter.template.inserts)
        return all(get(key) for get in inserts)

    @property
    def attributes(self) -> frozenset[str]:
        """What must be known of an entry: the attributes of the result, and those of the filter."""
        return self.query_filter.attributes.union(self.expansion.attributes)
