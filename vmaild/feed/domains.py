"""The hosted domains as a set, so that an address of no other domain costs a search or a place in the cache.

The set is read at the start, again every ``INTERVAL`` seconds (``HEARD_INTERVAL`` while changes are heard), and grows
with each domain that the feed tells of. It never shrinks at once: a domain that is missing stays for ``CONFIRM``
seconds, in which it is looked for as before, so that an emptied directory, a replica that is not loaded or an access
rule does not make domains vanish. A reading that lacks a canary is not believed at all.

When the set cannot be read it serves for ``stale_domains`` seconds, then nothing is said by it.
"""

from __future__ import annotations

import asyncio
import logging
import unicodedata
from collections.abc import Awaitable, Callable, Iterable

from vmaild.directory import LIMIT, REFUSED
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Entry
from vmaild.maps import Freshness, Maps
from vmaild.tables.hosted import Hosted

logger = logging.getLogger("vmaild.feed")

INTERVAL = 25.0
"""Seconds between two readings: less than the default ``negative_ttl``."""

HEARD_INTERVAL = 300.0
RETRY = 1.0
"""Seconds until the next try when a reading failed."""

CONFIRM = 60.0
"""Seconds for which a domain must have been missing."""

READ_SECONDS = 10.0
"""Longest time of a reading."""

Find = Callable[..., Awaitable[list[Entry]]]


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
        self.names: dict[str, float] = {}
        self.read_at: float | None = None
        """When the set was last read, or was known to be right."""
        if freshness is not None:
            freshness.named[hosted.group] = self.add

    @property
    def known(self) -> bool:
        """Whether the set decides."""
        return self.read_at is not None and self._clock() <= self.read_at + self._stale

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
            end = asyncio.get_running_loop().time() + READ_SECONDS
            entries = await self._find(self._hosted.search(), deadline=end)
        except DirectoryFailure as failure:
            if failure.kind not in (LIMIT, REFUSED):
                return RETRY
            if not self._warned:
                self._warned = True
                logger.warning("the hosted domains cannot be read as a set: %s; see limits in slapd.conf(5)", failure)
            return INTERVAL
        self.take(entries, now)
        heard = self._freshness is not None and self._freshness.server and not any(self.names.values())
        return min(HEARD_INTERVAL if heard else INTERVAL, self._stale / 2)

    def take(self, entries: Iterable[Entry], now: float) -> None:
        """What was read at that time."""
        there: set[str] = set()
        for entry in entries:
            name = self._hosted.domain(entry.dn)
            if name is None:
                continue
            there.add(name)
            if self._freshness is not None and (uuid := _uuid(entry)):
                self._freshness.contains(entry.dn, uuid)
        if not self._canaries <= there:
            logger.error("hosted domains: a canary is missing; what was read is not used")
            return
        missing = [name for name in self.names if name not in there]
        if len(missing) * 10 > len(self.names) and not any(self.names.values()):
            text = "%d of %d hosted domains are missing; they are looked for during a minute"
            logger.warning(text, len(missing), len(self.names))
        for name in missing:
            since = self.names[name] or now
            self.names[name] = since
            if now - since >= CONFIRM:
                del self.names[name]
        self.names.update(dict.fromkeys(there, 0.0))
        self.read_at = now
        self._tell()

    def restore(self, names: Iterable[str], age: float) -> None:
        """What was known ``age`` seconds ago, before a restart: it serves when the first reading has failed."""
        if self.read_at is None:
            self.names = dict.fromkeys(names, 0.0)
            self.read_at = self._clock() - age

    def follow(self, before: HostedDomains) -> None:
        """Take the place of ``before``: what it knows serves until the first reading, if it is of the same place."""
        if before.known and before._hosted.base == self._hosted.base:
            self.names, self.read_at = dict(before.names), before.read_at
            self._tell()

    def add(self, name: str) -> None:
        """The feed tells of a domain."""
        if self.names.get(name) != 0.0:
            self.names[name] = 0.0
            self._tell()

    def _tell(self) -> None:
        if not self.known:
            self._maps.host(None, ())
            return
        # A server compares names as their compatibility forms (RFC 4518, 2.3).
        forms = {unicodedata.normalize("NFKC", name).casefold() for name in self.names}
        self._maps.host({name.encode() for name in forms.union(self.names)}, self._hosted.groups)


def _uuid(entry: Entry) -> bytes | None:
    values = entry.attributes.get("entryuuid", ())
    try:
        return bytes.fromhex(values[0].replace(b"-", b"").decode("ascii")) if values else None
    except ValueError:
        return None
