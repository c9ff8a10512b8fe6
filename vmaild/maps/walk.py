"""Walks through all records of the cache, a few in each turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vmaild.cache import Cache, Record

SLICE = 2000
"""Records in a turn of the loop: a third of a millisecond."""


Visit = Callable[[Record], object]


class Walk:
    """One walk at a time: the next begins its second turn when the last has ended. ``prefixes`` are those of the keys
    of the records that are visited.
    """

    def __init__(self, cache: Cache, prefixes: tuple[bytes, ...]) -> None:
        self._cache = cache
        self._prefixes = prefixes
        self._last: asyncio.Task[None] | None = None

    def through(self, visit: Visit) -> None:
        """Visit every record that there is now: the first at once, the others in the next turns of the loop."""
        records = self._cache.all()
        self._visit(records[:SLICE], visit)
        if len(records) > SLICE:
            self._last = asyncio.get_running_loop().create_task(self._go_on(records, visit, self._last))

    def _visit(self, records: list[Record], visit: Visit) -> None:
        for record in records:
            # A record that has left the cache has no key.
            if record.key.startswith(self._prefixes):
                visit(record)

    async def close(self) -> None:
        """End what goes on."""
        if self._last is not None:
            self._last.cancel()
            await asyncio.gather(self._last, return_exceptions=True)

    async def _go_on(self, records: list[Record], visit: Visit, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        for start in range(SLICE, len(records), SLICE):
            await asyncio.sleep(0)
            self._visit(records[start : start + SLICE], visit)
