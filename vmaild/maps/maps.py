"""From a request to its reply: the map, its key, the cache, the directory. Here exceptions become replies.

``seek`` finds what is known at once; ``look_up`` sees to the rest and tells the reply later, never an exception. What
the directory said is answered as such and kept; every failure is TEMP, so that Postfix keeps the mail:

===========================================  =======================================
an unknown map                               PERM, and it is logged
an empty key, a NUL in it, not UTF-8         NOTFOUND, the directory is not asked
a key that lacks what the map needs          NOTFOUND, the directory is not asked
the directory's word                         OK or NOTFOUND, cached
no word from the directory                   a stale answer where the cache has one, else TEMP
data that must not be used                   TEMP, remembered for a while, and the entries are logged
a canary of the map is missing               TEMP in place of NOTFOUND
===========================================  =======================================
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, NamedTuple

from vmaild import lookup
from vmaild.cache import NEVER, Answer, Cache, Known, Record, known_of, reply_of
from vmaild.errors import DataError, DirectoryFailure, LookupFailure
from vmaild.lookup import NOT_FOUND, Reply, Request, Search, Status
from vmaild.maps.canaries import Canaries
from vmaild.maps.counters import MapCounters
from vmaild.maps.flight import Flight, Flights, Searcher, Tell, Waiter
from vmaild.maps.throttle import Throttle
from vmaild.process.log_once import LogOnce
from vmaild.tables import Group, address

logger = logging.getLogger("vmaild.maps")

Encode = Callable[[Reply], bytes]


class Map(NamedTuple):
    """One map: its name, its group and place there, what its records' keys begin with, and its counters."""

    name: str
    group: Group
    place: int
    prefix: bytes
    counters: MapCounters


class Wanted(NamedTuple):
    """A lookup that has no answer yet: ``key`` is that of its record, ``record`` what there is of it."""

    map: Map
    key: bytes
    record: Record | None


