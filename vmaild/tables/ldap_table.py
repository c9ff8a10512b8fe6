"""A map as ldap_table(5) defines it: from a key to searches, from entries to the result. No I/O.

``Table.lookup(key)`` is a generator: it yields a ``Search``, is sent the entries that it brought, and returns an
``Outcome``. Whoever drives it does the waiting.

The key becomes search keys, most specific first; each search key with each query of the map is a plan
(``vmaild.tables.plan``), and the first plan that has a result answers. A query with an empty result_attribute
answers that the map has nothing for this key: that is how a mailbox keeps a catch-all alias away. ``learns`` names
tables whose plans go into the same search; what it says about them is in ``Outcome.learnt``.

Differences from ldap_table(5): a map may have several queries; a value is returned once however often it occurs; a
value with a control character, or that is not UTF-8, is an error.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vmaild import lookup
from vmaild.errors import DataError
from vmaild.lookup import Entry, Reply, Search
from vmaild.tables import address, dn
from vmaild.tables.guard import check_mailbox
from vmaild.tables.plan import Ask, Group, Query
from vmaild.tables.results import collect, is_url, member_search
from vmaild.tables.template import Parts

Steps = Generator[Search, list[Entry], "Outcome"]

# Members of one role or list that are looked up in one search; more are asked for one by one. A filter of this many
# addresses stays below 64 KiB.
MEMBERS_JOINED = 50


class Outcome(NamedTuple):
    """What a lookup found.

    ``learnt`` holds (map, folded key, reply) of other lookups that the same entries answer. ``warnings`` are for the
    log: what was skipped, and why.
    """

    reply: Reply
    learnt: tuple[tuple[str, str, Reply], ...] = ()
    warnings: tuple[str, ...] = ()


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

    @property
    def key_search(self) -> tuple[str, str, bool]:
        """What decides which search keys a key has."""
        return self.keys, self.recipient_delimiter, self.owner_request_special


class Table:
    """A map: its name, its queries in order, its settings, and the tables that learn from its searches."""

    def __init__(self, name: str, queries: Sequence[Query], settings: TableSettings) -> None:
        self.name = name
        self.queries = tuple(queries)
        self.settings = settings
        self.learn(())

    def learn(self, others: Sequence[Table]) -> None:
        """Let the searches of this table answer ``others`` too."""
        self._joint = _Joint((self, *others))

    def lookup(self, key: str) -> Steps:
        """Look up a folded key. Raises DataError when the entries found must not be used."""
        run = _Run(self._joint)
        run.plan(key)
        reply = yield from run.answer(self, key)
        return Outcome(reply, tuple(run.learnt(self, key)), tuple(run.warnings))

    def search_keys(self, key: str) -> list[address.SearchKey]:
        """What to look for, most specific first."""
        settings = self.settings
        if settings.keys == "address":
            return address.search_keys(
                key, settings.recipient_delimiter, owner_request_special=settings.owner_request_special
            )
        if not key or (settings.keys == "domain" and "@" in key):
            return []
        return [address.SearchKey(key)]

    def reply(self, plan: _Plan, entries: list[Entry], values: list[str]) -> Reply | None:
        """The reply that the values found make, None when there are none. Raises DataError for unsafe ones."""
        if self.settings.mailbox_guard:
            check_mailbox(values, plan.ask.key.domain, entries[0].dn)
        if not values:
            return None
        value = ",".join(values)
        if plan.extension and self.settings.propagate_extension:
            value = address.add_extension(value, plan.extension)
        return lookup.found(value.encode())


class _Joint:
    """What tables that are answered by the same searches have in common, worked out once."""

    def __init__(self, tables: tuple[Table, ...]) -> None:
        queries = [query for table in tables for query in table.queries]
        numbers = {question: number for number, question in enumerate(dict.fromkeys(q.question for q in queries))}
        self.questions = len(numbers)
        self.tables = [(table, [(q, q.selective, numbers[q.question]) for q in table.queries]) for table in tables]
        """Each table with its queries, and whether they are selective; those that ask the same have the same number."""
        self.attributes = tuple(sorted(frozenset().union(*(query.attributes for query in queries))))
        """What every search asks for, so that its entries can answer all the tables."""


class _Plan(NamedTuple):
    """A query for one search key. ``extension`` is what the search key left out."""

    query: Query
    ask: Ask
    extension: str


class _Run:
    """One lookup under way: what was planned, asked and found."""

    def __init__(self, joint: _Joint) -> None:
        self.warnings: list[str] = []
        self._joint = joint
        self._plans: dict[tuple[Table, str], list[_Plan]] = {}
        self._groups: list[Group] = []
        self._group_of: dict[Ask, Group] = {}

    def plan(self, key: str) -> None:
        """Plan ``key`` for every table, in the order of precedence, each ask into the first group it can share."""
        ways: dict[tuple[str, str, bool], list[tuple[Parts, str, list[Ask | None]]]] = {}
        for table, queries in self._joint.tables:
            if (table, key) in self._plans:
                continue
            way = table.settings.key_search
            if way not in ways:
                unasked: list[Ask | None] = [None] * self._joint.questions
                ways[way] = [(Parts.of(k.text), k.extension, unasked[:]) for k in table.search_keys(key)]
            plans = self._plans[table, key] = []
            for parts, extension, asks in ways[way]:
                for query, selective, number in queries:
                    if selective and not query.accepts(parts):
                        continue
                    ask = asks[number]
                    if ask is None and (ask := query.ask(parts)) is not None:
                        asks[number] = ask
                        self._place(ask)
                    if ask is not None:
                        plans.append(_Plan(query, ask, extension))

    def _place(self, ask: Ask) -> None:
        for group in self._groups:
            if group.admits(ask):
                group.asks.append(ask)
                self._group_of[ask] = group
                return
        self._group_of[ask] = group = Group([ask])
        self._groups.append(group)

    def _asked(self, plan: _Plan) -> Generator[Search, list[Entry], None]:
        """Make the search of the plan's group."""
        group = self._group_of[plan.ask]
        if not group.receive((yield group.search(self._joint.attributes))):
            for ask in group.asks:
                self._group_of[ask] = Group([ask])
            yield from self._asked(plan)

    def _entries(self, plan: _Plan) -> list[Entry] | None:
        """The entries that answer ``plan``; None when its group has not been asked for."""
        answers = self._group_of[plan.ask].answers
        if answers is None:
            return None
        found = answers[plan.ask]
        if plan.query.size_limit and len(found) > plan.query.size_limit:
            raise DataError(f"size_limit of {plan.query.size_limit} exceeded")
        return found

    def answer(self, table: Table, key: str) -> Generator[Search, list[Entry], Reply]:
        """The reply of ``table`` for ``key``: the first plan with a result decides."""
        for plan in self._plans[table, key]:
            entries = self._entries(plan)
            if entries is None:
                yield from self._asked(plan)
                entries = self._entries(plan)
            if not entries:
                continue
            if plan.query.expansion.is_empty:
                return lookup.NO_RESULT
            if table.settings.unique and len(entries) > 1:
                raise DataError(f"{len(entries)} entries for one key: {' and '.join(e.dn for e in entries)}")
            values = yield from self._values(table, plan, entries)
            if reply := table.reply(plan, entries, values):
                return reply
        return lookup.NOT_FOUND

    def _values(self, table: Table, plan: _Plan, entries: list[Entry]) -> Generator[Search, list[Entry], list[str]]:
        """The values of ``entries``, with those of the DNs and URLs that they name."""
        expansion = plan.query.expansion
        known: dict[str, list[Entry]] = {}
        if expansion.special_result_attribute:
            known = yield from self._members(table, plan, entries)
        collecting = collect(expansion, plan.ask.key, entries)
        try:
            member = next(collecting)
            while True:
                named = known.get(member)
                if named is None and (search := member_search(expansion, member)):
                    named = yield search
                if not named and not is_url(member):
                    self.warnings.append(f"{entries[0].dn}: {member} not found, skipped")
                member = collecting.send(named)
        except StopIteration as stop:
            values: list[str] = stop.value
            return values

    def _members(
        self, table: Table, plan: _Plan, entries: list[Entry]
    ) -> Generator[Search, list[Entry], dict[str, list[Entry]]]:
        """The members that an address search brings: all of a domain at once, and learnt on the way.

        A member whose RDN is an address is looked up as that address, and counts when an entry of the answer has
        its DN. Whatever is missing here is asked for by its DN later.
        """
        named = [member for entry in entries for member in plan.query.expansion.followed(entry)]
        asking: list[tuple[str, _Plan]] = []
        for member in named[:MEMBERS_JOINED]:
            if rdn := _address_in_rdn(member):
                self.plan(rdn)
                asking += [(member, way) for way in self._plans[table, rdn] if way.ask.contains(member)]
        known: dict[str, list[Entry]] = {}
        for member, way in asking:
            if member not in known:
                if self._entries(way) is None:
                    yield from self._asked(way)
                if same := [entry for entry in self._entries(way) or [] if dn.same(entry.dn, member)]:
                    known[member] = same
        return known

    def learnt(self, table: Table, key: str) -> Iterator[tuple[str, str, Reply]]:
        """What the entries at hand say about other maps and keys, as far as that needs no further search."""
        for other, other_key in list(self._plans):
            if (other, other_key) != (table, key):
                answering = self.answer(other, other_key)
                try:
                    next(answering)
                except StopIteration as stop:
                    yield other.name, other_key, stop.value
                except DataError:
                    continue
                answering.close()


def _address_in_rdn(member: str) -> str | None:
    """The value of a DN's own RDN when that is an address."""
    if is_url(member):
        return None
    try:
        rdns = dn.parse(member)
    except ValueError:
        return None
    value = rdns[0][0][1] if rdns and len(rdns[0]) == 1 else ""
    return value if address.split(value) else None
