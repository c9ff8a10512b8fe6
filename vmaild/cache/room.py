"""The store of records: what is kept, and what makes room, by numbers and by bytes.

Each record stands in one of four queues, oldest first:

========  ============================================================================================================
negative  no entry was found
new       was asked for once
main      was asked for again, or came back after it had made room
derived   a catch-all answered, or the address without its extension
========  ============================================================================================================

When there is no room, new records go first as long as they have more than ``NEW_SHARE``, then those of main: one that
was asked for again moves from new to main, and in main goes to the end once more. So what is asked for once, be it a
million addresses, passes through a tenth of the cache. This is S3-FIFO (Yang et al., SOSP 2023) with its ghosts: a key
that was pushed out and comes back is admitted to main. It needs one mark for each record, and nothing when an answer is
given on the hot path, which the policy does not see: that an answer is wanted shows when it is first given from the
cache (``Record.asked_by``), and each time it is renewed.

Derived and negative records have shares of their own. They may use what is free, and make room first.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from vmaild.cache.counters import KINDS, CacheCounters
from vmaild.cache.ghosts import Ghosts
from vmaild.cache.record import ASKED, DERIVED, MAIN, NEGATIVE, NEVER, NEW, QUEUE, Record
from vmaild.cache.settings import (
    DERIVED_SHARE,
    LEAST_SHARE,
    NEGATIVE_SHARE,
    NEW_SHARE,
    RECORD_SHARE,
    REQUESTS_SHARE,
    CacheSettings,
)
from vmaild.cache.weight import LARGE, PLACE, LargeValues

REMADE = 50_000
"""Records up to which a dict that is far too large is made again: 4 ms."""

LARGEST_PLACE = 150
"""Bytes of a place in a dict that has just doubled, 120, and some more."""

REMADE_SIZE = 1024 * 1024
"""For less a dict is not made again."""

GROWTH = 4 * 1024 * 1024
"""Bytes of records that are not small, stored between two calls of ``on_growth``."""

SECOND_CHANCES = 32
"""Records that were asked for and go to the end of their queue while room is made for one."""

WORK = 500
"""Records examined while room is made for one: less than a millisecond. When that does not suffice, the new record
is not kept; the next one finds the work done."""


class Room(ABC):
    """Records by key, and their queues and accounts. ``vmaild.cache.store`` puts records in."""

    def __init__(
        self,
        settings: CacheSettings,
        counters: CacheCounters,
    ) -> None:
        self._counters = counters
        self._reserved = self._withheld = self._spare = 0
        self.use(settings)
        self._large = LargeValues()
        self.records: dict[bytes, Record] = {}
        self.queues: list[deque[bytes]] = [deque(), deque(), deque(), deque()]
        """Keys by queue, the very objects that the records have. A key whose record is gone, or stands elsewhere now,
        takes up a place until its turn comes."""
        self.counts = [0, 0, 0, 0]
        """How many records there are, by queue."""
        self.weights = [0, 0, 0, 0]
        """Bytes, by queue."""
        self.weight = 0
        """Bytes of all records."""
        self.freed = 0
        """Bytes of records that went, ever."""
        self.groups: dict[bytes, int] = {}
        """How many records there are, by what stands before the space in the key: the group of maps."""
        self.generation = 0
        """The number of the last flush, modulo 8. Records that are stored from now on have it."""
        self.sift: Callable[[Record], Record | None] | None = None
        """During a flush: what is left of a record after it."""
        self.forgot_at = NEVER
        """When a record last was forgotten or made room."""
        self.on_growth: Callable[[], None] = _nothing
        """Called when ``GROWTH`` bytes have come in: that may take less time than is between two ticks of a timer."""
        self.grown = 0
        """Bytes that came in since."""
        self.get: Callable[[bytes], Record | None] = self.records.get
        """The record for a key, None when there is none."""

    def use(self, settings: CacheSettings) -> None:
        """Follow these settings from now on. Where there is less room, each record that is stored makes some."""
        self._max_entries, self._max_negative_entries = settings.max_entries, settings.max_negative_entries
        entries = settings.max_entries
        size = int(settings.max_size * (1 - REQUESTS_SHARE))
        self._ghosts = Ghosts(entries, size)
        self._whole = size - self._ghosts.size
        self._heaviest = int(self._whole * RECORD_SHARE)
        self._count_shares = [0, max(1, int(entries * NEW_SHARE)), 0, max(1, int(entries * DERIVED_SHARE))]
        self.withhold(self._withheld)

    def reserve(self, more: int) -> None:
        """Leave so many bytes more to what is noted beside the records (``vmaild.cache.dependents``)."""
        self._reserved += more
        self.size -= more

    def withhold(self, wanted: int) -> int:
        """Leave so many bytes unused, or as many as may be: ``LEAST_SHARE`` stays. Returns how many are left.

        Where that is less room than there was, each record that is stored makes some.
        """
        self._withheld = wanted
        withheld = min(wanted, int(self._whole * (1 - LEAST_SHARE)))
        size = self._whole - withheld - self._spare
        self.size = size - self._reserved
        """Most bytes of all records."""
        # Shares of what is used, so that what was asked for again stays before the others also then.
        self._size_shares = [int(size * share) for share in (NEGATIVE_SHARE, NEW_SHARE, 0, DERIVED_SHARE)]
        return withheld

    def shrink(self) -> bool:
        """Make the dict of records again where it is far too large. Returns whether it was: 15 ms at most.

        A dict doubles, and keeps the size that it had until it is full again: with a million places it takes 80 bytes
        for each of 250,000 records, and 20 MiB for ten.
        """
        size, count = sys.getsizeof(self.records), len(self.records)
        if count > REMADE or size <= LARGEST_PLACE * count + REMADE_SIZE:
            return False
        self.records = dict(self.records)
        return True

    def measure(self) -> None:
        """Count what the dict takes beside the places of its records."""
        size = sys.getsizeof(self.records)
        # A small dict's room is in RECORD, rounded up.
        spare = max(0, size - PLACE * len(self.records)) if size > REMADE_SIZE else 0
        self._spare = min(spare, self._whole // 2)
        self.withhold(self._withheld)

    @property
    def counted(self) -> int:
        """Bytes of the records, of their dict, of what is noted beside them, and of the keys that were pushed out."""
        prints = self._ghosts.prints
        return self.weight + self._spare + self._reserved + len(prints) * prints.itemsize

    def replace(self, old: Record, record: Record) -> None:
        """Put ``record`` in the place of ``old``, whose queue its marks name."""
        # The very object that stands in the queue.
        record.key = old.key
        self._charge(record, self._weigh(record))
        self._release(old)
        old.retire()
        self.records[record.key] = record

    def discard(self, record: Record) -> None:
        """Remove ``record``."""
        del self.records[record.key]
        self._release(record)
        record.retire()

    def standing(self, key: bytes, number: int) -> Record | None:
        """The record of a key of that queue, None when it is gone, was flushed, or stands elsewhere."""
        record = self.records.get(key)
        if record is None or record.key is not key or record.marks & QUEUE != number:
            return None
        return record if self.sift is None else self.sift(record)

    def _turn(self, number: int) -> None:
        """Many keys of the queue have no record any more: look for some of them."""
        queue = self.queues[number]
        for _ in range(SECOND_CHANCES):
            key = queue.popleft()
            if self.standing(key, number) is not None:
                queue.append(key)

    @abstractmethod
    def _charge(self, record: Record, weight: int) -> None:
        """Count a record in."""

    @abstractmethod
    def _has_room(self, number: int) -> bool:
        """Whether a record of that queue, which is counted in already, needs no other to go."""

    @abstractmethod
    def _weigh(self, record: Record) -> int:
        """The bytes that ``record`` takes, its large values included."""

    # --- accounts ---------------------------------------------------------------------------------------------------

    def _release(self, record: Record) -> None:
        """Count a record out."""
        number = record.marks & QUEUE
        weight = self._weigh(record)
        self.freed += weight
        if weight >= LARGE:
            weight -= self._give_back(record)
        self.counts[number] -= 1
        self.weights[number] -= weight
        self.weight -= weight
        key = record.key
        self.groups[key[: key.find(b" ")]] -= 1

    def _give_back(self, record: Record) -> int:
        """Count out large values that no record has any more. Returns the bytes of all that this one has."""
        large, freed = self._large.give_back(record)
        for payer, size in freed:
            self.weights[payer] -= size
            self.weight -= size
        return large

    def _move(self, record: Record, number: int) -> None:
        """Put a record at the end of another queue, or of its own, as if it had not been asked for again."""
        before = record.marks & QUEUE
        if before != number:
            weight = self._weigh(record)
            if weight >= LARGE:
                weight -= sum(len(one) for one in record.known if type(one) is bytes and len(one) >= LARGE)
            self.counts[before] -= 1
            self.counts[number] += 1
            self.weights[before] -= weight
            self.weights[number] += weight
        record.marks = record.marks & ~(QUEUE | ASKED) | number
        self.queues[number].append(record.key)

    # --- room -------------------------------------------------------------------------------------------------------

    def _next_to_go(self, wanted: int) -> tuple[int, str]:
        """The queue that makes room for a record of the queue ``wanted``, and for which bound."""
        counts = self.counts
        if not wanted and counts[NEGATIVE] > self._max_negative_entries:
            return NEGATIVE, "entries"
        if wanted and counts[NEW] + counts[MAIN] + counts[DERIVED] > self._max_entries:
            return self._over(counts, self._count_shares, (DERIVED, NEW, MAIN)), "entries"
        return self._over(self.weights, self._size_shares, (DERIVED, NEGATIVE, NEW, MAIN)), "size"

    def _over(self, amounts: list[int], shares: list[int], order: tuple[int, ...]) -> int:
        """The first queue in ``order`` that has more than its share; else the last that has anything."""
        queues, last = self.queues, order[0]
        for number in order:
            if queues[number]:
                if amounts[number] > shares[number]:
                    return number
                last = number
        return last

    def _make_room(self, wanted: int, now: float) -> bool:
        """Let records go until one of the queue ``wanted`` has room, or ``WORK`` is done. Returns whether it has."""
        chances = SECOND_CHANCES
        for _ in range(WORK):
            number, reason = self._next_to_go(wanted)
            queue = self.queues[number]
            if not queue:
                break
            key = queue.popleft()
            oldest = self.standing(key, number)
            if oldest is None:
                continue
            if oldest.marks & ASKED and number == NEW:
                self._counters.admitted += 1
                self._move(oldest, MAIN)
            elif oldest.marks & ASKED and chances:
                chances -= 1
                self._move(oldest, number)
            else:
                self._evict(oldest, number, reason, now)
                if self._has_room(wanted):
                    return True
        return self._has_room(wanted)

    def _evict(self, record: Record, number: int, reason: str, now: float) -> None:
        self._counters.evictions[KINDS[number], reason] += 1
        if number == NEW:
            self._ghosts.add(record.key)
        self.forgot_at = now
        self.discard(record)


def _nothing() -> None:
    return None
