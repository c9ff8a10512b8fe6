"""A query of a map: one way to find entries for a key, named as in ldap_table(5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vmaild.lookup import Scope, Search
from vmaild.tables.filter import FilterTemplate
from vmaild.tables.results import Expansion
from vmaild.tables.template import WHOLE, Get, Parts, Template


class Question(NamedTuple):
    """What a query asks, apart from what is made of the answer: queries with the same texts ask the same."""

    base: str
    scope: Scope
    filter: str
    where: tuple[int, bool]
    """The directory, and whether referrals in the answer are ignored."""


MOST_ENTRIES = 100_000
"""An answer with more entries than this is a mistake in a filter. It is no bound of memory, which is one in bytes, nor
ldap_table(5)'s size_limit: a reply has room for half as many values of one letter each."""


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One way to find entries for a key."""

    search_base: Template
    scope: Scope
    query_filter: FilterTemplate
    expansion: Expansion
    domain: frozenset[str] = frozenset()
    """Only keys in these domains are asked for; empty for all, unless there are ``domain_tables``."""
    localpart: frozenset[str] = frozenset()
    """Only keys with these localparts are asked for; empty for all."""
    size_limit: int = 0
    """Most entries that may match, 0 for no limit of its own."""
    require_result: bool = False
    """An entry that is found but has no value for the map is an error, not "not found"."""
    ignore_referrals: bool = False
    """What points to other servers does not count, as in Postfix; else an answer with such an object is a failure."""
    directory: int = 0
    """The number of the directory that is asked, where there are several."""
    excluded: frozenset[str] = frozenset()
    """Domains that the ``domain_tables`` are not asked for."""
    domain_tables: tuple[Query, ...] = ()
    """A key in another domain is asked for when one of these finds its domain."""

    @property
    def question(self) -> Question:
        """What is asked."""
        return Question(self.search_base.text, self.scope, self.query_filter.text, self.where)

    @property
    def where(self) -> tuple[int, bool]:
        """What two queries must have in common to go out as one search, beside base and filter."""
        return self.directory, self.ignore_referrals

    def search(self, base: str, scope: Scope, text: str, attributes: tuple[str, ...]) -> Search:
        """A search for what an entry of this query names."""
        return Search(
            base, scope, text, attributes, MOST_ENTRIES,
            ignore_referrals=self.ignore_referrals, directory=self.directory,
        )  # fmt: skip

    @property
    def labels(self) -> tuple[Get, ...]:
        """What of a key decides whether it can be asked for, beside its text, localpart and domain: the labels."""
        gets = (*self.search_base.inserts, *self.query_filter.template.inserts, *self.expansion.result_format.of_key)
        return tuple(get for get in dict.fromkeys(gets) if get not in WHOLE)

    def accepts(self, key: Parts) -> bool:
        """Whether ``key`` is asked for at all: its domain and localpart are wanted, and the result needs no more.

        Where there is a list of domains, a key without a localpart is not (ldap_table(5), domain).
        """
        if self.domain or self.domain_tables:
            in_table = self.domain_tables and key.domain and key.domain not in self.excluded
            if not (key.localpart and (key.domain in self.domain or in_table)):
                return False
        if self.localpart and key.localpart not in self.localpart:
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
