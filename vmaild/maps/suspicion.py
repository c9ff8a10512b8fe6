"""When "not found" is not what it seems: the server is behind, or what was found lately is not found any more.

A server that is behind what was seen before (``vmaild.directory.replica_state``) may not have an entry yet, or again:
what it does not find, though it was known, is a failure then. And where a map says "not found" of what was known, or
suddenly very often, a sample of what it found lately is asked for first (``vmaild.maps.samples``).
"""

from __future__ import annotations

import asyncio
import functools
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
        self.samples = {name: Samples(name, functools.partial(present, name), cache.clock) for name in names}
        """Of each map."""
        self.behind: set[int] = set()
        """The directories whose server in use is behind what was seen before, by number."""

    def of(self, flight: Flight) -> Samples | None:
        """What is to confirm the flight's "not found" first, if anything. Raises DirectoryFailure on a late server."""
        goes_back = self._goes_back(flight)
        if goes_back and flight.group.directory in self.behind:
            raise DirectoryFailure("not found on a server that is behind", "behind")
        samples = self.samples[flight.group.tables[flight.place].name]
        if not (samples.rises() or goes_back) or not samples.found or samples.trusted:
            return None
        return samples

    def server_changed(self, directory: int, *, behind: bool) -> None:
        """Lookups of that directory go to another server, or it has changed whether that is ``behind``."""
        (self.behind.add if behind else self.behind.discard)(directory)
        for samples in self.samples.values():
            samples.distrust()

    async def close(self) -> None:
        """End the probes in flight."""
        await asyncio.gather(*(samples.close() for samples in self.samples.values()))

    def _goes_back(self, flight: Flight) -> bool:
        """Whether the server has not found what was known."""
        record = self._cache.get(flight.key)
        if record is None or not record.positive:
            return False
        return any(
            known is not None and known is not NOT_FOUND and flight.lookup.settle(place) is NOT_FOUND
            for place, known in enumerate(record.known)
        )
