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

    ``began`` and ``latest`` are when its first and its latest search were sent, by the directory's clock. ``newest`` is
    when the search began whose record was stored for the key meanwhile: what began earlier is outdated. ``completes``
    is the record that it adds to. ``failure`` is set when it fails.
    """

    __slots__ = ("_directory", "_landed", "began", "completes", "end", "failure", "group", "index", "key", "latest",
                 "lookup", "newest", "timer", "waiters")  # fmt: skip

    lookup: KeyLookup

    def __init__(self, key: bytes, group: Group, index: int, end: float, completes: Record | None) -> None:
        self.key = key
        self.group = group
        self.index = index
        self.end = end
        self.completes = completes
        self.waiters: list[Waiter] = []
        self.began = self.latest = NEVER
        self.newest = NEVER
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
            self.latest = ended.began
            if self.began == NEVER:
                self.began = ended.began
            if lookup.joint and ended.schema is not lookup.schema:
                # Another server answered than the one for which the queries were joined.
                lookup.split()
            else:
                lookup.receive(ended.entries)
        self._go_on()


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
