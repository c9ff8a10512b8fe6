"""A map as ldap_table(5) defines it, and maps that are answered by the same searches.

A ``Table`` has queries in their order and settings; a ``Group`` has the tables that share a record, since their queries
ask for the same keys: whatever is found for one of them is known for all. Nothing here is done for a key: see
``vmaild.tables.key_lookup``.

Differences from ldap_table(5): a map may have several queries; a query with an empty result_attribute answers that the
map has nothing for this key, which is how a mailbox keeps a catch-all alias away; a value is returned once however
often it occurs; a value with a control character, or that is not UTF-8, is an error.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from vmaild.tables import address, keys_of_parameters
from vmaild.tables.filter import FilterTemplate
from vmaild.tables.plan import Plan
from vmaild.tables.query import Query
from vmaild.tables.schema import Schema
from vmaild.tables.template import Parts, Template

PLANS = 1000
"""Plans remembered; keys of a site have some ten shapes. Past it all are forgotten, and made again when needed."""


KEYS = ("address", "domain", "exact", "transport", "access", "local")
"""``address``: full, without extension, @domain. ``domain``: a bare domain. ``exact``: the key as it is. Others:
``vmaild.tables.keys_of_parameters``."""


@dataclass(frozen=True, slots=True)
class TableSettings:
    """How a map treats its keys and results, apart from its queries."""

    keys: str = "address"
    """Which search keys a key has, of ``KEYS``."""
    recipient_delimiter: str = ""
    owner_request_special: bool = True
    propagate_extension: bool = False
    """Put an extension that the search left out behind each address of the result."""
    unique: bool = False
    """Two entries for one key are an error: mail is never filed by guess."""
    quoted_only: bool = False
    """A localpart that needs quotes is searched for with them only, as Postfix does for alias and canonical maps."""
    local_domains: frozenset[str] = frozenset()
    """Of ``local``: the domains whose users are searched for without their domain too."""
    mailbox_guard: bool = False
    """A value that is no safe mailbox path below the key's domain is an error (``vmaild.tables.results``)."""


class Table:
    """A map: its name, its queries in order, and its settings."""

    def __init__(self, name: str, queries: Sequence[Query], settings: TableSettings) -> None:
        self.name = name
        self.queries = tuple(queries)
        self.settings = settings


class Group:
    """Tables with the same search keys, whose answers for a key make one record.

    ``plans`` are the searches for keys of each shape on a server with the ``schema``; None: it is not known, and
    nothing is joined. A shape is all that a plan depends on: which of the parts that are needed there are, and which
    queries accept them. ``search_keys`` is what to search for, most specific first.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tuple(tables)
        # That of its first query, whose schema tells what can be joined.
        self.directory = next((query.directory for table in tables for query in table.queries), 0)
        self.search_keys = _search_keys(self.tables[0].settings)
        self.plans: dict[object, Plan] = {}
        self.also: tuple[str, ...] = ()
        """What every search asks for, lower case, that of the maps included; empty for no more than they need."""
        self.schema: Schema | None = None
        queries = [query for table in tables for query in table.queries]
        # What the shape of a key is made of, beside which parts it has.
        self.localparts = frozenset[str]().union(*(query.localpart for query in queries))
        self.domains = frozenset[str]().union(*(query.domain | query.excluded for query in queries))
        self.domain_tables = {one: _alone(one) for query in queries for one in query.domain_tables}
        """What is asked for the domain of a key (``Query.domain_tables``)."""
        self.labels = tuple(dict.fromkeys(get for query in queries for get in query.labels))

    @property
    def meaning(self) -> tuple[object, ...]:
        """Equal for groups whose maps have the same names and give the same answers from the same entries."""
        return tuple((table.name, _values(table.settings), tuple(map(_values, table.queries))) for table in self.tables)

    @property
    def queries(self) -> list[Query]:
        """All that is asked for its maps, ``domain_tables`` included."""
        return [query for table in self.tables for query in table.queries] + list(self.domain_tables)

    @property
    def attributes(self) -> frozenset[str]:
        """Every attribute that its maps use, lower case."""
        return frozenset[str]().union(*(query.attributes for query in self.queries))

    def ask_also(self, attributes: frozenset[str]) -> None:
        """Ask for these attributes of every entry from now on, whatever the maps need of it."""
        self.also = tuple(sorted(attributes | self.attributes))
        self.plans.clear()
        for group in self.domain_tables.values():
            group.ask_also(attributes)

    def use(self, schema: Schema | None) -> None:
        """Make plans for a server with this schema from now on."""
        self.plans.clear()
        self.schema = schema

    def plan(self, shape: object, keys: Sequence[Parts]) -> Plan:
        """The searches for these search keys, kept for those of the same shape."""
        if len(self.plans) >= PLANS:
            self.plans.clear()
        ways = [
            [
                (query, number)
                for number, key in enumerate(keys)
                for query in table.queries
                if query.accepts(key) and query.can_ask(key)
            ]
            for table in self.tables
        ]
        plan = self.plans[shape] = Plan(ways, self.schema, self.also)
        return plan


def _alone(query: Query) -> Group:
    return Group([Table("domain", [query], TableSettings(keys="exact"))])


def _values(thing: Any) -> object:
    """What a setting says, field by field; templates are told by their text."""
    if isinstance(thing, Template | FilterTemplate):
        return thing.text
    if is_dataclass(thing):
        return tuple((field.name, _values(getattr(thing, field.name))) for field in fields(thing) if field.init)
    if isinstance(thing, frozenset):
        return tuple(sorted(thing))
    return tuple(map(_values, thing)) if isinstance(thing, tuple) else thing


def _search_keys(settings: TableSettings) -> Callable[[str], list[Parts]]:
    if settings.keys == "domain":
        return keys_of_parameters.domain
    if settings.keys == "exact":
        return keys_of_parameters.exact
    splitting: dict[str, Any] = {
        "delimiters": settings.recipient_delimiter,
        "owner_request_special": settings.owner_request_special,
    }
    if settings.keys == "address":
        return functools.partial(address.search_keys, **splitting, quoted_only=settings.quoted_only)
    if settings.keys == "local":
        splitting |= {"quoted_only": settings.quoted_only, "domains": settings.local_domains}
        return functools.partial(keys_of_parameters.local, **splitting)
    return functools.partial(getattr(keys_of_parameters, settings.keys), **splitting)
