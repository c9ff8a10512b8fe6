"""Lookups in flight: one for a key at a time, few begun in one turn of the loop, and what comes of them.

A ``Flight`` is one key being looked up for the maps of its record: it drives a ``KeyLookup`` through the searches that
it needs, in callbacks, without a task or a future. ``Flights`` knows those in flight, so that a second request for the
same key joins (single flight), and sees to it that an older search never replaces what a newer one found.

Lookups that miss come in bursts: many requests in one turn of the loop. Each costs some tens of microseconds to begin,
and a cached answer that is asked for during that would wait for all of them. So ``WIDTH`` are begun in a row, and the
others of a burst as many in each of the next turns.

No more are in the directory at a time than it has connections for. The others wait here, where the client with fewest
goes first (``fair_queue``). What cannot be answered in time any more is not begun.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from vmaild.cache import NEVER, CacheCounters, Record
from vmaild.directory import LIMIT, NO_BASE, REFUSED, Ended
from vmaild.directory.deadline_timer import DeadlineTimer
from vmaild.errors import DirectoryFailure, Overloaded
from vmaild.lookup import NOT_FOUND, Reply, Search
from vmaild.maps.counters import FlightCounters
from vmaild.maps.fair_queue import FairQueue, Peer
from vmaild.maps.latency import LATENCY_BOUNDS
from vmaild.maps.side_by_side import SideBySide
from vmaild.tables import Group, KeyLookup, Schema

logger = logging.getLogger("vmaild.maps")

WIDTH = 2
"""Lookups begun in a row: some tenths of a millisecond of work."""

TURN = 0.0005
"""Seconds after which the next lookup is not of the same burst: the loop has had its turn since."""

FAILED_IN_A_TURN = 16
"""Lookups that are failed in a row because they have waited too long."""

EXPIRY_STEP = 0.005
"""Seconds between two checks of who has waited too long."""

SEVERAL = "several servers"
"""The origin of a lookup that several servers answered."""

ASK_ALONE = frozenset({LIMIT, NO_BASE, REFUSED})
"""Failures of a joined search that may be of one of its queries only."""

Tell = Callable[[Reply], None]


class Waiter(NamedTuple):
    """Who waits for a map's answer, until ``end`` (loop time). It asked at ``since``, by the clock of the cache."""

    map: Any
    tell: Tell
    end: float
    peer: Peer | None = None
    since: float | None = None
    """None: not to be timed."""

    def answer(self, reply: Reply, now: float) -> None:
        """Hand over the reply, and note how long it took."""
        if self.since is not None:
            # As Latency.observe does: this is on the way of each miss.
            latency, seconds = self.map.counters.latency, now - self.since
            latency.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
            latency.total += seconds
        self.tell(reply)


class Limits(NamedTuple):
    """How many lookups there may be that the cache cannot answer: begun in the directory, waiting for that, and of one
    client."""

    begun: int = 1000
    waiting: int = 1000
    of_a_client: int = 1000


class Searcher(Protocol):
    """What flights need of the directory."""

    @property
    def schema(self) -> Schema | None:
        """The schema of the server that will be asked."""

    @property
    def search_time(self) -> float:
        """Seconds that a search takes at present, 0 when that is not known."""

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> object:
        """Search by ``end`` (loop time); ``done`` is called once with how it ended."""


