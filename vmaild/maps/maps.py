"""From a request to its reply: the map, its key, the cache, the directory. Here exceptions become replies.

``Maps.find`` never raises (but for cancellation). What the directory said is answered as such and kept; every
failure is TEMP, so that Postfix keeps the mail:

===========================================  =======================================
an unknown map                               PERM, and it is logged
an empty key, a NUL in it, not UTF-8         NOTFOUND, the directory is not asked
a key that lacks what the map needs          NOTFOUND, the directory is not asked
the directory's word                         OK or NOTFOUND, cached
no word from the directory                   a stale answer where the cache has one, else TEMP
data that must not be used                   TEMP, and the entries are logged
a canary of the map is missing               TEMP in place of NOTFOUND
===========================================  =======================================
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import cachetools

from vmaild import lookup
from vmaild.cache import Cache
from vmaild.errors import DataError, DirectoryFailure, LookupFailure
from vmaild.lookup import Entry, Reply, Request, Search, Status
from vmaild.maps.canaries import Canaries
from vmaild.maps.throttle import Throttle
from vmaild.tables import address
from vmaild.tables.ldap_table import Outcome, Table

logger = logging.getLogger("vmaild.maps")

# The same complaint is logged once in this many seconds: a broken entry may be asked for many times a second.
COMPLAINT_INTERVAL = 60.0
# Different complaints remembered for that; past it the oldest are forgotten, and may be logged again.
COMPLAINTS = 1000


class Searcher(Protocol):
    """What maps need of the directory."""

    async def search(self, search: Search, *, deadline: float | None = None) -> list[Entry]:
        """The entries of one search. Raises DirectoryFailure on anything that is not authoritative."""


@dataclass(slots=True)
class MapCounters:
    """Replies of one map that were not answered on the hot path, by kind, and what happened on the way."""

    found: int = 0
    not_found: int = 0
    temporary: int = 0
    permanent: int = 0
    data_errors: int = 0
    canary_refusals: int = 0
    """NOTFOUND answers that became TEMP because a canary was missing."""

    def count(self, status: Status) -> None:
        """Add one reply."""
        name = status.name.lower()
        setattr(self, name, getattr(self, name) + 1)


class Maps:
    """All maps of the daemon. ``timeout`` is in seconds: what one lookup may take in the directory."""

    def __init__(
        self,
        tables: Iterable[Table],
        cache: Cache,
        directory: Searcher,
        *,
        timeout: float,
        canaries: Mapping[str, tuple[str, ...]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tables = {table.name.encode(): table for table in tables}
        self._cache = cache
        self._directory = directory
        self._timeout = timeout
        self._clock = clock
        self._throttle = Throttle()
        self.canaries = Canaries(
            canaries or {}, self._present, lambda name: cache.forget_not_found(name.encode()), clock
        )
        self._complaints: cachetools.TTLCache[str, None] = cachetools.TTLCache(COMPLAINTS, COMPLAINT_INTERVAL, clock)
        self.counters = {name.decode(): MapCounters() for name in self._tables}
        self.unknown = MapCounters()
        """Replies to requests for a map that does not exist."""
        self.known = cache.known

    async def find(self, request: Request) -> Reply:
        """The reply to a request. Never raises, but for cancellation."""
        name = request.map_name.lower()
        counters = self.counters.get(name.decode("latin-1"), self.unknown)
        try:
            reply = await self._find(name, request)
        except LookupFailure as failure:
            if isinstance(failure, DataError):
                counters.data_errors += 1
                self._complain(logging.ERROR, f"map {name.decode()}, key {request.key!a}: {failure!s}")
            reply = lookup.temporary(failure.reason)
        except Exception:
            logger.exception("lookup in map %a failed", name)
            reply = lookup.temporary("internal error")
        counters.count(reply.status)
        return reply

    async def _find(self, name: bytes, request: Request) -> Reply:
        table = self._tables.get(name)
        if table is None:
            self._complain(logging.WARNING, f"request for unknown map {name[:100]!a}")
            return lookup.permanent("unknown map")
        key = address.fold(request.key)
        if key is None:
            return await self._believable(table, lookup.NOT_FOUND)

        async def search() -> Reply:
            return await self._search(table, key)

        return await self._cache.answer(name + b" " + request.key.lower(), search)

    async def _search(self, table: Table, key: str) -> Reply:
        """Ask the directory, and keep what its answer says about other lookups."""
        await self._throttle.turn()
        asked_at = self._clock()
        outcome = await self._ask(table, key)
        for warning in outcome.warnings:
            self._complain(logging.WARNING, f"map {table.name}, key {key!a}: {warning}")
        for name, other_key, reply in outcome.learnt:
            if reply.status is Status.FOUND or self.canaries.believed(name):
                self._cache.learn(f"{name} {other_key}".encode(), reply, asked_at)
        return await self._believable(table, outcome.reply)

    async def _ask(self, table: Table, key: str) -> Outcome:
        deadline = asyncio.get_running_loop().time() + self._timeout
        steps = table.lookup(key)
        try:
            search = next(steps)
            # Planning takes about as long as asking; a cached answer that is asked for meanwhile waits for one only.
            await asyncio.sleep(0)
            while True:
                entries = await self._directory.search(search, deadline=deadline)
                await self._throttle.turn()
                search = steps.send(entries)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome

    async def _believable(self, table: Table, reply: Reply) -> Reply:
        """``reply``, unless it is a NOTFOUND that must not be believed: then DirectoryFailure."""
        if reply.status is Status.NOT_FOUND:
            try:
                await self.canaries.believe(table.name)
            except DirectoryFailure:
                self.counters[table.name].canary_refusals += 1
                raise
        return reply

    async def _present(self, name: str, key: str) -> bool:
        try:
            return (await self._ask(self._tables[name.encode()], key)).reply.status is Status.FOUND
        except DataError:
            return False

    def _complain(self, level: int, text: str) -> None:
        """Log ``text`` unless it was logged a short while ago."""
        if text not in self._complaints:
            self._complaints[text] = None
            logger.log(level, "%s", text)
