"""Which searches a lookup needs, and how few: worked out once for all keys of the same shape.

A query asked for one search key is an ``Ask``; queries of several maps that ask the same share one. Asks join when the
search base of one contains that of the other and the server's schema makes certain which entry matches which filter
(``vmaild.tables.filter``): they go out as one search at the widest base, their filters joined by ``|``, and each ask
then picks its entries from the answer. Where an entry leaves a doubt, each ask is made by itself: the answer of a
joined search is always that of asking one after the other, but for the order of entries, which is the server's choice
(RFC 4511, 4.5.2) and can differ by filter.

Taken for granted, beside what ``filter`` does: what stands below a search base is in the same database or in one glued
to it, and is no subentry (RFC 3672), which only a search for that very entry would find.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vmaild.lookup import Entry, Scope, Search
from vmaild.tables import dn, filter
from vmaild.tables.dn import Dn
from vmaild.tables.matching import Shown, Test, Verdict
from vmaild.tables.query import MOST_ENTRIES, Query
from vmaild.tables.schema import OBJECT_CLASS, Schema
from vmaild.tables.template import Get, Parts, Template

_PLAIN = re.compile("[A-Za-z0-9._@-]*").fullmatch  # needs no quoting in a filter, nor in a DN

_DEPTHS = {Scope.BASE: 0, Scope.ONE: 1}
"""How far below the search base an entry stands, where the scope says so."""

CLASSES = 100
"""Sets of object classes for which a search remembers what they exclude."""

NO_KEY = Parts("", "", "")

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
        if self.query.where != other.query.where:
            return False
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
        parts = []
        for key, get in self.holes:
            part = get(keys[key])
            parts.append(part if _PLAIN(part) else quote(part))
        return self.text.format(*parts)


class Sharer(NamedTuple):
    """What tells whether an entry that passed the common test answers the ask at ``place`` of the search.

    ``base`` and ``scope`` are the ask's own, where these are not the search's.
    """

    place: int
    rest: Test
    base: Format | None
    scope: Scope

    def own_base(self, keys: Sequence[Parts], schema: Schema) -> Dn | None:
        """The ask's own base for these search keys; None when its text does not tell which entry that is."""
        return dn.canonical(self.base.fill(keys), schema) if self.base else None

    def within(self, entry: Entry, keys: Sequence[Parts], schema: Schema) -> Verdict:
        """Whether the entry stands within the ask's own base and scope; None when its DN does not tell."""
        name, base = dn.canonical(entry.dn, schema), self.own_base(keys, schema)
        if name is None or base is None:
            return None
        return dn.under(name, base) and (self.scope is Scope.SUB or len(name) - len(base) == _DEPTHS[self.scope])


class Shared(NamedTuple):
    """What asks have in common: the search key, the test, whether the classes of an entry decide the rest, and for
    which asks they do not exclude it."""

    key: int
    test: Test
    certain: bool
    sharers: list[Sharer]