class Flight:
    """One key in flight; ``place`` is that of the map in the group that it is for.

    ``began`` is when its first search was sent, by the directory's clock. ``newest`` is when the search began whose
    record was stored for the key in between: what began earlier is outdated. ``completes`` is the record that it adds
    to. ``origin`` is the server that answered, or ``SEVERAL``. ``others`` are lookups of other keys that its searches
    answered, each with when that search began. ``failure`` is set when it fails. ``found_nothing`` tells that
    the map has no answer. ``landed`` is called once, when the lookup has settled its map or has failed.
    """

    __slots__ = ("_directory", "_landed", "_replanned", "began", "completes", "end", "failure", "found_nothing",
                 "group", "key", "lookup", "newest", "origin", "others", "peer", "place", "timer", "waiters",
                 "waits")  # fmt: skip

    lookup: KeyLookup
    peer: Peer

    def __init__(
        self,
        key: bytes,
        group: Group,
        place: int,
        end: float,
        completes: Record | None,
        directory: Searcher,
        landed: Callable[[Flight], None],
    ) -> None:
        self.key = key
        self.group = group
        self.place = place
        self.end = end
        self.completes = completes
        self._directory = directory
        self._landed = landed
        self.waiters: list[Waiter] = []
        self._replanned = False
        self.began = self.newest = NEVER
        self.others: list[tuple[KeyLookup, float]] = []
        self.origin = ""
        self.found_nothing = False
        self.failure: Exception | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.waits = False

    def fly(self) -> None:
        """Begin."""
        try:
            more = self.completes.more if self.completes is not None else None
            if more is None:
                more = KeyLookup(self.group, self.key.partition(b" ")[2].decode(), self._directory.schema)
            self.lookup = more
        except Exception as error:
            self.failure = error
            self._landed(self)
            return
        self._go_on()

    def _go_on(self) -> None:
        try:
            settled = self.lookup.settle(self.place)
            if type(settled) is Search:
                if logger.isEnabledFor(logging.DEBUG):
                    logger.debug(
                        "key %a: %s search at %a for %a",
                        self.lookup.key,
                        settled.scope.value,
                        settled.base,
                        settled.filter,
                    )
                members = self.lookup.members
                if members is None:
                    self._directory.begin(settled, self.end, self._searched)
                else:
                    SideBySide(members, self._directory.begin, self.end, self._members_known).start()
                return
            self.found_nothing = settled is NOT_FOUND
        except Exception as error:
            self.failure = error
        self._landed(self)

    def _searched(self, ended: Ended) -> None:
        lookup = self.lookup
        if logger.isEnabledFor(logging.DEBUG):
            what = ended if isinstance(ended, DirectoryFailure) else ended.entries
            how = f"{len(what)} entries" if isinstance(what, list) else str(what)
            logger.debug("key %a: %s", lookup.key, how)
        if isinstance(ended, DirectoryFailure):
            if not (lookup.joint and ended.kind in ASK_ALONE):
                self.failure = ended
                self._landed(self)
                return
            lookup.split()
        else:
            self.origin = ended.origin if self.origin in ("", ended.origin) else SEVERAL
            first = self.began == NEVER
            if first:
                self.began = ended.began
            if ended.schema is lookup.schema or not lookup.joint or _same(ended.schema, lookup.schema):
                lookup.receive(ended.entries)
                if lookup.others:
                    self._take_others(ended.began)
            elif first and self.completes is None and not self._replanned:
                # Another server answered than the one for which the queries were joined: join them for that one.
                self._replanned = True
                self.began = NEVER
                self.lookup = KeyLookup(self.group, lookup.key, ended.schema)
            else:
                lookup.split()
        self._go_on()

    def _members_known(self, ended: DirectoryFailure | set[str]) -> None:
        if isinstance(ended, DirectoryFailure):
            self.failure = ended
            self._landed(self)
            return
        if ended - {self.origin}:
            self.origin = SEVERAL
        self._go_on()

    def _take_others(self, began: float) -> None:
        """They are stored once, and by the age of the search that answered them."""
        self.others += [(other, began) for other in self.lookup.others]
        self.lookup.others = []


def _same(one: Schema | None, other: Schema | None) -> bool:
    """Whether two servers have the same schema."""
    return one is not None and other is not None and one.raw == other.raw


