"""Lookups in flight: one for a key at a time, few begun in one turn of the loop, and what comes of them.

A ``Flight`` is one key being looked up for the maps of its record: it drives a ``KeyLookup`` through the searches that
it needs, in callbacks, without a task or a future. ``Flights`` knows those in flight, so that whoever asks for the same
key joins (single flight), and sees to it that an older search never replaces what a newer one found.

Lookups that miss come in bursts: many requests in one turn of the loop. Each costs some tens of microseconds to begin,
and a cached answer that is asked for meanwhile would wait for all of them. So ``WIDTH`` are begun in a row, and the
others of a burst as many in each of the next turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from vmaild.cache import NEVER, CacheCounters, Record
from vmaild.directory import LIMIT, NO_BASE, REFUSED, Ended
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Reply, Search
from vmaild.tables import Group, KeyLookup, Schema

WIDTH = 2
"""Lookups begun in a row: some tenths of a millisecond of work."""

TURN = 0.0005
"""Seconds after which the next lookup is not of the same burst: the loop has had its turn since."""

ASK_ALONE = frozenset({LIMIT, NO_BASE, REFUSED})
"""Failures of a joined search that may be of one of its queries only."""

Tell = Callable[[Reply], None]


class Waiter(NamedTuple):
    """Who waits for a map's answer, until ``end`` (loop time)."""

    map: Any
    tell: Tell
    end: float


class Searcher(Protocol):
    """What flights need of the directory."""

    @property
    def schema(self) -> Schema | None:
        """The schema of the server that will be asked."""

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> object:
        """Search by ``end`` (loop time); ``done`` is called once with how it ended."""


class Flight:
    """One key in flight; ``place`` is that of the map in the group that it is for.

    ``began`` is when its first search was sent, by the directory's clock. ``newest`` is when the search began whose
    record was stored for the key meanwhile: what began earlier is outdated. ``completes`` is the record that it adds
    to. ``origin`` is the server that answered last. ``others`` are lookups of other keys that its searches answered,
    each with when that search began. ``failure`` is set when it fails. ``landed`` is called once, when the lookup has
    settled its map or has failed.
    """

    __slots__ = ("_directory", "_landed", "_replanned", "began", "completes", "end", "failure", "group", "key",
                 "lookup", "newest", "origin", "others", "place", "timer", "waiters")  # fmt: skip

    lookup: KeyLookup

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
        self.failure: Exception | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def outdated(self) -> bool:
        """Whether what it found may not be stored any more."""
        return self.began < self.newest

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
                self._directory.begin(settled, self.end, self._searched)
                return
        except Exception as error:
            self.failure = error
        self._landed(self)

    def _searched(self, ended: Ended) -> None:
        lookup = self.lookup
        if isinstance(ended, DirectoryFailure):
            if not (lookup.joint and ended.kind in ASK_ALONE):
                self.failure = ended
                self._landed(self)
                return
            lookup.split()
        else:
            self.origin = ended.origin
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

    def _take_others(self, began: float) -> None:
        """They are stored once, and by the age of the search that answered them."""
        self.others += [(other, began) for other in self.lookup.others]
        self.lookup.others = []


def _same(one: Schema | None, other: Schema | None) -> bool:
    """Whether two servers have the same schema."""
    return one is not None and other is not None and one.raw == other.raw


class Flights:
    """Those in flight, by key. One that was forgotten goes on for those who wait for it, and stores nothing.

    ``landed`` is called with each when it has ended. ``counters`` count those who join.
    """

    def __init__(
        self,
        directory: Searcher,
        landed: Callable[[Flight], None],
        counters: CacheCounters,
        clock: Callable[[], float],
        width: int = WIDTH,
    ) -> None:
        self._directory = directory
        self._landed = landed
        self._counters = counters
        self._clock = clock
        self._width = width
        self._turn_ends = NEVER
        self._flights: dict[bytes, Flight] = {}
        self._begun = 0
        self._to_begin: deque[Flight] = deque()
        self.count = 0
        """How many are in flight, the forgotten ones included."""

    def join(self, key: bytes, waiter: Waiter, completes: Record | None) -> Flight:
        """Wait for the flight of ``key``, which is begun when there is none."""
        flight = self._flights.get(key)
        if flight is not None and (flight.completes is None or flight.completes is completes):
            self._counters.shared += 1
            flight.waiters.append(waiter)
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
        flight = Flight(key, entry.group, entry.place, waiter.end, completes, self._directory, self._landed)
        self._flights[key] = flight
        self.count += 1
        return flight

    def _begin(self, flight: Flight) -> None:
        """Begin it now, unless ``width`` of this burst were begun: then in one of the next turns of the loop."""
        now = self._clock()
        if now >= self._turn_ends and not self._to_begin:
            self._turn_ends = now + TURN
            self._begun = 0
        if self._begun >= self._width:
            if not self._to_begin:
                asyncio.get_running_loop().call_soon(self._next_turn)
            self._to_begin.append(flight)
            return
        self._begun += 1
        flight.fly()

    def _next_turn(self) -> None:
        for _ in range(min(len(self._to_begin), self._width)):
            self._to_begin.popleft().fly()
        if self._to_begin:
            asyncio.get_running_loop().call_soon(self._next_turn)
