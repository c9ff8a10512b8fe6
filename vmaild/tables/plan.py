"""Which searches a lookup needs, and how few: worked out once for all keys of the same shape.

A query asked for one search key is an ``Ask``; queries of several maps that ask the same share one. Asks join when the
search base of one contains that of the other and the server's schema makes certain which entry matches which filter
(``vmaild.tables.filter``): they go out as one search at the widest base, their filters joined by ``|``, and each ask
then picks its entries from the answer. Where an entry leaves a doubt, each ask is made by itself: the answer of a
joined search is always that of asking one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vmaild.lookup import Entry, Scope, Search
from vmaild.tables import dn, filter
from vmaild.tables.dn import Dn
from vmaild.tables.filter import Shown, Test, Verdict
from vmaild.tables.query import Query
from vmaild.tables.schema import Schema
from vmaild.tables.template import Get, Parts, Template

ENTRY_LIMIT = 1000
"""An answer about one address with more entries than this is a mistake in the directory or in a filter. It bounds
what one lookup may hold in memory; ldap_table(5)'s own default is no limit."""

# How far below the search base an entry stands, where the scope says so.
_DEPTHS = {Scope.BASE: 0, Scope.ONE: 1}

NO_ATTRIBUTES = ("1.1",)
"""RFC 4511, 4.5.1.8: the attribute list that asks for no attribute at all."""


class Ask(NamedTuple):
    """A query's question for the search key at the place ``key``."""

    query: Query
    key: int

    def covers(self, other: Ask) -> bool:
        """Whether a search at this base and scope sees all that the other's would, whatever the key.

        A base that must exist is the same for both then: one that is missing stays a failure of its own query.
        """
        base, inner = self.query.search_base, other.query.search_base
        if not (self.key == other.key or _only_of_domain(base) == _only_of_domain(inner) is True):
            return False
        if base.text == inner.text:
            return self.query.scope in (Scope.SUB, other.query.scope)
        # Of another base only the entry at the base itself: that it came back shows that the base is not hidden.
        if self.query.scope is not Scope.SUB or other.query.scope is not Scope.BASE or not base.dynamic:
            return False
        return inner.text.endswith(f",{base.text}") and dn.well_formed(inner.text[: -len(base.text) - 1])


class Step(NamedTuple):
    """What a map tries for a search key: a query, the ask that brings its entries, and the key's place."""

    query: Query
    ask: int
    key: int


class Format(NamedTuple):
    """A text with holes, and for each hole which part of which search key goes there, and how it is quoted."""

    text: str
    holes: tuple[tuple[int, Get], ...]
    quote: Callable[[str], str]

    def fill(self, keys: Sequence[Parts]) -> str:
        quote = self.quote
        return self.text.format(*[quote(get(keys[key])) for key, get in self.holes])


class Sharer(NamedTuple):
    """What tells which entries of a joined search answer one ask. ``base`` is the ask's own, where it has one."""

    test: Test
    key: int
    scope: Scope
    base: Format | None
    schema: Schema

    def own_base(self, keys: Sequence[Parts]) -> Dn | None:
        """Its own base for these search keys; None when the text of it does not tell where that is, or whether."""
        return dn.canonical(self.base.fill(keys), self.schema) if self.base else None

    def within(self, entry: Entry, base: Dn | None) -> Verdict:
        """Whether the entry stands within the ask's own base and scope; None when its DN does not tell."""
        if base is None:
            return True
        name = dn.canonical(entry.dn, self.schema)
        if name is None:
            return None
        return dn.under(name, base) and (self.scope is Scope.SUB or len(name) - len(base) == _DEPTHS[self.scope])


class JoinedSearch:
    """One search for one or more asks, whose places in the plan are ``asks``."""

    def __init__(self, asks: tuple[int, ...], known: Sequence[Ask], attributes: tuple[str, ...], schema: Schema | None):
        self.asks = asks
        self.joint = len(asks) > 1
        first = known[asks[0]]
        query = first.query
        self._base = _format([(query.search_base, first.key)], dn.quote)
        wanted = list(dict.fromkeys((known[ask].query.query_filter.template, known[ask].key) for ask in asks))
        self._filter = _format(wanted, filter.quote)
        self._scope = query.scope
        self._attributes = attributes or NO_ATTRIBUTES
        sharers = [_sharer(known[ask], first, schema) for ask in asks] if schema is not None else [None]
        self.sharers = [sharer for sharer in sharers if sharer is not None]
        """What shares out the entries, one for each ask."""
        self.certain = None not in sharers
        """Whether the schema decides which entry answers which ask."""
        others = any(known[ask].query.search_base.text != query.search_base.text for ask in asks)
        # A base that is missing, or hidden, says nothing about what stands below it.
        self._base_exists = others or not query.search_base.dynamic

    def search(self, keys: Sequence[Parts]) -> Search:
        """The search for these search keys."""
        return Search(
            self._base.fill(keys), self._scope, self._filter.fill(keys), self._attributes, ENTRY_LIMIT,
            self._base_exists,
        )  # fmt: skip

    def place(self, keys: Sequence[Parts]) -> tuple[str, Scope]:
        """Where that search is made."""
        return self._base.fill(keys), self._scope


