"""What records were made from: noted, so that a change tells which of them it concerns.

A search that began before a change arrived must not be stored after it. So the last changes are remembered for as
long as a search may take, and each record is compared with them when what it was made from is noted (``settle``). That
is done for several records at once, before the next change, and in a short time for those alone that a change
overtook.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from vmaild.cache import NEVER, Cache, Record
from vmaild.cache.dependents import Dependents, digest_of, of_address, of_domain, of_entry, of_name, uuid_in
from vmaild.lookup import NOT_FOUND, Entry
from vmaild.maps.recent_changes import UNKNOWN, RecentChanges
from vmaild.maps.walk import Walk
from vmaild.tables import KeyLookup, dn

SETTLED_TOGETHER = 64
"""Records whose origin is noted at once: a third of a millisecond of work."""

LONGEST_KEY = 400
"""Bytes. No address is as long (RFC 5321, 4.5.3.1); what is known of longer keys lives as if no changes arrived."""

TWO_STATES = 0
"""In the place of the digest of an entry that was written during a lookup."""

NOTED = 100
"""Entries in a turn of the loop that a record was made from, and are noted: a millisecond or two."""

CROWDED, LEAST_CROWDED = 3, 1000
"""Keys in crowds for each record, and beside them, from which on some are of records that have gone: a "not found" is
in two, that of its domain and that of the catch-all."""

Made = tuple[bytes, KeyLookup, float, str]


@dataclass(slots=True)
class FreshnessCounters:
    """Changes that arrived, those without effect on the maps, records dropped, and how often everything was aged."""

    changes: int = 0
    unchanged: int = 0
    dropped: int = 0
    overtaken: int = 0
    """Records not kept, since what they were made from changed while they were looked up."""
    aged: int = 0


class Origins:
    """``prefixes`` are those of the keys of the records that are visited. ``longest`` is how long a lookup may take in
    the directory: seconds."""

    def __init__(self, cache: Cache, prefixes: tuple[bytes, ...], longest: float) -> None:
        self._cache = cache
        self._walk = Walk(cache, prefixes)
        self._dependents = Dependents(lambda key: cache.get(key))
        self._recent = RecentChanges(longest)
        self._reserved = 0
        self._idle = False
        self._aged_at = NEVER
        self._hears_since = NEVER
        self.counters = FreshnessCounters()
        self.server = ""
        """Whose changes arrive, by URI: what another says is kept as if no changes were heard."""
        self.hears = False
        """Whether changes arrive: then what does not change lives longer."""
        self.made: list[Made] = []
        """Records whose origin is not noted yet: key, lookup, when its search began, and who answered."""

    @property
    def changed_at(self) -> float:
        """When the last change arrived, by the cache's clock; minus infinity for never."""
        return self._recent.last_at

    @property
    def now(self) -> float:
        """The cache's clock."""
        return self._cache.clock()

    @property
    def size(self) -> int:
        """About how many bytes of memory what is noted takes."""
        return self._dependents.size

    def __len__(self) -> int:
        """How many dependences are noted."""
        return len(self._dependents)

    def note(self, key: bytes, lookup: KeyLookup, began: float, origin: str) -> None:
        """A record was stored: remember what it was made from; at once where a change has arrived since."""
        if self._idle:
            return
        self.made.append((key, lookup, began, origin))
        # What another server said is not to wait until the feed has gone over to that one, nor a group's many entries.
        elsewhere = self.hears and origin != self.server
        alone = elsewhere or lookup.followed_many or began <= self._recent.last_at
        if alone or len(self.made) >= SETTLED_TOGETHER:
            self.settle()

    def settle(self) -> None:
        """Note what the last records were made from, and drop those that a change has overtaken."""
        made, self.made = self.made, []
        for key, lookup, began, origin in made:
            record = self._cache.get(key)
            if record is not None:
                self._walk.work(self._settle(record, lookup, began, origin))
        self._dependents.tidy(CROWDED * len(self._cache) + LEAST_CROWDED)
        self._reserve(self._dependents.size)

    def _reserve(self, size: int) -> None:
        """Have the cache leave so many bytes to what is noted here."""
        self._cache.reserve(size - self._reserved)
        self._reserved = size

    def _settle(self, record: Record, lookup: KeyLookup, began: float, origin: str) -> Iterator[None]:
        """Note what a record was made from, in steps: thousands of members, for a group."""
        key = record.key
        if len(key) > LONGEST_KEY:
            self._cache.cap(record, self._cache.clock())
            return
        entries, tried, dangling = lookup.made_from()
        tokens = {of_address(text): 0 for text in tried if text != lookup.key}
        traceable = origin == self.server
        for start in range(0, len(entries), NOTED):
            if start:
                yield
            traceable = self._of_entries(entries[start : start + NOTED], tokens) and traceable
        if dangling:
            traceable = self._of_names(dangling, tokens) and traceable
        if NOT_FOUND in record.known:
            tokens[of_domain(domain_in(lookup.key))] = 0
        for number, (token, digest) in enumerate(tokens.items(), 1):
            self._dependents.add(token, key, digest)
            if number % NOTED == 0:
                yield
        if record.retired:
            return
        if began <= self._recent.last_at and self._overtook(lookup.key, began, tokens):
            self.counters.overtaken += 1
            self._cache.forget(key)
            return
        if not traceable or began <= self._hears_since:
            self._cache.cap(record, self._cache.clock())
        if began <= self._aged_at:
            record.age(self._cache.clock())

    def _overtook(self, key: str, began: float, tokens: Mapping[int, int]) -> bool:
        """Whether a change did that concerns one of the tokens, the address itself or the place of its domain."""
        return self._recent.overtook(began, {of_address(key): 0, of_moved(domain_in(key)): 0, **tokens})

    def _of_entries(self, entries: Iterable[Entry], tokens: dict[int, int]) -> bool:
        """Add the tokens of ``entries``; False when one does not show its entryUUID."""
        traceable = True
        for entry in entries:
            uuid = uuid_in(entry.attributes.get("entryuuid", ()))
            if uuid is None:
                traceable = False
            else:
                token, digest = of_entry(uuid), digest_of(entry.dn, entry.attributes)
                # Of two states that the lookup has seen, none is what the record knows.
                tokens[token] = digest if tokens.get(token, digest) == digest else TWO_STATES
        return traceable

    def _of_names(self, names: Iterable[str], tokens: dict[int, int]) -> bool:
        """Add the tokens of DNs that named nothing; False for a URL, which may find anything."""
        traceable = True
        for name in names:
            try:
                tokens[of_name(dn.parse(name))] = 0
            except ValueError:
                traceable = False
        return traceable

    def _take(self, token: int, digest: int = UNKNOWN) -> Collection[bytes]:
        """The keys that depend on the token and have not seen this ``digest``; from now on it is known to change."""
        self._recent.add(token, digest)
        return self._dependents.take(token, digest)

    def _take_address(self, key: str, digest: int, right: Container[bytes]) -> Collection[bytes]:
        """What depends on an address that an entry of this ``digest`` names."""
        token = of_address(key)
        self._recent.add_named(token, digest)
        return self._dependents.take(token, but=right)


def of_moved(domain: str) -> int:
    """The token of the place of a domain, with all that stands there."""
    return of_name(("moved", domain))


def domain_in(key: str) -> str:
    """The domain of an address; a key without one stands for itself."""
    return key.rpartition("@")[2]
