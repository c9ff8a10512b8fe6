"""Which searches a lookup needs, and how few: questions that one search can answer together are joined.

A ``Query`` is a way to find entries for a key; an ``Ask`` is what it asks for one search key, and queries of several
maps that ask the same share one. Asks join in a ``Group`` when the search base of one contains that of the other and
both filters can be evaluated here (``vmaild.tables.filter``): they go out as one search at the widest base, filters
joined by ``|``, and each ask then picks its entries from the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.lookup import Entry, Scope, Search
from vmaild.tables import dn, filter
from vmaild.tables.filter import FilterTemplate, FoldedEntry
from vmaild.tables.results import Expansion
from vmaild.tables.template import Parts, Template

# An answer about one address with more entries than this is a mistake in the directory or in a filter. It bounds
# what one lookup may hold in memory; ldap_table(5)'s own default is no limit.
ENTRY_LIMIT = 1000

# RFC 4511, 4.5.1.8: the attribute list that asks for no attribute at all.
NO_ATTRIBUTES = ("1.1",)


@dataclass(frozen=True, slots=True)
class Query:
    """One way to find entries for a key, named as in ldap_table(5)."""

    search_base: Template
    scope: Scope
    query_filter: FilterTemplate
    expansion: Expansion
    domain: frozenset[str] = frozenset()
    """Only keys in these domains are asked for; empty for all."""
    localpart: frozenset[str] = frozenset()
    """Only keys with these localparts are asked for; empty for all."""
    size_limit: int = 0
    """Most entries that may match, 0 for ``ENTRY_LIMIT``."""

    @property
    def question(self) -> tuple[str, Scope, str]:
        """What is asked, apart from what is made of the answer."""
        return self.search_base.text, self.scope, self.query_filter.text

    @property
    def selective(self) -> bool:
        """Whether there are keys that it does not accept."""
        return bool(self.domain or self.localpart or self.expansion.result_format.of_key)

    def accepts(self, key: Parts) -> bool:
        """Whether ``key`` is asked for at all: its domain and localpart are wanted, and the result needs no more."""
        if (self.domain and key.domain not in self.domain) or (self.localpart and key.localpart not in self.localpart):
            return False
        return self.expansion.result_format.answers(key)

    def ask(self, key: Parts) -> Ask | None:
        """What to ask for ``key``; None when the key lacks a part that the templates need."""
        base = self.search_base.expand_query(key, dn.quote)
        text = self.query_filter.expand(key)
        return (
            None
            if base is None or text is None
            else Ask(base, self.scope, text, self.query_filter, key, not self.search_base.dynamic)
        )

    @property
    def attributes(self) -> frozenset[str]:
        """What must be known of an entry: the attributes of the result, and those of the filter."""
        return self.query_filter.attributes.union(self.expansion.attributes)


@dataclass(slots=True, eq=False)  # not frozen: that would treble the time it takes to make one
class Ask:
    """The question of a query for one search key."""

    base: str
    scope: Scope
    filter: str
    template: FilterTemplate
    key: Parts
    base_exists: bool

    def covers(self, other: Ask) -> bool:
        """Whether a search at this base and scope sees all that the other's would."""
        if self.scope is not Scope.SUB:
            return self.scope is other.scope and self.base == other.base
        return other.base == self.base or other.base.endswith(f",{self.base}")

    def same_place(self, other: Ask) -> bool:
        """Whether both search the same base and scope."""
        return self.base == other.base and self.scope is other.scope

    def contains(self, entry: str) -> bool:
        """Whether the DN ``entry`` stands within this base and scope."""
        try:
            inner, base = dn.parse(entry), dn.parse(self.base)
        except ValueError:
            return False
        deeper = len(inner) - len(base)
        return dn.under(inner, base) and (self.scope is Scope.SUB or deeper == (self.scope is Scope.ONE))


@dataclass(slots=True, eq=False)
class Group:
    """Asks that share one search, with the first one's base and scope, and what came back once it was made."""

    asks: list[Ask]
    answers: dict[Ask, list[Entry]] | None = None
    """Each ask's entries; None before the search."""

    def admits(self, ask: Ask) -> bool:
        """Whether ``ask`` may share this group's search, which has not been made yet."""
        first = self.asks[0]
        return self.answers is None and first.template.evaluable and ask.template.evaluable and first.covers(ask)

    def search(self, attributes: tuple[str, ...]) -> Search:
        """The one search for all asks."""
        first = self.asks[0]
        text = filter.joined([ask.filter for ask in self.asks])
        return Search(first.base, first.scope, text, attributes or NO_ATTRIBUTES, ENTRY_LIMIT, first.base_exists)

    def receive(self, entries: list[Entry]) -> bool:
        """Give each ask its entries. False when an entry answers none of them.

        Then the server's schema has matched what the text does not show, and each ask must be made by itself.
        """
        if len(self.asks) == 1:
            self.answers = {self.asks[0]: entries}
            return True
        self.answers = {ask: [] for ask in self.asks}
        explained = 0
        for entry in entries:
            values = FoldedEntry(entry)
            answered = [ask for ask in self.asks if self._answered(ask, values)]
            for ask in answered:
                self.answers[ask].append(entry)
            explained += bool(answered)
        return explained == len(entries)

    def _answered(self, ask: Ask, values: FoldedEntry) -> bool:
        return ask.template.matches(values, ask.key) and (ask.same_place(self.asks[0]) or ask.contains(values.entry.dn))
