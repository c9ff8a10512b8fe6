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
from vmaild.tables.filter import Shown, Test, Verdict
from vmaild.tables.query import Query
from vmaild.tables.schema import Schema
from vmaild.tables.template import Get, Parts, Template

ENTRY_LIMIT = 1000
"""An answer about one address with more entries than this is a mistake in the directory or in a filter. It bounds
what one lookup may hold in memory; ldap_table(5)'s own default is no limit."""

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
        if self.query.scope is not Scope.SUB or not base.dynamic:
            return False
        return inner.text.endswith(f",{base.text}")


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


class JoinedSearch:
    """One search for one or more asks, whose places in the plan are ``asks``."""

    def __init__(self, asks: tuple[int, ...], known: Sequence[Ask], attributes: tuple[str, ...], schema: Schema | None):
        self.asks = asks
        first = known[asks[0]]
        query = first.query
        self._base = _format([(query.search_base, first.key)], dn.quote)
        wanted = list(dict.fromkeys((known[ask].query.query_filter.template, known[ask].key) for ask in asks))
        self._filter = _format(wanted, filter.quote)
        self._scope = query.scope
        self._attributes = attributes or NO_ATTRIBUTES
        self.joint = len(asks) > 1
        self._schema = schema
        self._tests: list[tuple[Test, Ask, bool]] = []
        for ask in map(known.__getitem__, asks):
            test = ask.query.query_filter.test(schema) if schema is not None else None
            if test is not None:
                elsewhere = (ask.query.search_base.text, ask.query.scope) != (query.search_base.text, query.scope)
                self._tests.append((test, ask, elsewhere))
        self.certain = len(self._tests) == len(asks)
        """Whether the schema decides which entry answers which ask."""
        # A base that is missing, or hidden, says nothing about what stands below it.
        self._base_exists = not query.search_base.dynamic or any(elsewhere for _, _, elsewhere in self._tests)

    def search(self, keys: Sequence[Parts]) -> Search:
        """The search for these search keys."""
        return Search(
            self._base.fill(keys), self._scope, self._filter.fill(keys), self._attributes, ENTRY_LIMIT,
            self._base_exists,
        )  # fmt: skip

    def place(self, keys: Sequence[Parts]) -> tuple[str, Scope]:
        """Where that search is made."""
        return self._base.fill(keys), self._scope

    def verdicts(self, entry: Entry, keys: Sequence[Parts]) -> list[Verdict]:
        """For each ask, whether the entry answers it."""
        assert self._schema is not None
        shown = Shown(entry, self._schema)
        found = []
        for test, ask, elsewhere in self._tests:
            verdict = test(shown, keys[ask.key])
            if elsewhere and verdict is not False:
                within = _within(entry.dn, ask, keys[ask.key], self._schema)
                verdict = verdict if within else within
            found.append(verdict)
        return found


def share_out(
    entries: list[Entry], searches: Sequence[tuple[JoinedSearch, Sequence[Parts]]]
) -> list[list[list[Entry]]] | None:
    """The entries of each ask of each of the ``searches`` that went out as one; None when that is not certain.

    The server returned an entry because it answers at least one ask: where all others are excluded, it answers the one
    that is left.
    """
    shares: list[list[list[Entry]]] = [[[] for _ in joined.asks] for joined, _ in searches]
    flat = [share for of_search in shares for share in of_search]
    for entry in entries:
        verdicts = [verdict for joined, keys in searches for verdict in joined.verdicts(entry, keys)]
        possible = [number for number, verdict in enumerate(verdicts) if verdict is not False]
        if not possible or (len(possible) > 1 and None in verdicts):
            return None
        for number in possible:
            flat[number].append(entry)
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
        joins: list[list[int]] = []
        for number, ask in enumerate(self.asks):
            certain = self._schema is not None and ask.query.query_filter.test(self._schema) is not None
            for others in joins if certain else ():
                first = self.asks[others[0]]
                if first.covers(ask) and first.query.query_filter.test(self._schema) is not None:  # type: ignore[arg-type]
                    others.append(number)
                    break
            else:
                joins.append([number])
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


def _within(entry: str, ask: Ask, key: Parts, schema: Schema) -> Verdict:
    """Whether the DN ``entry`` stands within the ask's own base and scope; None when the text does not tell."""
    base = _format([(ask.query.search_base, 0)], dn.quote).fill([key])
    inner, outer = dn.canonical(entry, schema), dn.canonical(base, schema)
    if inner is None or outer is None:
        return None
    deeper = len(inner) - len(outer)
    return dn.under(inner, outer) and (ask.query.scope is Scope.SUB or deeper == (ask.query.scope is Scope.ONE))
