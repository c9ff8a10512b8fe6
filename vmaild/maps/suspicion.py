"""When "not found" is not what it seems: the server is behind, or what was found lately is not found any more.

A server that is behind what was seen before (``vmaild.directory.replica_state``) may not have an entry yet, or again:
what it does not find, though it was known, is a failure then. And before a map's "not found" is trusted, a sample of
what it found lately must be there still (``vmaild.maps.samples``).
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Awaitable, Callable, Iterable

from vmaild.cache import Cache
from vmaild.errors import DirectoryFailure
from vmaild.lookup import NOT_FOUND
from vmaild.maps.flight import Flight
from vmaild.maps.samples import Samples

Present = Callable[[str, str], Awaitable[bool]]


class Suspicion:
    """``names`` are those of the maps; ``present(map, key)`` asks the directory, as of ``Canaries``."""

    def __init__(self, names: Iterable[str], present: Present, cache: Cache) -> None:
        self._cache = cache
        itself = weakref.proxy(self)  # or each would hold the other, for ever
        self.samples = {
            name: Samples(
                name, functools.partial(present, name), functools.partial(Suspicion._known, itself, name), cache.clock
            )
            for name in names
        }
        """Of each map."""
        self.places: dict[str, tuple[bytes, int]] = {}
        """Of each map what its records' keys begin with, and its place in them."""
        self.behind: set[int] = set()
        """The directories whose server in use is behind what was seen before, by number."""

    def of(self, flight: Flight) -> Samples | None:
        """What is to confirm the flight's "not found" first, if anything. Raises DirectoryFailure on a late server."""
        if flight.group.directory in self.behind and self._goes_back(flight):
            raise DirectoryFailure("not found on a server that is behind", "behind")
        samples = self.samples[flight.group.tables[flight.place].name]
        return None if samples.trusted(flight.lookup.key) else samples

    def server_changed(self, directory: int, *, behind: bool) -> None:
        """Lookups of that directory go to another server, or it has changed whether that is ``behind``."""
        (self.behind.add if behind else self.behind.discard)(directory)
        for samples in self.samples.values():
            samples.distrust()

    async def close(self) -> None:
        """End the probes in flight."""
        await asyncio.gather(*(samples.close() for samples in self.samples.values()))

    def _known(self, name: str, key: str) -> bool:
        """Whether the cache knows a key of a map as found."""
        prefix, place = self.places[name]
        record = self._cache.get(prefix + key.encode())
        return record is not None and not record.retired and type(record.known[place]) is bytes

    def _goes_back(self, flight: Flight) -> bool:
        """Whether the server has not found what was known."""
        record = self._cache.get(flight.key)
        if record is None or not record.positive:
            return False
        return any(
            known is not None and known is not NOT_FOUND and flight.lookup.settle(place) is NOT_FOUND
            for place, known in enumerate(record.known)
        )
