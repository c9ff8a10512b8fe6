"""Many records are forgotten: at once for every reader, and a few in each turn of the loop for the memory.

A record knows the number of the last flush that it has passed. While a flush is in progress, each reader of a
record has it checked first if its number is older (``sift``), so that nothing is served that was flushed. All records
are checked in slices; when that is done, a get is again a get of a dict.

What holds records outside the cache and does not ask for them (``vmaild.server.recent``) is called before
(``Cache.on_forget``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vmaild.cache.record import GENERATION, GENERATION_SHIFT, Record
from vmaild.cache.store import Records

SLICE = 500
"""Records checked in a turn of the loop: half a millisecond."""

GENERATIONS = (GENERATION >> GENERATION_SHIFT) + 1

Unwanted = Callable[[Record], bool]
Instead = Callable[[Record], Record | None]


class Sweep:
    """The flushes of ``records`` that are in progress. ``get_by`` is called with what gets a record now."""

    def __init__(self, records: Records, get_by: Callable[[Callable[[bytes], Record | None]], None]) -> None:
        self._get_by = get_by
        self._records = records
        self._flushes: list[tuple[Unwanted, Instead]] = []
        self._queue = 0
        self._left = 0
        self._scheduled = False

    def begin(self, unwanted: Unwanted, instead: Instead) -> None:
        """Forget each record that is ``unwanted``, but keep what ``instead`` makes of it, if anything."""
        if len(self._flushes) == GENERATIONS - 1:
            self._finish()
        records = self._records
        self._flushes.append((unwanted, instead))
        records.generation = (records.generation + 1) % GENERATIONS
        records.sift = self._sift
        self._get_by(self._get)
        self._queue, self._left = 0, len(records.queues[0])
        self._look()
        if self._flushes and not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        try:
            asyncio.get_running_loop().call_soon(self._turn)
            self._scheduled = True
        except RuntimeError:
            # Nobody waits for a turn where no loop runs.
            self._finish()

    def _turn(self) -> None:
        self._scheduled = False
        if self._flushes:
            self._look()
        if self._flushes:
            self._schedule()

    def _finish(self) -> None:
        while self._flushes:
            self._look()

    def _get(self, key: bytes) -> Record | None:
        record = self._records.records.get(key)
        return None if record is None else self._sift(record)

    def _sift(self, record: Record) -> Record | None:
        """What is left of a record after the flushes that it has not passed."""
        records = self._records
        behind = records.generation - (record.marks >> GENERATION_SHIFT) & GENERATIONS - 1
        for unwanted, instead in self._flushes[-behind:] if behind else ():
            if not unwanted(record):
                continue
            other = instead(record)
            if other is None:
                records.discard(record)
                return None
            other.marks = record.marks
            records.replace(record, other)
            record = other
        record.marks = record.marks & ~GENERATION | records.generation << GENERATION_SHIFT
        return record

    def _look(self) -> None:
        """Check some of the records, in the order of their queues, which stays."""
        records = self._records
        for _ in range(SLICE):
            while not self._left:
                self._queue += 1
                if self._queue == len(records.queues):
                    self._end()
                    return
                self._left = len(records.queues[self._queue])
            queue = records.queues[self._queue]
            self._left = min(self._left, len(queue)) - 1
            if self._left < 0:
                self._left = 0
                continue
            key = queue.popleft()
            if records.standing(key, self._queue) is not None:
                queue.append(key)

    def _end(self) -> None:
        records = self._records
        self._flushes.clear()
        records.sift = None
        if len(records.records) < SLICE:
            # A dict keeps the size that it had, and a moment that many records shared the memory around it.
            records.records = dict(records.records)
            records.shared_instants.clear()
        self._get_by(records.records.get)
