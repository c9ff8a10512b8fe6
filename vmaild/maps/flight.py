"""Lookups in flight: one for a key at a time, and what comes of it.

A ``Flight`` is one key being looked up for the maps of its record: it drives a ``KeyLookup`` through the searches that
it needs, in callbacks, and tells all who wait. ``Flights`` knows those in flight, so that whoever asks for the same key
joins (single flight), and sees to it that an older search never replaces what a newer one found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from vmaild.cache import NEVER, Record
from vmaild.directory import LIMIT, NO_BASE, REFUSED, Ended
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Reply, Search
from vmaild.tables import Group, KeyLookup, Schema

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
    """One key in flight; ``index`` is the place in the group of the map that it is for.

    ``began`` is when its first search was sent, by the directory's clock. ``newest`` is when the search began whose
    record was stored for the key meanwhile: what began earlier is outdated. ``completes`` is the record that it adds
    to. ``others`` are lookups of other keys that its searches answered, each with when that search began. ``failure``
    is set when it fails.
    """

    __slots__ = ("_directory", "_landed", "_replanned", "began", "completes", "end", "failure", "group", "index", "key",
                 "lookup", "newest", "others", "timer", "waiters")  # fmt: skip

    lookup: KeyLookup

    def __init__(self, key: bytes, group: Group, index: int, end: float, completes: Record | None) -> None:
        self.key = key
        self.group = group
        self.index = index
        self.end = end
        self.completes = completes
        self.waiters: list[Waiter] = []
        self._replanned = False
        self.began = NEVER
        self.newest = NEVER
        self.others: list[tuple[KeyLookup, float]] = []
        self.failure: Exception | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def outdated(self) -> bool:
        """Whether what it found may not be stored any more."""
        return self.began < self.newest

    def fly(self, directory: Searcher, landed: Callable[[Flight], None]) -> None:
        """Begin; ``landed`` is called once when the lookup has settled its map, or ``failure`` is set."""
        self._directory = directory
        self._landed = landed
        try:
            more = self.completes.more if self.completes is not None else None
            text = self.key.partition(b" ")[2].decode()
            self.lookup = more or KeyLookup(self.group, text, directory.schema)
        except Exception as error:
            self.failure = error
            landed(self)
            return
        self._go_on()

    def _go_on(self) -> None:
        try:
            settled = self.lookup.settle(self.index)
            if isinstance(settled, Search):
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
    """Those in flight, by key. One that was forgotten goes on for those who wait for it, and stores nothing."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}
        self.count = 0
        """How many are in flight, the forgotten ones included."""

    def get(self, key: bytes) -> Flight | None:
        """The flight that those who ask for ``key`` may join."""
        return self._flights.get(key)

    def add(self, flight: Flight) -> None:
        """Let others join from now on."""
        self._flights[flight.key] = flight
        self.count += 1

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
