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
        query = self._first = first.query
        self._base = _format([(query.search_base, first.key)], dn.quote)
        self.joint = len(asks) > 1
        # Which entries count is decided here, so the server need not be asked about more than the key.
        texts = [(_filter_text(known[ask].query, joint=self.joint), known[ask].key) for ask in asks]
        self._filter = _format([(Template(text), key) for text, key in dict.fromkeys(texts)], filter.quote)
        self._scope = query.scope
        self._attributes = attributes or NO_ATTRIBUTES
        self._schema = schema
        self._tests: dict[tuple[str, int], tuple[Test, list[tuple[int, Test, Ask | None]]]] = {}
        """By what they have in common: a test, and for each ask its place, the rest, and itself if it is elsewhere."""
        self.certain = schema is not None and all(
            self._add(place, known[ask], schema) for place, ask in enumerate(asks)
        )
        """Whether the schema decides which entry answers which ask."""
        # A base that is missing, or hidden, says nothing about what stands below it.
        elsewhere = any(ask for _, asks_here in self._tests.values() for _, _, ask in asks_here)
        self._base_exists = not query.search_base.dynamic or elsewhere

    def _add(self, place: int, ask: Ask, schema: Schema) -> bool:
        query, first = ask.query, self._first
        tests = query.query_filter.tests(schema)
        if tests is None:
            return False
        elsewhere = (query.search_base.text, query.scope) != (first.search_base.text, first.scope)
        common = query.query_filter.essence(), ask.key
        asks = self._tests.setdefault(common, (tests[0], []))[1]
        asks.append((place, tests[1], ask if elsewhere else None))
        return True

    def search(self, keys: Sequence[Parts]) -> Search:
        """The search for these search keys."""
        return Search(
            self._base.fill(keys), self._scope, self._filter.fill(keys), self._attributes, ENTRY_LIMIT,
            self._base_exists,
        )  # fmt: skip

    def place(self, keys: Sequence[Parts]) -> object:
        """Where that search is made, and what it asks for: where these are the same, the filters can be joined."""
        return self._base.fill(keys), self._scope, self._attributes, self._base_exists

    def verdicts(self, entry: Entry, keys: Sequence[Parts]) -> list[Verdict]:
        """For each ask, whether the entry answers it."""
        assert self._schema is not None
        shown = Shown(entry, self._schema)
        found: list[Verdict] = [False] * len(self.asks)
        for (_, key), (test, asks) in self._tests.items():
            common = test(shown, keys[key])
            if common is False:
                continue
            for place, rest, elsewhere in asks:
                verdict = rest(shown, keys[key])
                if verdict is not False and elsewhere is not None:
                    within = _within(entry.dn, elsewhere, keys[key], self._schema)
                    verdict = verdict if within else within
                found[place] = verdict if common or verdict is False else None
        return found


def share_out(
    entries: list[Entry], searches: Sequence[tuple[JoinedSearch, Sequence[Parts]]]
) -> list[list[list[Entry]]] | None:
    """The entries of each ask of each of the ``searches`` that went out as one; None when that is not certain.

    An entry may answer none: the filters sent are wider than the asks (``FilterTemplate.essence``).
    """
    shares: list[list[list[Entry]]] = [[[] for _ in joined.asks] for joined, _ in searches]
    flat = [share for of_search in shares for share in of_search]
    for entry in entries:
        verdicts = [verdict for joined, keys in searches for verdict in joined.verdicts(entry, keys)]
        if None in verdicts:
            return None
        for share, verdict in zip(flat, verdicts, strict=True):
            if verdict:
                share.append(entry)
    return shares


class Plan:
    """The searches for keys of one shape. ``steps`` are those of each map, in the order of precedence."""

    def __init__(self, ways: Sequence[Sequence[tuple[Query, int]]], schema: Schema | None):
        self._schema = schema
        wanted = frozenset[str]().union(*(query.attributes for way in ways for query, _ in way))
        # So that the entries of each search can answer all the maps.
        attributes = tuple(sorted(wanted))
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

    def _certain(self, ask: Ask) -> bool:
        return self._schema is not None and ask.query.query_filter.tests(self._schema) is not None

    def _joins(self) -> list[list[int]]:
        """The asks that go out together, each with the first that can take it."""
        joins: list[list[int]] = []
        for number, ask in enumerate(self.asks):
            for others in joins if self._certain(ask) else ():
                first = self.asks[others[0]]
                if first.covers(ask) and self._certain(first):
                    others.append(number)
                    break
            else:
                joins.append([number])
        return joins


def _filter_text(query: Query, *, joint: bool) -> str:
    return query.query_filter.essence() if joint else query.query_filter.text


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
