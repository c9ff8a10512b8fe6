"""The hosted domains as a set, so that an address of no other domain costs a search or a place in the cache.

The set is read at the start, again every ``INTERVAL`` seconds (``HEARD_INTERVAL`` while changes arrive), and grows
with each domain that the feed tells of. It never shrinks at once: a domain that is missing stays for ``CONFIRM``
seconds, in which it is searched for as before, so that an emptied directory, a replica that is not loaded or an access
rule does not make domains vanish. A reading that lacks a canary does not count at all. An administrator's word
(``confirm``, ``vmaild domains --confirm``) makes either count at once. An empty set tells nothing: then everything is
looked for.

When the set cannot be read it serves for ``stale_domains`` seconds, then nothing is said by it.

There may be 50,000 domains. So they are taken one by one, in turns of the loop, and what is known of one
is not worked out again at each reading.
"""

from __future__ import annotations

import asyncio
import logging
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable

from vmaild.cache.dependents import uuid_in
from vmaild.directory import LIMIT, REFUSED, Pool, Way
from vmaild.errors import DirectoryFailure, LookupFailure
from vmaild.lookup import Entry, Scope, Search
from vmaild.maps import Freshness, Maps
from vmaild.tables import dn
from vmaild.tables.address import other_labels
from vmaild.tables.hosted import Hosted

logger = logging.getLogger("vmaild.feed")

INTERVAL = 25.0
"""Seconds between two readings: less than the default ``negative_ttl``."""

HEARD_INTERVAL = 300.0
RETRY = 1.0
"""Seconds until the next try when a reading failed."""

CONFIRM = 60.0
"""Seconds for which a domain must have been missing."""

READ_SECONDS = 20.0
"""Longest time of a reading."""

TOGETHER = 1000
"""Domains that are taken in a turn of the loop, once they are read: 2 ms."""

Find = Callable[[Search], AsyncIterable[Entry]]


def below(pool: Pool, way: Way) -> Find:
    """Finds what stands one level below a search's base, on the server that lookups go to."""

    async def find(search: Search) -> AsyncIterator[Entry]:
        # Fails at once where no server can be reached, and waits for one that is about to be.
        await pool.search(Search(search.base, Scope.BASE, search.filter, search.attributes, base_exists=True))
        async for entry in way.below(pool.current_uri, search):
            yield entry

    return find


