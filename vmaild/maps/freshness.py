"""What a change in the directory drops from the cache, and what following changes does to the ages of the rest.

``changed``, ``deleted``, ``present`` and ``age_all`` say what happened. A change drops

- the records made from the entry, unless what they saw of it is what is there now: a login that is recorded in it
  changes nothing that maps ask for;
- those of the addresses that it names now (``vmaild.tables.naming``), and those that looked for them on the way
  (``user+tag@domain``), or for the DN (a role whose member did not exist);
- every "not found" of its domain, where it is new or what was known of it has changed.

What cannot be determined ages everything: it is served, and renewed at its next use. It is never emptied.

What each record was made from is noted by ``vmaild.maps.origins``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence

from vmaild.cache import NEVER, Cache, Record
from vmaild.cache.dependents import Dependents, digest_of, of_domain, of_entry, of_name
from vmaild.maps.origins import Origins, domain_in, of_moved
from vmaild.tables import Group, dn
from vmaild.tables.address import other_labels
from vmaild.tables.naming import Named, Naming, Place

MANY_VALUES = 500
"""Values of an entry that are compared one by one, a third of a millisecond: of an entry with more, all that may be
named in its place is dropped. A tenant may write 10,000 addresses into an entry."""

COMPARED = 500
"""Entries in a turn of the loop that are compared with those that are there: a millisecond."""

REPORTED = 50_000
"""Entries of which is remembered what was reported last: 5 MB. Past it all are forgotten."""

CONTAINERS = 100_000
"""Entries with others below whose DN is remembered: a rename of one moves those."""

SUBORDINATES = "hassubordinates"
"""Tells whether there are entries below (X.501; slapd makes it up for each answer)."""

Attributes = Mapping[str, tuple[bytes, ...]]


class Freshness(Origins):
    """``groups`` are those of the maps, with what their records' keys begin with. ``longest`` is how long a lookup may
    take in the directory: seconds.
    """

    def __init__(self, cache: Cache, groups: Sequence[tuple[bytes, Group]], longest: float) -> None:
        super().__init__(cache, tuple(prefix for prefix, _ in groups), longest)
        self._groups = [(prefix, group, Naming(group)) for prefix, group in groups]
        self.named: dict[Group, Callable[[str], None]] = {}
        """Who is called with the keys that entries name in a group."""
        self._places = list(frozenset[Place]().union(*(naming.places for *_, naming in self._groups)))
        self._containers: dict[int, tuple[int, tuple[str, ...]]] = {}
        self._reported: dict[int, int] = {}
        self._moved: set[bytes] = set()
        self._lost_since = NEVER
        self._aged_stored = -1
        self.attributes = frozenset[str](("entryuuid",)).union(*(group.attributes for _, group in groups))
        """What every search asks for, so that what a change shows can be compared with it."""
        self.heard_attributes = (*sorted(self.attributes), SUBORDINATES)
        """What ``changed`` is called with for an entry."""
        for _, group in groups:
            group.ask_also(self.attributes)

    def follow(self, before: Freshness) -> None:
        """Take the place of ``before``, with the same directory: what is noted of records that stay goes on."""
        before.settle()
        self._reserved, before._reserved = before._reserved, 0
        self._dependents, self._recent, self._containers = before._dependents, before._recent, before._containers
        self._aged_at, self._hears_since = before._aged_at, before._hears_since
        self.counters, self.server, self.hears = before.counters, before.server, before.hears
        self._idle = before._idle
        # Whatever it is told from now on is not counted twice.
        before._dependents, before._idle = Dependents(lambda _: None), True

    # --- what happened ------------------------------------------------------------------------------------------------

    def changed(
        self,
        name: str,
        uuid: bytes,
        attributes: Attributes | None,
        *,
        added: bool,
        each: bool = False,
        created: bool = False,
    ) -> None:
        """An entry was added, or written, or is found under another DN.

        ``attributes`` are ``heard_attributes``; None: they are not known. ``each``: so was every change of the entry
        since it was told of last, so that what is as it was then is nothing new to anybody. ``created``: it was not
        there when changes were told before, so that what stands below it has not moved with it.
        """
        self._begin()
        token = of_entry(uuid)
        if attributes is None:
            self._reported.pop(token, None)
            self._drop(self._take(token))
            self._age_everything()
            return
        shown = {key: values for key, values in attributes.items() if key != SUBORDINATES}
        digest = digest_of(name, shown)
        if self._as_reported(token, digest, each=each) and attributes.get(SUBORDINATES) != (b"TRUE",):
            self.counters.unchanged += 1
            return
        # A search may have seen the change before it was heard: then its record is right, and all others are not.
        right = self._dependents.seen(token, digest)
        keys = self._take(token, digest)
        self.counters.unchanged += bool(right and not keys)
        self._drop(keys)
        if attributes.get(SUBORDINATES) == (b"TRUE",):
            self._container(token, name, created=created)
        rdns = _parsed(name)
        self._drop(self._take(of_name(rdns)))
        if sum(map(len, shown.values())) > MANY_VALUES:
            self._drop_places(name)
            return
        named = [(prefix, group, naming.of(rdns, shown)) for prefix, group, naming in self._groups]
        self._drop_named(named, digest, right)
        if added or keys:
            self._drop_not_found(one for *_, one in named)

    def _as_reported(self, token: int, digest: int, *, each: bool) -> bool:
        """Whether that was reported last of an entry, and nothing else since."""
        before = self._reported.get(token)
        if len(self._reported) >= REPORTED:
            self._reported.clear()
        self._reported[token] = digest
        return each and before == digest

    def deleted(self, uuid: bytes) -> None:
        """An entry is gone."""
        self._begin()
        self._drop(self._take(of_entry(uuid)))

    def _begin(self) -> None:
        self.settle()
        self.counters.changes += 1
        self._recent.begin(self._cache.clock())

    def _drop_places(self, name: str) -> None:
        """Drop the records of all domains that an entry can name by its DN ``name``; where that is any, age all."""
        for *_, naming in self._groups:
            domains = naming.within(name)
            if domains is None:
                self._age_everything()
            for domain in domains or ():
                self.drop_domain(domain)

    def _drop_named(self, named: Iterable[tuple[bytes, Group, Named]], digest: int, right: Container[bytes]) -> None:
        """Drop the records of what the entry names, but for those that are ``right``."""
        for prefix, group, one in named:
            if one.all_keys:
                self._age_everything()
            told = self.named.get(group)
            for key in one.keys:
                if told is not None:
                    told(key)
                own = prefix + key.encode(errors="replace")
                if own not in right:
                    self._drop([own])
                self._drop(self._take_address(key, digest, right))
            for domain in one.domains:
                self.drop_domain(domain)

    def _drop_not_found(self, named: Iterable[Named]) -> None:
        """Drop every "not found" of the domains that the entry names, or in whose place it stands."""
        domains: set[str] = set()
        for one in named:
            domains.update(map(domain_in, one.keys), one.places)
        for domain in domains:
            self._drop(self._take(of_domain(domain)))

    def _container(self, token: int, name: str, *, created: bool) -> None:
        """Entries stand below this one: under another DN it has taken them along, and only itself is reported."""
        before = self._containers.get(token)
        place, domains = self._containers[token] = self._place(_parsed(name))
        if len(self._containers) > CONTAINERS:
            self._containers.clear()
        if before is not None and before[0] == place:
            return
        if not (created if before is None else before[1]) or not domains:
            self._age_everything()
        for domain in domains if before is None else {*domains, *before[1]}:
            self.drop_domain(domain)

    def contains(self, name: dn.Dn, uuid: bytes) -> None:
        """The entry has others below it, and this DN now: so that a rename of it shows."""
        if len(self._containers) < CONTAINERS:
            self._containers[of_entry(uuid)] = self._place(name)

    def _place(self, name: dn.Dn | str) -> tuple[int, tuple[str, ...]]:
        """A DN as a number, and the domains whose entries can stand there and below."""
        told = () if isinstance(name, str) else (place.domain(name) for place in self._places)
        return hash(name), tuple({domain: None for domain in told if domain})

    def drop_domain(self, domain: str) -> None:
        """Drop all records of a domain: it was renamed, and what stands below was not reported."""
        if not self._walk.goes_on:
            self._moved.clear()
        for form in filter(None, (domain, other_labels(domain))):
            self._recent.add(of_moved(form))
            self._moved.add(form.encode(errors="replace"))
        self._walk.through(self._drop_moved)

    def _drop_moved(self, record: Record) -> None:
        key = record.key
        if key[max(key.rfind(b"@"), key.find(b" ")) + 1 :] in self._moved:
            self._forget(key)

    def _drop(self, keys: Collection[bytes]) -> None:
        self._walk.each(keys, self._forget)

    def _forget(self, key: bytes) -> None:
        self.counters.dropped += self._cache.forget(key)

    async def present(self, entries: Callable[[int], bool]) -> None:
        """All entries that are there are those whose token is among ``entries``: whatever else was known is gone."""
        self._begin()
        # What is being looked up now may have seen what has gone, and is not known to be of it yet.
        self._recent.overtake_all()
        for number, token in enumerate(self._dependents.entries()):
            if not entries(token):
                self._drop(self._take(token))
            if number % COMPARED == COMPARED - 1:
                await asyncio.sleep(0)
                self._recent.begin(self._cache.clock())  # remembers a bounded number

    def age_all(self) -> None:
        """Something happened that is not known: serve everything, and renew it at its next use."""
        self._reported.clear()
        self._age_everything()

    def _age_everything(self) -> None:
        self.settle()
        self.counters.aged += 1
        self._aged_at = now = self._cache.clock()
        self._recent.begin(now)
        # What was not renewed since is old already: a bulk load may come here for each of its entries.
        if self._aged_stored != self._cache.counters.stored:
            self._aged_stored = self._cache.counters.stored
            self._walk.through(self._age)

    def _age(self, record: Record) -> None:
        record.age(self._aged_at)

    # --- ages ---------------------------------------------------------------------------------------------------------

    def hears_from_now(self) -> None:
        """What happens from now on will arrive, and what happened before has not."""
        self._reported.clear()
        self._hears_since = self._cache.clock()

    def heard(self, server: str) -> None:
        """Changes of ``server`` arrive from now on, and all that happened before has."""
        self.settle()
        self.server = server
        self.hears = True
        if self._idle:
            # What was stored in between is not known to come from anywhere.
            self._idle = False
            self.age_all()

    def not_offered(self) -> None:
        """The server does not tell of changes, so that nothing need be noted until another one does."""
        self.made.clear()
        self._idle = True

    def lost(self, since: float) -> None:
        """Changes arrive no more, by the cache's clock since ``since``."""
        if self.hears:
            self.settle()
            self.hears = False
            self.server = ""
            self._lost_since = since
            self._walk.through(self._cap)

    def _cap(self, record: Record) -> None:
        self._cache.cap(record, self._lost_since)

    async def finish(self) -> None:
        """Wait until what goes on has ended."""
        await self._walk.finish()

    async def close(self) -> None:
        """End what goes on, and note nothing any more. Can be called twice."""
        self._cache.reserve(-self._reserved)
        self._reserved = 0
        self.named.clear()
        await self._walk.close()


def _parsed(name: str) -> dn.Dn | str:
    try:
        return dn.parse(name)
    except ValueError:
        return name