def share_out(
    entries: list[Entry], searches: Sequence[tuple[JoinedSearch, Sequence[Parts]]], schema: Schema
) -> list[list[list[Entry]]] | None:
    """The entries of each ask of each of the ``searches`` that went out as one; None when that is not certain.

    The server returned an entry because one filter at least matches it: where all others are excluded, the one that is
    left does.
    """
    shares: list[list[list[Entry]]] = [[[] for _ in joined.asks] for joined, _ in searches]
    sharing = []
    for (joined, keys), of_search in zip(searches, shares, strict=True):
        for sharer, share in zip(joined.sharers, of_search, strict=True):
            base = sharer.own_base(keys)
            if base is None and sharer.base is not None:
                return None
            sharing.append((sharer, keys[sharer.key], base, share))
    for entry in entries:
        shown = Shown(entry, schema)
        possible = [
            (matches, place)
            for place in sharing
            if (matches := place[0].test(shown, place[1])) is not False
        ]  # fmt: skip
        if not possible:
            return None
        for matches, (sharer, _, base, share) in possible:
            within = sharer.within(entry, base)
            if within is None or (within and matches is None and len(possible) > 1):
                return None
            if within:
                share.append(entry)
    return shares


class Plan:
    """The searches for keys of one shape. ``steps`` are those of each map, in the order of precedence."""

    def __init__(self, ways: Sequence[Sequence[tuple[Query, int]]], attributes: tuple[str, ...], schema: Schema | None):
        self._attributes = attributes
        self._schema = schema
        self.asks: list[Ask] = []
        self._places: dict[object, int] = {}
        self.steps = [[Step(query, self._place(query, key), key) for query, key in way] for way in ways]
        self.joined: list[JoinedSearch] = []
        """For each ask, the search that it shares."""
        joins = self._joins()
        made = {id(asks): JoinedSearch(tuple(asks), self.asks, attributes, schema) for asks in joins}
        self.joined = [next(made[id(asks)] for asks in joins if ask in asks) for ask in range(len(self.asks))]
        self.single = [
            JoinedSearch((ask,), self.asks, attributes, schema) if self.joined[ask].joint else self.joined[ask]
            for ask in range(len(self.asks))
        ]
        """For each ask, the search for it alone."""

    def _place(self, query: Query, key: int) -> int:
        place = self._places.setdefault((query.question, key), len(self.asks))
        if place == len(self.asks):
            self.asks.append(Ask(query, key))
        return place

    def _joins(self) -> list[list[int]]:
        """The asks that go out together, each with the first that can take it."""
        schema = self._schema
        joins: list[list[int]] = []
        open_to_more: list[list[int]] = []
        for number, ask in enumerate(self.asks):
            certain = schema is not None and ask.query.query_filter.test(schema) is not None
            for others in open_to_more if certain else ():
                if self.asks[others[0]].covers(ask):
                    others.append(number)
                    break
            else:
                joins.append([number])
                if certain:
                    open_to_more.append(joins[-1])
        return joins


def _only_of_domain(template: Template) -> bool:
    """Whether what is inserted is the same for every search key of an address."""
    return all(get(Parts("", "", "x.x.x.x.x.x.x.x.x")) for get in template.inserts)


def _format(templates: Sequence[tuple[Template, int]], quote: Callable[[str], str]) -> Format:
    """The texts one after the other, in ``(|...)`` when there are several."""
    holes: dict[tuple[int, Get], int] = {}
    out = []
    for template, key in templates:
        for piece in template.pieces:
            if isinstance(piece, str):
                out.append(piece.replace("{", "{{").replace("}", "}}"))
            else:
                out.append(f"{{{holes.setdefault((key, piece), len(holes))}}}")
    text = "".join(out)
    return Format(f"(|{text})" if len(templates) > 1 else text, tuple(holes), quote)


def _sharer(ask: Ask, first: Ask, schema: Schema) -> Sharer | None:
    """What shares out the entries of a search at the base of ``first``; None where only the server can."""
    query, widest = ask.query, first.query
    test = query.query_filter.test(schema)
    if test is None:
        return None
    elsewhere = (query.search_base.text, query.scope) != (widest.search_base.text, widest.scope)
    base = _format([(query.search_base, ask.key)], dn.quote) if elsewhere else None
    return Sharer(test, ask.key, query.scope, base, schema)
