"""From a request to its reply: the map, its key, the cache, and what must be looked up.

``seek`` finds what is known at once; ``look_up`` sees to the rest and delivers the reply later, never an exception
(``landing``). What the directory said is answered as such and kept; every failure is TEMP, so that Postfix keeps the
mail:

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
import weakref
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping
from typing import NamedTuple

from vmaild import lookup
from vmaild.cache import Answer, Cache, Record, reply_of
from vmaild.lookup import NOT_FOUND, Reply, Request, Status
from vmaild.maps.canaries import Canaries
from vmaild.maps.counters import FlightCounters, MapCounters
from vmaild.maps.fair_queue import Peer
from vmaild.maps.flight import Flight, Limits, Searcher, Tell, Waiter
from vmaild.maps.freshness import Freshness
from vmaild.maps.landing import Landing, reply_to
from vmaild.maps.numbers import Numbers
from vmaild.maps.suspicion import Suspicion
from vmaild.process.log_once import LogOnce
from vmaild.tables import Group, address

logger = logging.getLogger("vmaild.maps")

Encode = Callable[[Reply], bytes]


class Map(NamedTuple):
    """One map: its name, its group and place there, what its records' keys begin with, its counters, and what was found
    last."""

    name: str
    group: Group
    place: int
    prefix: bytes
    counters: MapCounters
    found: deque[str]
    directory: Searcher | None = None
    """Where its lookups are made, when not where all are."""


class Wanted(NamedTuple):
    """A lookup that has no answer yet: ``key`` is that of its record, ``record`` what there is of it."""

    map: Map
    key: bytes
    record: Record | None


class Maps:
    """All maps of the daemon. ``timeout`` is in seconds: what one lookup may take in the directory.

    ``route`` gives what searches for the maps of each directory, where there are several; else ``directory`` does.

    ``before``: the maps over the same cache that these replace. What was counted by name goes on, and records stay for
    groups whose meaning is the same, unless ``keep_records`` is false: then none does. See ``take_over``.
    """

    def __init__(
        self,
        groups: Iterable[Group],
        cache: Cache,
        directory: Searcher,
        *,
        timeout: float,
        canaries: Mapping[str, tuple[str, ...]] | None = None,
        route: Callable[[int], Searcher] | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        before: Maps | None = None,
        keep_records: bool = True,
    ) -> None:
        groups = tuple(groups)
        self._numbers: Numbers = Numbers(groups, None if before is None else before._numbers, keep=keep_records)
        counted: dict[str, MapCounters] = {} if before is None else before.counters
        self._maps: dict[bytes, Map] = {}
        names = [table.name for group in groups for table in group.tables]
        itself = weakref.proxy(self)  # or each would hold the other, for ever
        present = functools.partial(Maps._present, itself)
        self._suspicion = Suspicion(names, present, cache)
        for group in groups:
            own = route(group.directory) if route is not None else None
            for place, table in enumerate(group.tables):
                counters = counted.get(table.name) or MapCounters()
                found = self._suspicion.samples[table.name].found
                entry = Map(table.name, group, place, self._numbers.prefix(group), counters, found, own)
                self._maps[table.name.encode()] = entry
                self._suspicion.places[table.name] = (entry.prefix, place)
        self._cache = cache
        self._directory = directory
        self._timeout = timeout
        self._clock = clock
        self._once = LogOnce(logger, clock)
        self.canaries = Canaries(canaries or {}, present, functools.partial(Maps._forget_not_found, itself), clock)
        self._landing = Landing(cache, directory, self.canaries, self._suspicion, self._once, limits)
        self._flights = self._landing.flights
        if before is not None:
            self._flights.flight_counters = before.flight_counters
        self.flight_counters: FlightCounters = self._flights.flight_counters
        self.counters: dict[str, MapCounters] = {one.name: one.counters for one in self._maps.values()}
        self.unknown: MapCounters = MapCounters() if before is None else before.unknown
        """Replies to requests for a map that does not exist."""
        self._hosted: Container[bytes] | None = None
        self._hosted_groups: frozenset[Group] = frozenset()

    @property
    def in_flight(self) -> int:
        """How many keys are being looked up."""
        return self._flights.count

    # --- what is known at once ------------------------------------------------------------------------------------

    def seek(self, name: bytes, key: bytes, encode: Encode) -> Answer | Wanted | Reply:
        """The cached answer, made ready by ``encode``; else what must be looked up, or a reply that needs neither."""
        try:
            return self._seek(name, key, encode)
        except Exception as error:
            return reply_to(error)

    def _seek(self, name: bytes, key: bytes, encode: Encode) -> Answer | Wanted | Reply:
        entry = self._maps.get(name) or self._maps.get(name.lower())
        if entry is None:
            return self._unknown(name)
        # Plain keys, which nearly all are, need not be folded by what knows of the others.
        folded = key.lower() if key.isascii() and b"\0" not in key else address.fold(key)
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
                record.asked_by(entry.place)
                return Answer(record, encode(reply), tally)
        elif (
            self._hosted is not None and folded.rpartition(b"@")[2] not in self._hosted and self._foreign(entry, folded)
        ):
            entry.counters.not_found += 1
            return NOT_FOUND
        return Wanted(entry, key, record)

    def _foreign(self, entry: Map, key: bytes) -> bool:
        """Whether the map holds nothing of domains that are not hosted, and nothing is wrong with it.

        Names beyond ASCII have several forms, which the server knows how to compare.
        """
        return key.isascii() and entry.group in self._hosted_groups and entry.name not in self.canaries.missing

    def _unknown(self, name: bytes) -> Reply:
        self._once.log(logging.WARNING, "unknown map", f"request for unknown map {name[:100]!a}")
        self.unknown.permanent += 1
        return lookup.permanent("unknown map")

    async def find(self, request: Request) -> Reply:
        """The reply to a request, from the cache or not, for callers that have time to wait."""
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

    def look_up(self, wanted: Wanted, tell: Tell, peer: Peer | None = None) -> None:
        """Have ``tell`` called once with the reply, now or later; ``peer`` is who asked. Never raises."""
        entry, key, record = wanted
        # uvloop's own time goes in milliseconds.
        waiter = Waiter(entry, tell, asyncio.get_running_loop().time() + self._timeout, peer, self._clock())
        if record is not None and not record.retired:
            self._renew(waiter, record)
        elif key:
            self._cache.counters.misses += 1
            self._flights.join(key, waiter, None)
        else:
            self._landing.not_found(waiter)

    def _renew(self, waiter: Waiter, record: Record) -> None:
        """Answer what ``record`` does not, or not any more."""
        known = record.known[waiter.map.place]
        now = self._clock()
        if now < record.expires_at and known is not None:
            # The last tenth of its life. Those who come after are answered on the hot path until it is renewed.
            self._cache.counters.prefetches += 1
            record.refresh_at = record.expires_at
            self._flights.renew(record.key, waiter)
            self._landing.tell_cached(waiter, record, known)
        elif now >= record.expires_at and self._cache.usable(record, known, now):
            self._cache.counters.expired += 1
            flight = self._flights.join(record.key, waiter, None)
            if flight.timer is None and flight.waiters:
                patience = self._cache.settings.stale_answer_after
                flight.timer = asyncio.get_running_loop().call_later(patience, self._landing.out_of_patience, flight)
        else:
            self._cache.counters.misses += 1
            more = record if now < record.expires_at and record.more is not None else None
            self._flights.join(record.key, waiter, more)

    # --- changes that arrive ------------------------------------------------------------------------------------------

    @property
    def groups(self) -> list[tuple[bytes, Group]]:
        """The groups of maps, each with what its records' keys begin with."""
        return list(dict.fromkeys((entry.prefix, entry.group) for entry in self._maps.values()))

    @property
    def timeout(self) -> float:
        """Seconds that one lookup may take in the directory."""
        return self._timeout

    def hear(self, freshness: Freshness, groups: Iterable[Group]) -> None:
        """From now on ``freshness`` is told what each record of these groups is made from."""
        self._landing.freshness.update(dict.fromkeys(groups, freshness))

    def host(self, domains: Container[bytes] | None, groups: Iterable[Group]) -> None:
        """From now on what is asked of ``groups`` about other domains is not found; None: the domains are not known.

        ``domains`` may be changed by its owner."""
        self._hosted = domains
        self._hosted_groups = frozenset(groups)

    def server_changed(self, directory: int, *, behind: bool) -> None:
        """Lookups of that directory go to another server, or it has changed whether that is ``behind``."""
        self.canaries.distrust()
        self._suspicion.server_changed(directory, behind=behind)

    # --- flushing, canaries, the end ------------------------------------------------------------------------------

    def flush(self, name: bytes | None = None, key: bytes | None = None) -> int:
        """Forget the record for one key of a map, or all records of a map, or all. Returns how many there were.

        What was asked for before is not stored any more, or the flush would bring nothing. Other maps that share the
        record forget it too.
        """
        if name is None:
            self._flights.forget(lambda _: True)
            count = len(self._cache)
            self._cache.forget_all()
            return count
        entry = self._maps.get(name.lower())
        folded = None if key is None else address.fold(key)
        if entry is None or (key is not None and folded is None):
            return 0
        if folded is not None:
            wanted = entry.prefix + folded
            self._flights.forget(wanted.__eq__)
            return self._cache.forget(wanted)
        self._flights.forget(lambda flying: flying.startswith(entry.prefix))
        count = self._cache.count(entry.prefix)
        self._cache.forget_all(lambda record: record.key.startswith(entry.prefix))
        return count

    def take_over(self, before: Maps) -> int:
        """Answer from now on in place of ``before``: returns how many of its records are forgotten.

        Its lookups in flight are answered to those who wait, and store nothing.
        """
        before._flights.forget(lambda _: True)
        before._landing.freshness.clear()
        dropped = self._numbers.dropped(before._numbers)
        count = sum(map(self._cache.count, dropped))
        if count:
            self._cache.forget_all(lambda record: record.key.startswith(dropped))
        return count

    def _forget_not_found(self, name: str) -> None:
        """A canary of the map is missing: its "not found" is not trusted any more."""
        entry = self._maps[name.encode()]

        def unwanted(record: Record) -> bool:
            return record.key.startswith(entry.prefix) and record.known[entry.place] is NOT_FOUND

        # What the other maps found is still good.
        self._cache.forget_all(unwanted, lambda record: record.without(entry.place) if record.positive else None)

    async def _present(self, name: str, key: str) -> bool:
        """Whether the directory has a canary, past the cache."""
        entry = self._maps[name.encode()]
        flight = await self.fly(entry, key.encode(), entry.directory or self._directory)
        if flight.failure is not None:
            raise flight.failure
        settled = flight.lookup.settle(entry.place)
        return isinstance(settled, Reply) and settled.status is Status.FOUND

    # --- past the cache -----------------------------------------------------------------------------------------------

    def named(self, name: bytes) -> Map | None:
        """The map of that name, letter case aside."""
        return self._maps.get(name.lower())

    @property
    def all(self) -> list[Map]:
        """Every map."""
        return list(self._maps.values())

    @property
    def directory(self) -> Searcher:
        """Where lookups go."""
        return self._directory

    def record(self, entry: Map, folded: bytes) -> Record | None:
        """What the cache holds for a folded key of a map, whatever its age."""
        return self._cache.get(entry.prefix + folded)

    async def fly(self, entry: Map, folded: bytes, directory: Searcher) -> Flight:
        """Look a folded key up, past the cache. The flight has landed then, with its lookup or its failure."""
        loop = asyncio.get_running_loop()
        landed: asyncio.Future[None] = loop.create_future()
        flight = Flight(
            entry.prefix + folded, entry.group, entry.place, loop.time() + self._timeout, None, directory,
            lambda _: None if landed.done() else landed.set_result(None),
        )  # fmt: skip
        flight.fly()
        await landed
        return flight

    async def close(self) -> None:
        """End what waits for canaries."""
        await asyncio.gather(self._landing.close(), self.canaries.close(), self._suspicion.close())