class Maps:
    """All maps of the daemon. ``timeout`` is in seconds: what one lookup may take in the directory."""

    def __init__(
        self,
        groups: Iterable[Group],
        cache: Cache,
        directory: Searcher,
        *,
        timeout: float,
        canaries: Mapping[str, tuple[str, ...]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._maps: dict[bytes, Map] = {}
        for number, group in enumerate(groups):
            for place, table in enumerate(group.tables):
                entry = Map(table.name, group, place, b"%d " % number, MapCounters())
                self._maps[table.name.encode()] = entry
        self._cache = cache
        self._directory = directory
        self._timeout = timeout
        self._clock = clock
        self._flights = Flights()
        self._throttle = Throttle()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flushed_at = NEVER
        self._once = LogOnce(logger, clock)
        self.canaries = Canaries(canaries or {}, self._present, self._forget_not_found, clock)
        self.counters = {one.name: one.counters for one in self._maps.values()}
        self.unknown = MapCounters()
        """Replies to requests for a map that does not exist."""

    @property
    def in_flight(self) -> int:
        """How many keys are being looked up."""
        return self._flights.count

    # --- what is known at once ------------------------------------------------------------------------------------

    def seek(self, name: bytes, key: bytes, encode: Encode) -> Answer | Wanted | Reply:
        """The cached answer, made ready by ``encode``; else what must be looked up, or a reply that needs neither."""
        entry = self._maps.get(name) or self._maps.get(name.lower())
        if entry is None:
            return self._unknown(name)
        folded = address.fold(key)
        if folded is None:
            return Wanted(entry, b"", None)
        key = entry.prefix + folded
        record = self._cache.get(key)
        if record is not None:
            known = record.known[entry.place]
            now = self._clock()
            if known is not None and self._cache.serves(record, known, now):
                reply = reply_of(known)
                tally = self._cache.tally(entry.name, reply.status, stale=now >= record.expires_at)
                return Answer(record, encode(reply), tally)
        return Wanted(entry, key, record)

    def _unknown(self, name: bytes) -> Reply:
        self._once.log(logging.WARNING, "unknown map", f"request for unknown map {name[:100]!a}")
        self.unknown.permanent += 1
        return lookup.permanent("unknown map")

    async def find(self, request: Request) -> Reply:
        """The reply to a request, from the cache or not, for whoever has time to wait."""
        replies: list[Reply] = []

        def keep(reply: Reply) -> bytes:
            replies.append(reply)
            return b""

        got = self.seek(request.map_name, request.key, keep)
        if isinstance(got, Reply):
            return got
        if isinstance(got, Answer):
            got.tally.hits += 1
            return replies[0]
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.look_up(got, lambda reply: None if told.done() else told.set_result(reply))
        return await told

    # --- what must be looked up -----------------------------------------------------------------------------------

    def look_up(self, wanted: Wanted, tell: Tell) -> None:
        """Have ``tell`` called once with the reply, now or later. Never raises."""
        entry, key, record = wanted
        now = self._clock()
        known = None if record is None else record.known[entry.place]
        waiter = Waiter(entry, tell, asyncio.get_running_loop().time() + self._timeout)
        if not key:
            self._not_found_unasked(waiter)
        elif record is None or now >= record.expires_at:
            stale = record is not None and self._cache.usable(record, known, now)
            self._join(key, waiter, None, stale=stale)
        elif known is not None:
            self._prefetch(key, record, waiter, known)
        else:
            self._join(key, waiter, record if record.more else None, stale=False)

    def _prefetch(self, key: bytes, record: Record, waiter: Waiter, known: Known) -> None:
        """Answer from a record in the last tenth of its life, and renew it."""
        self._cache.counters.prefetches += 1
        # Those who come after are answered on the hot path until the search brings something.
        record.refresh_at = record.expires_at
        if self._flights.get(key) is None:
            self._begin(Flight(key, waiter.map.group, waiter.map.place, waiter.end, None))
        self._tell_cached(waiter, record, known)

    def _join(self, key: bytes, waiter: Waiter, completes: Record | None, *, stale: bool) -> None:
        """Wait for the flight of ``key``; begin it when there is none."""
        counters = self._cache.counters
        if stale:
            counters.expired += 1
        else:
            counters.misses += 1
        flight = self._flights.get(key)
        if flight is None:
            flight = Flight(key, waiter.map.group, waiter.map.place, waiter.end, completes)
            flight.waiters.append(waiter)
            self._begin(flight)
        else:
            counters.shared += 1
            flight.waiters.append(waiter)
        if stale and flight.timer is None and flight.waiters:
            patience = self._cache.settings.stale_answer_after
            flight.timer = asyncio.get_running_loop().call_later(patience, self._out_of_patience, flight)

    def _begin(self, flight: Flight) -> None:
        self._flights.add(flight)
        self._throttle.run(functools.partial(flight.fly, self._directory, self._landed))

    def _out_of_patience(self, flight: Flight) -> None:
        """The directory takes long: those who have a stale answer get it (RFC 8767, 5)."""
        flight.timer = None
        record = self._cache.get(flight.key)
        if record is not None and self._tell_stale(flight, record):
            self._cache.put_off(record)

    def _tell_stale(self, flight: Flight, record: Record) -> int:
        """Answer those who wait for what ``record`` may still say; returns how many they were."""
        now = self._clock()
        waiters, flight.waiters = flight.waiters, []
        told = 0
        for waiter in waiters:
            known = record.known[waiter.map.place]
            if self._cache.usable(record, known, now):
                self._tell_cached(waiter, record, known)
                told += 1
            else:
                flight.waiters.append(waiter)
        if flight.failure is None:
            self._cache.counters.slow += told
        return told

    # --- what came of it ------------------------------------------------------------------------------------------

    def _landed(self, flight: Flight) -> None:
        if flight.failure is None and (doubtful := self._doubtful(flight)):
            self._spawn(self._confirm(flight, doubtful))
        else:
            self._end(flight)

    def _doubtful(self, flight: Flight) -> list[str]:
        """The maps whose "not found" somebody waits for, and cannot be trusted yet."""
        if not self.canaries.keys:
            return []
        names = [flight.group.tables[flight.index].name, *(waiter.map.name for waiter in flight.waiters)]
        settled = {table.name: flight.lookup.settle(n) for n, table in enumerate(flight.group.tables)}
        return [n for n in dict.fromkeys(names) if settled[n] is NOT_FOUND and not self.canaries.trusted(n)]

    async def _confirm(self, flight: Flight, names: list[str]) -> None:
        try:
            for name in names:
                await self.canaries.confirm(name)
        except Exception as error:
            flight.failure = error
            for waiter in flight.waiters:
                waiter.map.counters.canary_refusals += waiter.map.name in names
        self._end(flight)

    def _end(self, flight: Flight) -> None:
        """Store what was found and tell it; or tell the failure."""
        self._flights.remove(flight)
        if flight.timer is not None:
            flight.timer.cancel()
        if flight.failure is None:
            try:
                self._deliver(flight, self._kept(flight))
            except Exception as error:
                flight.failure = error
        if flight.failure is not None:
            self._failed(flight, flight.failure)

    def _kept(self, flight: Flight) -> list[Known]:
        """What the maps of the record know now, stored unless it is outdated."""
        found, more = self._knowledge(flight.lookup)
        record = flight.completes
        if record is not None:
            if not record.retired:
                self._cache.complete(record, found, more)
        elif flight.outdated:
            self._cache.counters.outdated += 1
            newer = self._cache.get(flight.key)
            if newer is not None:
                found = [old if new is None else new for old, new in zip(found, newer.known, strict=True)]
        elif flight.began != NEVER:
            self._cache.store(flight.key, found, more)
        self._keep_others(flight)
        for warning in flight.lookup.warnings:
            self._once.log(logging.WARNING, warning, f"key {flight.lookup.key!a}: {warning}")
        return found

    def _knowledge(self, one: Any) -> tuple[list[Known], Any]:
        """What a lookup has settled for each map, and the lookup itself where more is to be asked."""
        found: list[Known] = []
        more = None
        for index, table in enumerate(one.group.tables):
            settled = one.settle(index)
            if isinstance(settled, Search):
                found.append(None)
                more = one
            elif isinstance(settled, DataError):
                found.append(settled)
            elif settled is NOT_FOUND and not self.canaries.trusted(table.name):
                found.append(None)
            else:
                found.append(known_of(settled))
        return found, more

    def _keep_others(self, flight: Flight) -> None:
        """Store what the same searches said of other keys, where nothing is known of them."""
        if not flight.lookup.others or flight.latest <= self._flushed_at:
            return
        prefix = flight.key[: flight.key.index(b" ") + 1]
        for other in flight.lookup.others:
            key = prefix + other.key.encode()
            if self._cache.get(key) is None:
                self._cache.store(key, *self._knowledge(other))
                self._flights.stored(key, flight.latest)

    def _deliver(self, flight: Flight, found: list[Known]) -> None:
        """Tell each who waits; for a map that needs further searches, go on."""
        waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            known = found[waiter.map.place]
            if known is not None:
                if isinstance(known, DataError):
                    self._log_data_error(waiter, flight, known)
                self._tell(waiter, reply_of(known))
                continue
            record = self._cache.get(flight.key)
            completes = record if record is not None and record.more else None
            self._join(flight.key, waiter, completes, stale=False)

    def _log_data_error(self, waiter: Waiter, flight: Flight, error: DataError) -> None:
        waiter.map.counters.data_errors += 1
        text = f"map {waiter.map.name}, key {flight.lookup.key!a}: {error!s}"
        self._once.log(logging.ERROR, f"{waiter.map.name} {error!s}", text)

    def _failed(self, flight: Flight, failure: Exception) -> None:
        """Here exceptions become replies."""
        self._cache.counters.failures += 1
        if isinstance(failure, DirectoryFailure):
            record = self._cache.get(flight.key)
            if record is not None:
                self._cache.put_off(record)
                self._tell_stale(flight, record)
        if not isinstance(failure, LookupFailure):
            logger.error("lookup of key %a failed", flight.key, exc_info=failure)
        reply = lookup.temporary(failure.reason if isinstance(failure, LookupFailure) else "internal error")
        waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            self._tell(waiter, reply)

    def _tell(self, waiter: Waiter, reply: Reply) -> None:
        waiter.map.counters.count(reply.status)
        waiter.tell(reply)

    def _tell_cached(self, waiter: Waiter, record: Record, known: Known) -> None:
        assert known is not None
        reply = reply_of(known)
        self._cache.tally(waiter.map.name, reply.status, stale=self._clock() >= record.expires_at).hits += 1
        waiter.tell(reply)

    def _not_found_unasked(self, waiter: Waiter) -> None:
        """A key that cannot be in the directory. Even then a missing canary makes it TEMP, as for all of its map."""
        if self.canaries.trusted(waiter.map.name):
            self._tell(waiter, NOT_FOUND)
        else:
            self._spawn(self._confirm_unasked(waiter))

    async def _confirm_unasked(self, waiter: Waiter) -> None:
        try:
            await self.canaries.confirm(waiter.map.name)
        except DirectoryFailure as failure:
            waiter.map.counters.canary_refusals += 1
            self._tell(waiter, lookup.temporary(failure.reason))
        else:
            self._tell(waiter, NOT_FOUND)

    # --- flushing, canaries, the end ------------------------------------------------------------------------------

    def flush(self, name: bytes | None = None, key: bytes | None = None) -> int:
        """Forget the record for one key of a map, or all records of a map, or all. Returns how many there were.

        What was asked for before is not stored any more, or the flush would bring nothing. Other maps that share the
        record forget it too.
        """
        self._flushed_at = self._clock()
        if name is None:
            self._flights.forget(lambda _: True)
            return self._cache.forget_all()
        entry = self._maps.get(name.lower())
        folded = None if key is None else address.fold(key)
        if entry is None or (key is not None and folded is None):
            return 0
        if folded is not None:
            wanted = entry.prefix + folded
            self._flights.forget(wanted.__eq__)
            return self._cache.forget(wanted)
        self._flights.forget(lambda flying: flying.startswith(entry.prefix))
        return self._cache.forget_all(lambda record: record.key.startswith(entry.prefix))

    def _forget_not_found(self, name: str) -> None:
        """A canary of the map is missing: its "not found" is not trusted any more."""
        entry = self._maps[name.encode()]

        kept: list[Record] = []

        def unwanted(record: Record) -> bool:
            if not record.key.startswith(entry.prefix) or record.known[entry.place] is not NOT_FOUND:
                return False
            if record.positive:
                kept.append(record.without(entry.place))
            return True

        self._cache.forget_all(unwanted)
        for record in kept:
            self._cache.keep(record)

    async def _present(self, name: str, key: str) -> bool:
        """Whether the directory has a canary, past the cache."""
        entry = self._maps[name.encode()]
        loop = asyncio.get_running_loop()
        landed: asyncio.Future[None] = loop.create_future()
        flight = Flight(entry.prefix + key.encode(), entry.group, entry.place, loop.time() + self._timeout, None)
        flight.fly(self._directory, lambda _: None if landed.done() else landed.set_result(None))
        await landed
        if flight.failure is not None:
            raise flight.failure
        settled = flight.lookup.settle(entry.place)
        return isinstance(settled, Reply) and settled.status is Status.FOUND

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what waits for canaries."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, self.canaries.close(), return_exceptions=True)
