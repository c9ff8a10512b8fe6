"""One key looked up for the tables of a group: what to ask next, and what the answers make. No I/O.

``settle(table)`` returns what is known of that table's answer: the ``Reply``, the ``DataError`` that stands in its
place, or the ``Search`` that must be made first; then ``receive`` is handed what the search brought, and ``settle`` is
called again. The search keys come most specific first, with the queries of the table for each; the first that finds
something answers. One search often settles all the tables.
"""

from __future__ import annotations

from collections.abc import Generator

from vmaild import lookup
from vmaild.errors import DataError
from vmaild.lookup import Entry, Reply, Search, Status
from vmaild.tables import address, dn, filter
from vmaild.tables.plan import JoinedSearch, Step, share_out
from vmaild.tables.results import VALUE_LIMIT, check_mailbox, collect, is_url, member_search, values_of
from vmaild.tables.schema import OBJECT_CLASS, Schema
from vmaild.tables.table import Group, TableSettings

MEMBERS_JOINED = 50
"""Members of one role or list that are looked up in one search; more are asked for one by one. A filter of this many
addresses stays below 64 KiB."""

Settled = Reply | DataError | Search


class KeyLookup:
    """``key`` is folded; ``schema`` is that of the server which will be asked, None when it is not known."""

    __slots__ = ("_alone", "_asked", "_ends", "_followed", "_found", "_keys", "_plan", "_settled", "dangling", "group",
                 "key", "named", "others", "schema", "warnings")  # fmt: skip

    def __init__(self, group: Group, key: str, schema: Schema | None) -> None:
        self.key = key
        self.others: list[KeyLookup] = []
        """Lookups of other keys that the same searches answered."""
        self.warnings: list[str] = []
        """For the log: what was skipped, and why."""
        self.named: list[Entry] = []
        """Entries that others name: members, and what an URL finds."""
        self.dangling: list[str] = []
        """DNs that name no entry, and URLs, of which nobody knows what they will find."""
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
        self._found: list[list[Entry] | None] = [None] * len(plan.asks)
        self._settled: list[Reply | DataError | None] = [None] * len(group.tables)
        self._ends: list[Step | None] = [None] * len(group.tables)
        self._asked: JoinedSearch | _Followed | None = None
        self._followed: dict[tuple[int, Step], _Followed] = {}
        self._alone = False

    @property
    def joint(self) -> bool:
        """Whether the search last returned stands for several, so that its failure may be of one of them only."""
        return not self._alone and (not isinstance(self._asked, JoinedSearch) or self._asked.joint)

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

    def receive(self, entries: list[Entry]) -> None:
        """Take what the search last returned by ``settle`` brought."""
        asked = self._asked
        if isinstance(asked, _Followed):
            asked.receive(entries)
        elif asked is not None and not asked.joint:
            self._found[asked.asks[0]] = entries
        elif asked is not None:
            self._share(asked, entries)

    def _share(self, asked: JoinedSearch, entries: list[Entry]) -> None:
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
            entries = found[step.ask]
            if entries is None:
                self._asked = asked = (self._plan.single if self._alone else self._plan.joined)[step.ask]
                return asked.search(self._keys)
            if entries:
                self._ends[number] = step
                if (answer := self._answer_of(number, step, entries)) is not None:
                    return answer
        self._ends[number] = None
        return lookup.NOT_FOUND

    def made_from(self) -> tuple[list[Entry], set[str]]:
        """The entries that what is settled was made from, and the search keys that were tried for it."""
        entries = {entry.dn: entry for entry in self.named}
        tried: set[str] = set()
        done: set[int] = set()
        keys, found = self._keys, self._found
        for steps, end in zip(self._plan.steps, self._ends, strict=True):
            for step in steps:
                if step.ask not in done:
                    done.add(step.ask)
                    tried.add(keys[step.key].text)
                    for entry in found[step.ask] or ():
                        entries[entry.dn] = entry
                if step is end:
                    break
        return list(entries.values()), tried

    def _answer_of(self, number: int, step: Step, entries: list[Entry]) -> Reply | Search | None:
        """What the entries of one step make; None when the next step is to be tried."""
        query = step.query
        if query.size_limit and len(entries) > query.size_limit:
            raise DataError(f"size_limit of {query.size_limit} exceeded")
        expansion = query.expansion
        if expansion.is_empty:
            return lookup.NODATA
        settings = self.group.tables[number].settings
        if settings.unique and len(entries) > 1:
            raise DataError(f"{len(entries)} entries for one key: {' and '.join(entry.dn for entry in entries)}")
        if not expansion.special_result_attribute:
            return self._reply(settings, step, entries, values_of(expansion, self._keys[step.key], entries))
        followed = self._followed.get((number, step))
        if followed is None:
            followed = self._followed[number, step] = _Followed(self._follow(step, entries))
        if followed.search is not None:
            self._asked = followed
            return followed.search
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
            value = address.add_extension(value, key.extension)
            if len(value.encode()) > VALUE_LIMIT:
                raise DataError(f"{entries[0].dn}: the values with their extensions are too long for one reply")
        return Reply(Status.FOUND, value.encode())

    def _also(self, search: Search) -> Search:
        """The search, with what the group asks of every entry."""
        also = self.group.also
        return search._replace(attributes=(*search.attributes, *also)) if also else search

    # --- members: the entries that DNs and URLs name -----------------------------------------------------------------

    def _follow(self, step: Step, entries: list[Entry]) -> Generator[Search, list[Entry], list[str]]:
        """The values of ``entries``, with those of the entries that they name."""
        expansion = step.query.expansion
        named = [member for entry in entries for member in expansion.followed(entry)]
        known: dict[str, list[Entry]] = {}
        if not self._alone:
            known = yield from self._members(named)
        collecting = collect(expansion, self._keys[step.key], entries)
        try:
            member = next(collecting)
            while True:
                brought = known.get(member)
                if brought is None and (search := member_search(expansion, member)):
                    brought = yield self._also(search)
                self.named += brought or ()
                if not brought or is_url(member):
                    self.dangling.append(member)
                if not brought and not is_url(member):
                    self.warnings.append(f"{entries[0].dn}: {member} not found, skipped")
                member = collecting.send(brought)
        except StopIteration as stop:
            values: list[str] = stop.value
            return values

    def _members(self, named: list[str]) -> Generator[Search, list[Entry], dict[str, list[Entry]]]:
        """The members that an address search brings: all of a domain at once, and known for their own sake then.

        A member whose RDN is an address is looked up as that address, and counts when an entry of the answer has
        its DN. Whatever is missing here is asked for by its DN later.
        """
        asking: list[tuple[str, KeyLookup, JoinedSearch]] = []
        place = None
        if self.schema is None:
            return {}
        for member in named[:MEMBERS_JOINED]:
            if address_in_rdn := _address_in_rdn(member):
                other = KeyLookup(self.group, address_in_rdn, self.schema)
                joined = other._plan.joined[0] if other._plan.joined else None
                if joined and joined.certain and (not asking or joined.place(other._keys) == place):
                    place = joined.place(other._keys)
                    asking.append((member, other, joined))
        if not asking:
            return {}
        searches = [joined.search(other._keys) for _, other, joined in asking]
        text = filter.joined([search.filter for search in searches])
        base_exists = any(search.base_exists for search in searches)
        entries = yield searches[0]._replace(filter=text, base_exists=base_exists)
        shares = share_out(entries, [(joined, other._keys) for _, other, joined in asking], self.schema)
        if shares is None:
            return {}
        known: dict[str, list[Entry]] = {}
        for (member, other, joined), share in zip(asking, shares, strict=True):
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


class _Followed:
    """The members of a step while they are asked for: the next ``search``, None when all are there."""

    def __init__(self, steps: Generator[Search, list[Entry], list[str]]) -> None:
        self._steps = steps
        self._result: list[str] | DataError = []
        self.search: Search | None = None
        self._advance(None)

    def receive(self, entries: list[Entry]) -> None:
        """Go on with what ``search`` brought."""
        self._advance(entries)

    def values(self) -> list[str]:
        """The values. Raises the DataError that ended it."""
        if isinstance(self._result, DataError):
            raise self._result
        return self._result

    def _advance(self, entries: list[Entry] | None) -> None:
        try:
            self.search = next(self._steps) if entries is None else self._steps.send(entries)
        except StopIteration as stop:
            self.search, self._result = None, stop.value
        except DataError as error:
            self.search, self._result = None, error.with_traceback(None)


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
