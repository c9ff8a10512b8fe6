"""Which keys an entry answers, or could answer: the maps read backwards, so that a change tells what it concerns.

For each query: the key stands in its filter (``(mail=%s)``), then the values of that attribute are the keys, where the
entry stands below the query's search base for them; or only in its search base (``o=%s,o=hosting``), then the DN tells.
What can be told of neither concerns every key of the map (``Named.all_keys``), as do filters that cut the key up
(``(uid=%u)``) or compare by anything but equality.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vmaild.lookup import Scope
from vmaild.tables import dn
from vmaild.tables.dn import Dn, Rdn
from vmaild.tables.filter import fold
from vmaild.tables.filter_tree import Item, Node, parse
from vmaild.tables.query import Query
from vmaild.tables.table import Group
from vmaild.tables.template import Template

_WHOLE = ("%s", "%S")
_DOMAIN = ("%d", "%D")


class Named(NamedTuple):
    """What an entry names in one group of maps: keys as they are searched for, and domains as a whole.

    ``places`` are the domains in whose place it stands.
    """

    keys: frozenset[str]
    domains: frozenset[str]
    all_keys: bool
    places: frozenset[str] = frozenset()


class _Base(NamedTuple):
    """A search base as a pattern: its RDNs, and which of them is the whole key (``%s``) or its domain (``%d``).

    ``readable`` is false when it cannot be read backwards.
    """

    rdns: Dn
    whole: int | None
    domain: int | None
    readable: bool
    fixed: int = 0
    """From this RDN on the base is the same for all keys."""

    def bound(self, name: Dn, scope: Scope) -> tuple[bool, str | None, str | None]:
        """Whether an entry of that DN can stand in the scope, and the whole key or domain that the DN tells."""
        depth = len(name) - len(self.rdns)
        if depth < 0 or (scope is Scope.BASE and depth) or (scope is Scope.ONE and depth != 1):
            return False, None, None
        rdns = name[depth:]
        if rdns[self.fixed :] != self.rdns[self.fixed :]:
            return False, None, None
        found: list[str | None] = [None, None]
        for place in range(self.fixed):
            if place in (self.whole, self.domain):
                value = _value(rdns[place], self.rdns[place][0][0])
                if value is None:
                    return False, None, None
                found[0 if place == self.whole else 1] = value
            elif self.rdns[place] != rdns[place]:
                return False, None, None
        return True, found[0], found[1]


class Place(NamedTuple):
    """Where the entries of a domain stand, by a search base."""

    base: _Base

    def domain(self, name: Dn) -> str | None:
        """The domain whose entries can stand at the DN ``name`` and below it, if that tells one."""
        _, whole, domain = self.base.bound(name, Scope.SUB)
        return domain or (whole.rpartition("@")[2] if whole else None)


class Naming:
    """What entries name in one group."""

    def __init__(self, group: Group) -> None:
        rules = [_Rule(query) for query in group.queries]
        self._rules = list({rule.essence: rule for rule in rules}.values())

    def of(self, name: str | Dn, attributes: Mapping[str, tuple[bytes, ...]]) -> Named:
        """What the entry of the DN ``name`` names; ``attributes`` by lower-case name, raw values."""
        keys: set[str] = set()
        domains: set[str] = set()
        places: set[str] = set()
        try:
            rdns = dn.parse(name) if isinstance(name, str) else name
        except ValueError:
            return Named(frozenset(), frozenset(), all_keys=True)
        all_keys = False
        for rule in self._rules:
            all_keys = rule.add(rdns, attributes, keys, domains, places) or all_keys
        return Named(frozenset(keys), frozenset(domains), all_keys, frozenset(places))

    @property
    def places(self) -> frozenset[Place]:
        """Where the entries of domains stand."""
        return frozenset(Place(rule.base) for rule in self._rules)

    def within(self, name: str) -> frozenset[str] | None:
        """The domains of all that an entry of the DN ``name`` can name, whatever it has; None when it may be any."""
        try:
            rdns = dn.parse(name)
        except ValueError:
            return None
        named = [domain for rule in self._rules if (domain := rule.named_within(rdns)) is not None]
        return None if "" in named else frozenset(named)


class _Rule:
    """One query, read backwards. ``_attributes`` have the key; empty when it is in the search base only."""

    def __init__(self, query: Query) -> None:
        self._scope = query.scope
        self._localparts = query.localpart
        self.base = _base(query.search_base)
        keyed = _keyed(parse(query.query_filter.text))
        self._attributes = keyed or frozenset()
        self._readable = keyed is not None and bool(self.base.readable or keyed)
        self.essence = self._scope, self._localparts, self.base, self._attributes, self._readable
        """What tells it from other queries that name the same."""

    def named_within(self, name: Dn) -> str | None:
        """The domain of all that an entry of this DN can name, empty for any; None when it names nothing."""
        within, whole, domain = self.base.bound(name, self._scope) if self.base.readable else (True, None, None)
        if not within:
            return None
        return domain or (whole.rpartition("@")[2] if whole else "") if self._readable else ""

    def add(
        self,
        name: Dn,
        attributes: Mapping[str, tuple[bytes, ...]],
        keys: set[str],
        domains: set[str],
        places: set[str],
    ) -> bool:
        """Add what the entry names by this query; True when that may be any key."""
        within, whole, domain = self.base.bound(name, self._scope) if self.base.readable else (True, None, None)
        if domain or whole:
            places.add(domain or (whole or "").rpartition("@")[2])
        if not within:
            return False
        if not self._readable:
            return True
        if self._attributes:
            named = _values(attributes, self._attributes)
            if domain is not None:
                named = (key for key in named if key.rpartition("@")[2] == domain)
            elif whole is not None:
                named = (key for key in named if key == whole)
            keys.update(named)
        elif whole is not None:
            keys.add(whole)
        elif domain is not None and self._localparts:
            keys.update(f"{localpart}@{domain}" for localpart in self._localparts)
        elif domain is not None:
            domains.add(domain)
        else:
            return True
        return False


def _values(attributes: Mapping[str, tuple[bytes, ...]], names: frozenset[str]) -> Iterable[str]:
    for description, values in attributes.items():
        if description in names or (";" in description and description.partition(";")[0] in names):
            yield from map(fold, values)


def _keyed(node: Node) -> frozenset[str] | None:
    """The attributes of which one has the key where the filter matches; empty for a filter without the key.

    None when that cannot be told.
    """
    if isinstance(node, Item):
        if node.value in _WHOLE and node.operator == "":
            return frozenset((node.attribute,))
        return None if "%" in node.value.replace("%%", "") else frozenset()
    parts = [_keyed(part) for part in node.parts]
    if node.operator == "&":
        return next((part for part in parts if part), None if None in parts else frozenset())
    if node.operator == "!" or None in parts or len({bool(part) for part in parts}) > 1:
        return frozenset() if not any(parts) and None not in parts else None
    return frozenset().union(*(part for part in parts if part))


def _base(template: Template) -> _Base:
    unreadable = _Base((), None, None, readable=False)
    try:
        rdns = dn.parse(template.text)
    except ValueError:
        return unreadable
    places: dict[str, int] = {}
    for place, rdn in enumerate(rdns):
        for _, value in rdn:
            if "%" not in value:
                continue
            if len(rdn) > 1 or value not in (*_WHOLE, *_DOMAIN) or value in places:
                return unreadable
            places[value] = place
    fixed = max(places.values(), default=-1) + 1
    return _Base(rdns, places.get("%s"), places.get("%d"), readable=True, fixed=fixed)


def _value(rdn: Rdn, attribute: str) -> str | None:
    return next((value for name, value in rdn if name == attribute), None)