class Flights:
    """Those in flight, by key. One that was forgotten goes on for those who wait for it, and stores nothing.

    ``landed`` is called with each when it has ended. ``counters`` count those who join, ``flight_counters`` those that
    were not begun.
    """

    def __init__(
        self,
        directory: Searcher,
        landed: Callable[[Flight], None],
        counters: CacheCounters,
        clock: Callable[[], float],
        width: int = WIDTH,
        limits: Limits | None = None,
    ) -> None:
        self._directory = directory
        self._landed = landed
        self._counters = counters
        self._clock = clock
        self._width = width
        self._turn_ends = NEVER
        self._flights: dict[bytes, Flight] = {}
        self._begun = 0
        self._in_directory = 0
        self._limits = limits or Limits()
        self._waiting: FairQueue[Flight] = FairQueue()
        self._deadline = DeadlineTimer(self._expire)
        self._nobody = Peer()
        self._turn_comes = self._beginning = False
        self.flight_counters = FlightCounters()
        self.count = 0
        """How many are in flight, the forgotten ones included."""

    def close(self) -> None:
        """Let none wait any more: those in flight end with the directory."""
        self._deadline.close()

    def join(self, key: bytes, waiter: Waiter, completes: Record | None) -> Flight:
        """Wait for the flight of ``key``, which is begun when there is none."""
        flight = self._flights.get(key)
        if flight is not None and (flight.completes is None or flight.completes is completes):
            self._counters.shared += 1
            flight.waiters.append(waiter)
            if flight.waits and waiter.peer is not None and waiter.peer.count + 1 < flight.peer.count:
                self._waiting.give(flight, waiter.peer)
            return flight
        if flight is not None:
            # It adds to a record that no longer serves.
            self.forget(key.__eq__)
        flight = self._new(key, waiter, completes)
        flight.waiters.append(waiter)
        self._begin(flight)
        return flight

    def renew(self, key: bytes, waiter: Waiter) -> None:
        """Look ``key`` up once more, unless it is in flight; nobody waits for it."""
        if key not in self._flights:
            self._begin(self._new(key, waiter, None))

    def remove(self, flight: Flight) -> None:
        """It has landed."""
        self.count -= 1
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def stored(self, key: bytes, began: float) -> None:
        """A record was stored for ``key`` from a search that began then."""
        flight = self._flights.get(key)
        if flight is not None and flight.newest < began:
            flight.newest = began

    def forget(self, wanted: Callable[[bytes], bool]) -> None:
        """Let nobody join the flights for the keys that are ``wanted``, nor their outcome be stored."""
        for key in [key for key in self._flights if wanted(key)]:
            self._flights.pop(key).newest = float("inf")

    def _new(self, key: bytes, waiter: Waiter, completes: Record | None) -> Flight:
        entry = waiter.map
        directory = entry.directory or self._directory
        flight = Flight(key, entry.group, entry.place, waiter.end, completes, directory, self._ended)
        flight.peer = waiter.peer or self._nobody
        self._flights[key] = flight
        self.count += 1
        return flight

    def _begin(self, flight: Flight) -> None:
        """Begin it now, or let it wait: for one of the next turns of the loop, and for its turn in the directory."""
        now = self._clock()
        if now >= self._turn_ends and not self._waiting.size:
            self._turn_ends = now + TURN
            self._begun = 0
        if flight.peer.queue:
            self._waiting.count(flight.peer, 1)
        else:
            flight.peer.count += 1
        if self._waiting.size or self._begun >= self._width or self._in_directory >= self._limits.begun:
            self._wait(flight)
            return
        self._begun += 1
        self._in_directory += 1
        flight.fly()

    def _wait(self, flight: Flight) -> None:
        """Let it wait; or fail it, or the newest of the client that has more than its own."""
        counters, limits, peer = self.flight_counters, self._limits, flight.peer
        if peer.count > limits.of_a_client:
            counters.refused_of_a_client += 1
            self._refuse(flight, f"{limits.of_a_client} lookups of one client wait already")
            return
        flight.waits = True
        self._waiting.push(flight)
        if flight.end < self._deadline.at:
            self._deadline.set(flight.end)
        if self._waiting.size > limits.waiting:
            counters.refused += 1
            self._refuse(self._waiting.newest(), f"{limits.waiting} lookups wait already")
        self._see_to_the_next()

    def _refuse(self, flight: Flight, why: str) -> None:
        """Fail one that is not begun."""
        if flight.waits:
            flight.waits = False
            self._waiting.remove(flight)
        self._waiting.count(flight.peer, -1)
        flight.failure = Overloaded(why)
        self._landed(flight)

    def _ended(self, flight: Flight) -> None:
        """The directory has a place for another."""
        self._in_directory -= 1
        peer = flight.peer
        if peer.queue:
            self._waiting.count(peer, -1)
        else:
            peer.count -= 1
        self._landed(flight)
        if self._waiting.size and not self._beginning:
            self._begin_waiting(1)

    def _begin_waiting(self, most: int) -> None:
        """Begin the next, as many as there is room for; fail those on the way for which it is too late."""
        try:
            self._beginning = True
            self._begin_these(most)
        finally:
            self._beginning = False
        self._see_to_the_next()

    def _begin_these(self, most: int) -> None:
        too_late = asyncio.get_running_loop().time() + self._directory.search_time
        failed = 0
        while self._waiting.size and most and failed < FAILED_IN_A_TURN and self._in_directory < self._limits.begun:
            flight = self._waiting.pop()
            flight.waits = False
            if flight.end < too_late:
                failed += 1
                self._too_late(flight)
            else:
                most -= 1
                self._in_directory += 1
                flight.fly()

    def _see_to_the_next(self) -> None:
        """Have the next of those who wait begun in the next turn of the loop, if there is room for it."""
        if self._waiting.size and self._in_directory < self._limits.begun and not self._turn_comes:
            self._turn_comes = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_comes = False
        self._begin_waiting(self._width)

    def _too_late(self, flight: Flight) -> None:
        self.flight_counters.too_late += 1
        self._refuse(flight, "less time is left than a search takes")

    def _expire(self, now: float) -> float | None:
        late = list(itertools.islice((one for one in self._waiting if one.end <= now), FAILED_IN_A_TURN))
        for flight in late:
            if flight.waits:
                self._too_late(flight)
        end = min((flight.end for flight in self._waiting), default=None)
        return None if end is None else max(end, now + EXPIRY_STEP)