class HostedDomains:
    """``names`` are the domains by name, with when each was first missing; 0 for those that are there."""

    def __init__(
        self,
        hosted: Hosted,
        maps: Maps,
        freshness: Freshness | None,
        find: Find,
        *,
        stale: float,
        canaries: Iterable[str] = (),
        clock: Callable[[], float],
    ) -> None:
        self._hosted = hosted
        self._maps = maps
        self._freshness = freshness
        self._find = find
        self._stale = stale
        self._canaries = frozenset(canaries)
        self._clock = clock
        self._warned = False
        self._doubted: frozenset[str] | None = None
        self._forms: dict[bytes, int] = {}
        self._entries: dict[int, str] = {}
        self.names: dict[str, float] = {}
        self.read_at: float | None = None
        """When the set was last read, or was known to be right."""
        if freshness is not None:
            freshness.named[hosted.group] = self.add

    @property
    def known(self) -> bool:
        """Whether the set decides."""
        return self.read_at is not None and bool(self.names) and self._clock() <= self.read_at + self._stale

    @property
    def age(self) -> float | None:
        """Seconds since the set was read, or was known to be right; None for never."""
        return None if self.read_at is None else self._clock() - self.read_at

    @property
    def missing(self) -> dict[str, float]:
        """The domains that the last readings lacked, each with the seconds since the first of those."""
        now = self._clock()
        return {name: now - since for name, since in self.names.items() if since}

    @property
    def not_believed(self) -> frozenset[str] | None:
        """What the last reading showed, where that is not used since a canary was missing."""
        return self._doubted

    def confirm(self) -> list[str]:
        """An administrator says that what was read last is right. Returns the domains that are hosted no more."""
        now = self._clock()
        if self._doubted is None:
            gone = list(self.missing)
        else:
            gone = [name for name in self.names if name not in self._doubted]
            for name in self._doubted:
                self._put(name, 0.0)
            self.read_at, self._doubted = now, None
        for name in gone:
            del self.names[name]
            self._count(name, -1)
        logger.warning("%d hosted domains are taken out by an administrator's word", len(gone))
        self._tell()
        return sorted(gone)

    async def run(self) -> None:
        """Read again and again, until cancelled."""
        while True:
            pause = await self.once()
            self._tell()
            await asyncio.sleep(pause)

    async def once(self) -> float:
        """Read the set once. Returns the seconds until the next time."""
        now = self._clock()
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self.take(self._find(self._hosted.search()), now)
        except TimeoutError:
            return RETRY
        except LookupFailure as failure:
            if isinstance(failure, DirectoryFailure) and failure.kind not in (LIMIT, REFUSED):
                return RETRY
            if not self._warned:
                self._warned = True
                logger.warning("the hosted domains cannot be read as a set: %s; see limits in slapd.conf(5)", failure)
            return INTERVAL
        heard = self._freshness is not None and self._freshness.server and not any(self.names.values())
        return min(HEARD_INTERVAL if heard else INTERVAL, self._stale / 2)

    async def take(self, entries: AsyncIterable[Entry], now: float) -> None:
        """What is read at that time."""
        seen: dict[int, str] = {}
        async for entry in entries:
            uuid = uuid_in(entry.values("entryuuid"))
            mark = hash((entry.dn, uuid))
            name = self._entries.get(mark) or self._domain_of(entry, uuid)
            if name is not None:
                seen[mark] = name
        there = set(seen.values())
        if not self._canaries <= there:
            logger.error("hosted domains: a canary is missing; what was read is not used")
            self._doubted = frozenset(there)
            return
        self._doubted = None
        self._entries = seen
        await self._took(there, now)
        self.read_at = now
        self._tell()

    def _domain_of(self, entry: Entry, uuid: bytes | None) -> str | None:
        """The domain that an entry stands for, if any; a rename of it is to show from now on."""
        try:
            rdns = dn.parse(entry.dn)
        except ValueError:
            return None
        name = self._hosted.domain(rdns)
        if name is not None and uuid is not None and self._freshness is not None:
            self._freshness.contains(rdns, uuid)
        return name

    async def _took(self, there: set[str], now: float) -> None:
        """These are there: the others are missing, and go when they have been missing for long."""
        missing = [name for name in self.names if name not in there]
        if len(missing) * 10 > len(self.names) and not any(self.names.values()):
            text = (
                "%d of %d hosted domains are missing; they are searched for during a minute before they count as gone"
            )
            logger.warning(text, len(missing), len(self.names))
        for name in missing:
            since = self.names[name] or now
            self.names[name] = since
            if now - since >= CONFIRM:
                del self.names[name]
                self._count(name, -1)
        for number, name in enumerate(there, 1):
            self._put(name, 0.0)
            if number % TOGETHER == 0:
                await asyncio.sleep(0)

    def _put(self, name: str, missing_since: float) -> None:
        if name not in self.names:
            self._count(name, 1)
        self.names[name] = missing_since

    def _count(self, name: str, one: int) -> None:
        """A name comes or goes, with all its forms."""
        for form in _forms(name):
            count = self._forms.get(form, 0) + one
            if count:
                self._forms[form] = count
            else:
                del self._forms[form]

    def restore(self, names: Iterable[str], age: float) -> None:
        """What was known ``age`` seconds ago, before a restart: it serves when the first reading has failed.

        What that reading lacked is missing.
        """
        now = self._clock()
        if self.read_at is None:
            for name in names:
                self._put(name, 0.0)
            self.read_at = now - age
        else:
            for name in names:
                self._put(name, self.names.get(name, now))
            self._tell()

    def follow(self, before: HostedDomains) -> None:
        """Take the place of ``before``: what it knows serves until the first reading, if it is of the same place."""
        if before.known and before._hosted.base == self._hosted.base:
            self.names, self.read_at = before.names, before.read_at
            self._forms, self._entries = before._forms, before._entries
            self._tell()

    def add(self, name: str) -> None:
        """The feed tells of a domain."""
        self._put(name, 0.0)

    def _tell(self) -> None:
        known = self.known
        self._maps.host(self._forms if known else None, self._hosted.groups if known else ())


def _forms(name: str) -> set[bytes]:
    """The name as it is, in the other form of its labels, and as a server compares it (RFC 4518, 2.3)."""
    if name.isascii() and "xn--" not in name:
        return {name.encode()}  # in small letters already
    forms = {name, unicodedata.normalize("NFKC", name).casefold()}
    forms |= {other for form in forms if (other := other_labels(form))}
    return {form.encode(errors="replace") for form in forms}
