"""One key looked up for the tables of a group: what to ask next, and what the answers make. No I/O.

``settle(table)`` returns what is known of that table's answer: the ``Reply``, the ``DataError`` that stands in its
place, or the ``Search`` that must be made first; then ``receive`` is handed what the search brought, and ``settle`` is
called again. The search keys come most specific first, with the queries of the table for each; the first that finds
something answers. One search often settles all the tables.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from vmaild import lookup
from vmaild.errors import DataError
from vmaild.lookup import Entry, Reply, Search, Status
from vmaild.tables import address, dn, filter
from vmaild.tables.members import Members, is_url
from vmaild.tables.plan import JoinedSearch, Step, share_out
from vmaild.tables.query import Query
from vmaild.tables.results import VALUE_LIMIT, check_mailbox, texts, values_of
from vmaild.tables.schema import OBJECT_CLASS, Schema
from vmaild.tables.table import Group, TableSettings
from vmaild.tables.template import Parts

MEMBERS_JOINED = 50
"""Members of one role or list that are looked up in one search; more are asked for one by one. A filter of this many
addresses stays below 64 KiB."""

OVERHEAD = 2000
"""Bytes that a lookup takes beside its entries."""

Settled = Reply | DataError | Search


class MadeFrom(NamedTuple):
    """What answers were made from: entries, the search keys that were tried, and names of what may come to be.

    ``dangling`` are DNs that name no entry, and URLs, of which nobody knows what they will find.
    """

    entries: list[Entry]
    tried: set[str]
    dangling: list[str]


class KeyLookup:
    """``key`` is folded; ``schema`` is that of the server which will be asked, None when it is not known."""

    __slots__ = ("_alone", "_asked", "_domains", "_ends", "_followed", "_found", "_keys", "_plan", "_settled", "exact",
                 "group", "key", "others", "schema", "warnings")  # fmt: skip

    def __init__(self, group: Group, key: str, schema: Schema | None) -> None:
        self.key = key
        self.others: list[KeyLookup] = []
        """Lookups of other keys that the same searches answered."""
        self.warnings: list[str] = []
        """For the log: what was skipped, and why."""
        self.exact = False
        """Whether an entry of the key itself was found, not only one of a catch-all or without the extension."""
        self.group = group
        self.schema = schema
        self._keys = keys = group.search_keys(key)
        if schema is not group.schema:
            group.use(schema)
        localparts, domains = group.localparts, group.domains
        shape: tuple[object, ...] = tuple(
            [
                (localpart in localparts and localpart, domain in domains and domain, not localpart, not domain)
                for _, localpart, domain, _ in keys
            ]
        )
        if group.labels:
            shape += tuple([not get(part) for part in keys for get in group.labels])
        self._plan = plan = group.plans.get(shape) or group.plan(shape, keys)
        self._found: list[list[Entry] | DataError | None] = [None] * len(plan.asks)
        self._settled: list[Reply | DataError | None] = [None] * len(group.tables)
        self._asked: JoinedSearch | _JoinedMembers | Members | KeyLookup | None = None
        self._domains: dict[tuple[Query, str], KeyLookup] = {}
        """What tables of domains were asked, and for which domain."""
        self._followed: dict[tuple[int, Step], _JoinedMembers | Members] = {}
        self._ends: list[Step | None] = [None] * len(group.tables)
        self._alone = False

    @property
    def joint(self) -> bool:
        """Whether the search last returned stands for several, so that its failure may be of one of them only."""
        asked = self._asked
        if isinstance(asked, JoinedSearch):
            return not self._alone and asked.joint
        return not (self._alone or isinstance(asked, Members | KeyLookup))

    @property
    def members(self) -> Members | None:
        """Where the search last returned is for one of many members: these can be searched for side by side."""
        asked = self._asked
        return asked if isinstance(asked, Members) else asked.members if isinstance(asked, KeyLookup) else None

    @property
    def weight(self) -> int:
        """About how many bytes of memory its entries take: they are kept as long as it may go on."""
        followed = [entries for one in self._followed.values() for entries in one.received.values()]
        found = [entries for entries in self._found if isinstance(entries, list)]
        own = sum(_weight(entry) for entries in (*found, *followed) for entry in entries)
        return OVERHEAD + own + sum(one.weight for one in self._domains.values())

    def settle(self, table: int) -> Settled:
        """What is known of the answer of the group's table at the place ``table``."""
        settled = self._settled[table]
        if settled is None:
            try:
                found = self._answer(table)
                if isinstance(found, Search):
                    return found
                settled = found
            except DataError as error:
                settled = error.with_traceback(None)
            self._settled[table] = settled
        return settled

    @property
    def search_keys(self) -> list[Parts]:
        """What is searched for, most specific first."""
        return self._keys

    def decided(self, table: int) -> Step | None:
        """The step whose entries made the table's answer, once it is settled; None where nothing was found."""
        for step in self._plan.steps[table]:
            entries = self._found[step.ask]
            if not entries:
                continue
            try:
                asked = not step.query.domain_tables or self._listed(step) is True
                if asked and self._answer_of(table, step, entries) is not None:
                    return step
            except DataError:
                return step
        return None

    def steps(self, table: int) -> list[tuple[Step, list[Entry] | DataError | None]]:
        """The steps of a table's lookup in their order, each with its entries; None: not asked."""
        return [(step, self._found[step.ask]) for step in self._plan.steps[table]]

    def receive(self, entries: list[Entry] | DataError) -> None:
        """Take what the search last returned by ``settle`` brought, or what is wrong with it."""
        asked = self._asked
        if isinstance(asked, KeyLookup):
            asked.receive(entries)
            return
        if isinstance(entries, DataError) and self.joint:
            # It is wrong with one of its queries perhaps, and the others can be answered.
            self.split()
            return
        if isinstance(asked, JoinedSearch):
            if asked.joint:
                self._share(asked, entries)
            else:
                self._found[asked.asks[0]] = entries
        elif isinstance(asked, Members):
            asked.receive(asked.needed, entries)
        elif asked is not None:
            assert not isinstance(entries, DataError)
            self._followed[asked.of] = self._members_of(asked.of[1], self._known_members(asked, entries))

    def _share(self, asked: JoinedSearch, entries: list[Entry] | DataError) -> None:
        assert not isinstance(entries, DataError)
        assert self.schema is not None
        shares: list[list[Entry]] = [[] for _ in asked.asks]
        if asked.elsewhere and not asked.decides(self._keys, self.schema):
            self.split()
            return
        for entry in entries:
            if not asked.share(entry, self._keys, self.schema, shares):
                self.split()
                return
        self._take(asked, shares)

    def split(self) -> None:
        """Ask one by one from now on what would have been asked together."""
        self._alone = True
        self._followed.clear()

    def _take(self, asked: JoinedSearch, shares: list[list[Entry]]) -> None:
        for ask, entries in zip(asked.asks, shares, strict=True):
            self._found[ask] = entries

    def _answer(self, number: int) -> Reply | Search:
        found = self._found
        for step in self._plan.steps[number]:
            if step.query.domain_tables and (listed := self._listed(step)) is not True:
                if listed is False:
                    continue
                return listed
            entries = found[step.ask]
            if entries is None:
                self._asked = asked = (self._plan.single if self._alone else self._plan.joined)[step.ask]
                return asked.search(self._keys)
            if entries:
                if not step.key:
                    self.exact = True
                self._ends[number] = step
                if (answer := self._answer_of(number, step, entries)) is not None:
                    return answer
        self._ends[number] = None
        return lookup.NOT_FOUND

    @property
    def followed_many(self) -> bool:
        """Whether other entries than those of the key were searched for: members, which may be thousands."""
        return bool(self._followed)

    def made_from(self) -> MadeFrom:
        """What the settled answers were made from."""
        entries: dict[str, Entry] = {}
        tried: set[str] = set()
        dangling: list[str] = []
        for step in self._done():
            tried.add(self._keys[step.key].text)
            found = self._found[step.ask]
            if isinstance(found, list):
                entries.update((entry.dn, entry) for entry in found)
        for followed in self._followed.values():
            for member, brought in followed.received.items():
                entries.update((entry.dn, entry) for entry in brought)
                if not brought or is_url(member):
                    dangling.append(member)
        for asked in self._domains.values():
            of_domain = asked.made_from()
            entries.update((entry.dn, entry) for entry in of_domain.entries)
            tried |= of_domain.tried
            dangling += of_domain.dangling
        return MadeFrom(list(entries.values()), tried, dangling)

    def _done(self) -> Iterator[Step]:
        """The steps that were taken, each search once."""
        done: set[int] = set()
        for steps, end in zip(self._plan.steps, self._ends, strict=True):
            for step in steps:
                if step.ask not in done:
                    done.add(step.ask)
                    yield step
                if step is end:
                    break

    def _listed(self, step: Step) -> bool | Search:
        """Whether the step's query is for this domain; the search that is to tell it first."""
        query, domain = step.query, self._keys[step.key].domain
        if domain in query.domain:
            return True
        for table in query.domain_tables:
            if (table, domain) not in self._domains:
                self._domains[table, domain] = KeyLookup(self.group.domain_tables[table], domain, None)
            asked = self._domains[table, domain]
            settled = asked.settle(0)
            if isinstance(settled, DataError):
                raise settled
            if isinstance(settled, Search):
                self._asked = asked
                return settled
            if settled.status is Status.FOUND:
                return True
        return False

    def _answer_of(self, number: int, step: Step, entries: list[Entry] | DataError) -> Reply | Search | None:
        """What the entries of one step make; None when the next step is to be tried."""
        if isinstance(entries, DataError):
            raise entries
        query = step.query
        if query.size_limit and len(entries) > query.size_limit:
            raise DataError(f"size_limit of {query.size_limit} exceeded")
        expansion = query.expansion
        if expansion.is_empty:
            return lookup.NODATA
        settings = self.group.tables[number].settings
        if expansion.exists:
            return Reply(Status.FOUND, self.key.encode())
        if settings.unique and len(entries) > 1:
            raise DataError(f"{len(entries)} entries for one key: {' and '.join(entry.dn for entry in entries[:3])}")
        if not expansion.special_result_attribute:
            return self._reply(settings, step, entries, values_of(expansion, self._keys[step.key], entries))
        followed = self._followed.get((number, step))
        if followed is None:
            joined = None if self._alone else self._joined_members(number, step, entries)
            followed = self._followed[number, step] = joined or self._members_of(step, {})
        if followed.search is not None:
            self._asked = followed
            return followed.search
        assert isinstance(followed, Members)
        self.warnings += followed.warnings
        return self._reply(settings, step, entries, followed.values())

    def _reply(self, settings: TableSettings, step: Step, entries: list[Entry], values: list[str]) -> Reply | None:
        """The reply that the values found make, None when there are none. Raises DataError for unsafe ones."""
        key = self._keys[step.key]
        if settings.mailbox_guard:
            check_mailbox(values, key.domain, entries[0].dn)
        if not values:
            if step.query.require_result:
                raise DataError(f"{entries[0].dn}: no value that can be read of what the map returns")
            return None
        value = values[0] if len(values) == 1 else ",".join(values)
        if key.extension and settings.propagate_extension:
            if len(value) + len(values) * len(key.extension) > VALUE_LIMIT:
                raise _too_long(entries)
            value = address.add_extension(value, key.extension)
        encoded = value.encode()
        if len(encoded) > VALUE_LIMIT:
            raise _too_long(entries)
        return Reply(Status.FOUND, encoded)

    # --- members: the entries that DNs and URLs name -----------------------------------------------------------------

    def _members_of(self, step: Step, known: dict[str, list[Entry]]) -> Members:
        found = self._found[step.ask]
        entries = found if isinstance(found, list) else []
        return Members(step.query, self._keys[step.key], entries, known, self.group.also)

    def _joined_members(self, number: int, step: Step, entries: list[Entry]) -> _JoinedMembers | None:
        """The search that brings members by their addresses, many at once; None when there are none to be had so.

        A member whose RDN is an address is looked up as that address, and counts when an entry of the answer has
        its DN: it is known for its own sake then. Whatever is missing is asked for by its DN later.
        """
        asking: list[tuple[str, KeyLookup, JoinedSearch]] = []
        place = None
        if self.schema is None or step.query.directory != self.group.directory:
            return None
        expansion = step.query.expansion
        named = (v for e in entries for name, follow in expansion.parts(e) if follow for v in texts(e, name))
        for member in itertools.islice(named, MEMBERS_JOINED):
            if address_in_rdn := _address_in_rdn(member):
                other = KeyLookup(self.group, address_in_rdn, self.schema)
                joined = other._plan.joined[0] if other._plan.joined else None
                if joined and joined.certain and (not asking or joined.place(other._keys) == place):
                    place = joined.place(other._keys)
                    asking.append((member, other, joined))
        if not asking:
            return None
        searches = [joined.search(other._keys) for _, other, joined in asking]
        text = filter.joined([search.filter for search in searches])
        base_exists = any(search.base_exists for search in searches)
        return _JoinedMembers((number, step), asking, searches[0]._replace(filter=text, base_exists=base_exists))

    def _known_members(self, joint: _JoinedMembers, entries: list[Entry]) -> dict[str, list[Entry]]:
        """The members that it brought."""
        assert self.schema is not None
        asking = joint.asking
        shares = share_out(entries, [(joined, other._keys) for _, other, joined in asking], self.schema)
        known: dict[str, list[Entry]] = {}
        for (member, other, joined), share in zip(asking, shares or (), strict=shares is not None):
            other._take(joined, share)
            self.others.append(other)
            for entry in (entry for found in share for entry in found):
                # A search for the DN has the filter (objectClass=*), which an access rule may keep from matching.
                if entry.values(OBJECT_CLASS) and self._same(entry.dn, member):
                    known[member] = [entry]
        return known

    def _same(self, one: str, other: str) -> bool:
        if one == other:
            return True
        if self.schema is None:
            return False
        name = dn.canonical(one, self.schema)
        return name is not None and name == dn.canonical(other, self.schema)


class _JoinedMembers(NamedTuple):
    """One search for members by their addresses: ``of`` is the map's place and step that they are for."""

    of: tuple[int, Step]
    asking: list[tuple[str, KeyLookup, JoinedSearch]]
    search: Search
    received: Mapping[str, list[Entry]] = MappingProxyType({})
    """The entries of each member so far: none."""


def _weight(entry: Entry) -> int:
    values = [value for some in entry.attributes.values() for value in some]
    return 1000 + 2 * len(entry.dn) + 50 * len(values) + sum(map(len, values))


def _too_long(entries: list[Entry]) -> DataError:
    return DataError(f"{entries[0].dn}: the values are too long for one reply")


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
