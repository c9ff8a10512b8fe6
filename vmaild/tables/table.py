"""A map as ldap_table(5) defines it, and maps that are answered by the same searches.

A ``Table`` has queries in their order and settings; a ``Group`` has the tables that share a record, since their queries
ask for the same keys: whatever is found for one of them is known for all. Nothing here is done for a key: see
``vmaild.tables.key_lookup``.

Differences from ldap_table(5): a map may have several queries; a query with an empty result_attribute answers that the
map has nothing for this key, which is how a mailbox keeps a catch-all alias away; a value is returned once however
often it occurs; a value with a control character, or that is not UTF-8, is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vmaild import lookup
from vmaild.errors import DataError
from vmaild.lookup import Entry, Reply
from vmaild.tables import address
from vmaild.tables.guard import check_mailbox
from vmaild.tables.plan import Plan, Step
from vmaild.tables.query import Query
from vmaild.tables.schema import Schema
from vmaild.tables.template import Parts

PLANS = 1000
"""Plans remembered; keys of a site have some ten shapes. Past it all are forgotten, and made again as they come."""


@dataclass(frozen=True, slots=True)
class TableSettings:
    """How a map treats its keys and results, apart from its queries."""

    keys: str = "address"
    """``address``: full, without extension, @domain. ``domain``: a bare domain. ``exact``: the key as it is."""
    recipient_delimiter: str = ""
    owner_request_special: bool = True
    propagate_extension: bool = False
    """Put an extension that the search left out behind each address of the result."""
    unique: bool = False
    """Two entries for one key are an error: mail is never filed by guess."""
    mailbox_guard: bool = False
    """A value that is no safe mailbox path below the key's domain is an error (``vmaild.tables.guard``)."""


class Table:
    """A map: its name, its queries in order, and its settings."""

    def __init__(self, name: str, queries: Sequence[Query], settings: TableSettings) -> None:
        self.name = name
        self.queries = tuple(queries)
        self.settings = settings

    def reply(self, step: Step, key: Parts, entries: list[Entry], values: list[str]) -> Reply | None:
        """The reply that the values found make, None when there are none. Raises DataError for unsafe ones."""
        settings = self.settings
        if settings.mailbox_guard:
            check_mailbox(values, key.domain, entries[0].dn)
        if not values:
            if step.query.require_result:
                raise DataError(f"{entries[0].dn}: no value that can be read of what map {self.name} returns")
            return None
        value = values[0] if len(values) == 1 else ",".join(values)
        if key.extension and settings.propagate_extension:
            value = address.add_extension(value, key.extension)
        return lookup.found(value.encode())


class Group:
    """Tables with the same search keys, whose answers for a key make one record."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tuple(tables)
        self.settings = self.tables[0].settings
        queries = [query for table in tables for query in table.queries]
        self._localparts = frozenset[str]().union(*(query.localpart for query in queries))
        self._domains = frozenset[str]().union(*(query.domain for query in queries))
        self._parts = tuple(dict.fromkeys(get for query in queries for get in query.parts))
        self._plans: dict[object, Plan] = {}
        self._schema: Schema | None = None

    def search_keys(self, key: str) -> list[Parts]:
        """What to look for, most specific first."""
        settings = self.settings
        if settings.keys == "address":
            return address.search_keys(
                key, settings.recipient_delimiter, owner_request_special=settings.owner_request_special
            )
        if not key or (settings.keys == "domain" and "@" in key):
            return []
        return [Parts.of(key)]

    def plan(self, keys: Sequence[Parts], schema: Schema | None) -> Plan:
        """The searches for these search keys on a server with this schema; None: unknown, so nothing is joined."""
        if schema is not self._schema:
            self._plans.clear()
            self._schema = schema
        shape = tuple([self._shape(key) for key in keys])
        plan = self._plans.get(shape)
        if plan is None:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            plan = self._plans[shape] = self._new_plan(keys)
        return plan

    def _shape(self, key: Parts) -> object:
        """All that the plan depends on: which of the parts that are needed there are, and which queries accept it."""
        _, localpart, domain, _ = key
        shape = (
            localpart in self._localparts and localpart,
            domain in self._domains and domain,
            not localpart,
            not domain,
        )
        return shape if not self._parts else (shape, *[not get(key) for get in self._parts])

    def _new_plan(self, keys: Sequence[Parts]) -> Plan:
        ways = [
            [
                (query, number)
                for number, key in enumerate(keys)
                for query in table.queries
                if query.accepts(key) and query.can_ask(key)
            ]
            for table in self.tables
        ]
        return Plan(ways, self._schema)