class JoinedSearch:
    """One search for one or more asks, whose places in the plan are ``asks``."""

    def __init__(
        self,
        asks: tuple[int, ...],
        known: Sequence[Ask],
        attributes: tuple[str, ...],
        schema: Schema | None,
        also: tuple[str, ...] = (),
    ) -> None:
        self.asks = asks
        self.joint = len(asks) > 1
        first = self._first = known[asks[0]]
        query = first.query
        self._base = _format([(query.search_base, first.key)], dn.quote)
        # Which entries count is decided here, so that the server need be asked for no more than the key.
        texts = [(_filter_text(known[ask].query, joint=self.joint), known[ask].key) for ask in asks]
        self._filter = _format([(Template(text), key) for text, key in dict.fromkeys(texts)], filter.quote)
        self._scope = query.scope
        self._attributes = also or attributes or NO_ATTRIBUTES
        self._tests: dict[tuple[str, int], tuple[Test, list[Sharer]]] = {}
        """By what asks have in common: the test of that, and what decides for each of them."""
        self._by_classes: dict[tuple[bytes, ...] | None, list[Shared]] = {}
        self.elsewhere: list[Sharer] = []
        """Those with a base of their own."""
        self.certain = schema is not None and all(
            self._add(number, known[ask], schema) for number, ask in enumerate(asks)
        )
        """Whether the schema decides which entry answers which ask."""
        others = any(known[ask].query.search_base.text != query.search_base.text for ask in asks)
        # A base that is missing, or hidden, says nothing about what stands below it.
        self._base_exists = others or not query.search_base.dynamic
        # One entry is enough where all that is asked is whether there is one.
        exists = not self.joint and query.expansion.exists and not attributes
        most = 1 if exists else MOST_ENTRIES
        limits = (most, self._base_exists, query.ignore_referrals, exists, query.directory)
        self._rest = (self._attributes, *limits)

    def search(self, keys: Sequence[Parts]) -> Search:
        """The search for these search keys."""
        # Twice as fast as by the name of each.
        return Search._make((self._base.fill(keys), self._scope, self._filter.fill(keys), *self._rest))

    def place(self, keys: Sequence[Parts]) -> object:
        """Where that search is made, and what it asks for: where these are the same, the filters can be joined."""
        return self._base.fill(keys), self._scope, self._attributes, self._first.query.where

    def decides(self, keys: Sequence[Parts], schema: Schema) -> bool:
        """Whether each ask's own base is one for certain: a server refuses one that is malformed."""
        return all(sharer.own_base(keys, schema) is not None for sharer in self.elsewhere)

    def share(self, entry: Entry, keys: Sequence[Parts], schema: Schema, shares: Sequence[list[Entry]]) -> Verdict:
        """Add the entry to the ``shares`` of the asks that it answers; None when that is not certain.

        False when nothing that was sent can have brought it.
        """
        classes = entry.attributes.get(OBJECT_CLASS)
        groups = self._by_classes.get(classes) or self._of_classes(classes, schema)
        shown = Shown(entry, schema)
        brought = False
        for key, test, certain, sharers in groups:
            common = test(shown, keys[key])
            if common is False:
                continue
            brought = True
            for sharer in sharers:
                within = True if sharer.base is None else sharer.within(entry, keys, schema)
                if within is False:
                    continue
                if not (common and certain and within):
                    return None
                shares[sharer.place].append(entry)
        return brought

    def _of_classes(self, classes: tuple[bytes, ...] | None, schema: Schema) -> list[Shared]:
        """What entries with these values of objectClass may answer; kept, since a directory has few such sets."""
        shown = Shown(Entry("", {OBJECT_CLASS: classes} if classes else {}), schema)
        groups = []
        for (_, key), (test, sharers) in self._tests.items():
            verdicts = [(sharer, sharer.rest(shown, NO_KEY)) for sharer in sharers]
            possible = [sharer for sharer, verdict in verdicts if verdict is not False]
            groups.append(Shared(key, test, all(verdict is not None for _, verdict in verdicts), possible))
        if len(self._by_classes) >= CLASSES:
            self._by_classes.clear()
        self._by_classes[classes] = groups
        return groups

    def _add(self, place: int, ask: Ask, schema: Schema) -> bool:
        query, first = ask.query, self._first.query
        tests = query.query_filter.tests(schema)
        if tests is None:
            return False
        elsewhere = (query.search_base.text, query.scope) != (first.search_base.text, first.scope)
        base = _format([(query.search_base, ask.key)], dn.quote) if elsewhere else None
        sharers = self._tests.setdefault((query.query_filter.essence(), ask.key), (tests[0], []))[1]
        sharers.append(Sharer(place, tests[1], base, query.scope))
        if base is not None:
            self.elsewhere.append(sharers[-1])
        return True


def share_out(
    entries: list[Entry], searches: Sequence[tuple[JoinedSearch, Sequence[Parts]]], schema: Schema
) -> list[list[list[Entry]]] | None:
    """The entries of each ask of each of the ``searches`` that went out as one; None when that is not certain.

    An entry may answer none: the filters sent are wider than the asks (``FilterTemplate.essence``).
    """
    if not all(joined.decides(keys, schema) for joined, keys in searches if joined.elsewhere):
        return None
    shares: list[list[list[Entry]]] = [[[] for _ in joined.asks] for joined, _ in searches]
    for entry in entries:
        brought = False
        for (joined, keys), of_search in zip(searches, shares, strict=True):
            verdict = joined.share(entry, keys, schema, of_search)
            if verdict is None:
                return None
            brought = brought or verdict
        if not brought:
            return None
    return shares


class Plan:
    """The searches for keys of one shape. ``steps`` are those of each map, in the order of precedence.

    ``also`` is asked for instead of what the maps need, where it is not empty (``Group.also``).
    """

    def __init__(
        self, ways: Sequence[Sequence[tuple[Query, int]]], schema: Schema | None, also: tuple[str, ...] = ()
    ) -> None:
        self._schema = schema
        queries = [query for way in ways for query, _ in way]
        # A map by itself that only asks whether there is an entry need not see what it is.
        alone = all(query.expansion.exists for query in queries) and len({query.question for query in queries}) == 1
        wanted = frozenset[str]().union(*(query.attributes for query in queries if not alone))
        # So that the entries of each search can answer all the maps.
        attributes = tuple(sorted(wanted))
        self.asks: list[Ask] = []
        self._places: dict[object, int] = {}
        self.steps = [[Step(query, self._place(query, key), key) for query, key in way] for way in ways]
        self.joined: list[JoinedSearch] = []
        """For each ask, the search that it shares."""
        joins = self._joins()
        made = {id(asks): JoinedSearch(tuple(asks), self.asks, attributes, schema, also) for asks in joins}
        self.joined = [next(made[id(asks)] for asks in joins if ask in asks) for ask in range(len(self.asks))]
        self.single = [
            JoinedSearch((ask,), self.asks, attributes, schema, also) if self.joined[ask].joint else self.joined[ask]
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
            # The schema is that of the directory which is asked first.
            here = ask.query.directory == self.asks[0].query.directory
            certain = schema is not None and here and ask.query.query_filter.tests(schema) is not None
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


def _filter_text(query: Query, *, joint: bool) -> str:
    return query.query_filter.essence() if joint else query.query_filter.text
