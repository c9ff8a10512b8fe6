"""The store of records: what is kept, and what makes room, by numbers and by bytes.

Each record stands in one of four queues, oldest first:

========  ============================================================================================================
negative  no entry stands behind it
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

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from vmaild.cache.ages import Ages
from vmaild.cache.counters import KINDS, CacheCounters
from vmaild.cache.ghosts import Ghosts
from vmaild.cache.record import (
    ASKED,
    DERIVED,
    GENERATION,
    GENERATION_SHIFT,
    MAIN,
    NEGATIVE,
    NEVER,
    NEW,
    PLACE_SHIFT,
    PLACES,
    QUEUE,
    Known,
    Record,
    new_record,
)
from vmaild.cache.settings import (
    DERIVED_SHARE,
    NEGATIVE_SHARE,
    NEW_SHARE,
    RECORD_SHARE,
    REQUESTS_SHARE,
    CacheSettings,
)
from vmaild.cache.weight import LARGE, LargeValues, weigh

SECOND_CHANCES = 8
"""Records that were asked for and go to the end of their queue while room is made for one."""

WORK = 500
"""Records looked at while room is made for one: less than a millisecond. When that does not suffice, the new record
is not kept; the next one finds the work done."""


class Records:
    """Records by key. A get costs no call of a function in Python, and the order 8 bytes for each record."""

    def __init__(
        self,
        settings: CacheSettings,
        counters: CacheCounters,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._counters = counters
        self._clock = clock
        self.ages = Ages(settings, jitter)
        self.size = size = int(settings.max_size * (1 - REQUESTS_SHARE))
        """Most bytes of all records."""
        self._size_shares = [int(size * share) for share in (NEGATIVE_SHARE, NEW_SHARE, 0, DERIVED_SHARE)]
        entries = settings.max_entries
        self._count_shares = [0, max(1, int(entries * NEW_SHARE)), 0, max(1, int(entries * DERIVED_SHARE))]
        self._ghosts = Ghosts(entries, size)
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
        self.groups: Counter[bytes] = Counter()
        """How many records there are, by what stands before the space in the key: the group of maps."""
        self.generation = 0
        """The number of the last flush, modulo 8. Records that are stored from now on have it."""
        self.sift: Callable[[Record], Record | None] | None = None
        """During a flush: what is left of a record after it."""
        self.forgot_at = NEVER
        """When a record last was forgotten or made room."""
        self.get: Callable[[bytes], Record | None] = self.records.get
        """The record for a key, None when there is none."""

    def store(self, key: bytes, known: Sequence[Known], more: Any, *, place: int = 0, derived: bool = False) -> Record:
        """Keep what the directory said just now for ``key``, in place of what it said before.

        ``place`` is that of the map that was asked; ``derived`` tells that no entry is of the key itself.
        """
        now = self._clock()
        record = new_record(key, known, more, *self.ages.new(known, now, len(self.records)))
        record.marks = (place & PLACES) << PLACE_SHIFT
        self._counters.stored += 1
        self.keep(record, now, derived=derived)
        return record

    def complete(self, record: Record, known: Sequence[Known], more: Any, *, derived: bool = False) -> None:
        """Put ``known`` in the place of what ``record`` knows. It lasts no longer for that."""
        now = self._clock()
        end = now + self.ages.life(known)
        completed = new_record(record.key, known, more, min(record.refresh_at, end), min(record.expires_at, end))
        completed.marks = record.marks
        self.keep(completed, now, derived=derived, renewed=False)

    def keep(self, record: Record, now: float, *, derived: bool = False, renewed: bool = True) -> None:
        """Store ``record`` as it is. ``renewed`` tells that whoever asked found the one before out of date."""
        record.marks = record.marks & ~(QUEUE | ASKED | GENERATION) | self.generation << GENERATION_SHIFT
        number = NEGATIVE if not record.positive else DERIVED if derived else NEW
        old = self.records.get(record.key)
        if old is not None:
            stands = old.marks & QUEUE
            if stands == number or (stands == MAIN and number == NEW):
                record.marks |= stands | (ASKED if renewed else old.marks & ASKED)
                self.replace(old, record)
                if self._overfull() is not None and not self._make_room(now):
                    self.discard(record)
                return
            self.discard(old)
        elif number == NEW and self._ghosts.take(record.key):
            number = MAIN
            self._counters.returned += 1
        self._add(record, number, now)

    def _add(self, record: Record, number: int, now: float) -> None:
        """Put a record at the end of its queue, if it may be kept and there is room."""
        record.marks |= number
        weight = self._charge(record)
        bound = self._settings.max_entries if number else self._settings.max_negative_entries
        if (
            weight > self.size * RECORD_SHARE
            or bound < 1
            or (self._overfull() is not None and not self._make_room(now))
        ):
            self._release(record)
            self._counters.too_large += 1
            return
        self.records[record.key] = record
        queue = self.queues[number]
        queue.append(record.key)
        if len(queue) > 2 * self.counts[number] + WORK:
            self._turn(number)

    def replace(self, old: Record, record: Record) -> None:
        """Put ``record`` in the place of ``old``, whose queue its marks name."""
        # The very object that stands in the queue.
        record.key = old.key
        self._charge(record)
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

    # --- accounts ---------------------------------------------------------------------------------------------------

    def _charge(self, record: Record) -> int:
        """Count a record in. Returns what it weighs."""
        number = record.marks & QUEUE
        weight = weigh(record)
        if weight >= LARGE:
            weight -= self._large.take(record, number)
        key = record.key
        self.groups[key[: key.find(b" ")]] += 1
        self.counts[number] += 1
        self.weights[number] += weight
        self.weight += weight
        return weight

    def _release(self, record: Record) -> None:
        """Count a record out."""
        number = record.marks & QUEUE
        weight = weigh(record)
        if weight >= LARGE:
            large, freed = self._large.give_back(record)
            weight -= large
            for payer, size in freed:
                self.weights[payer] -= size
                self.weight -= size
        key = record.key
        self.groups[key[: key.find(b" ")]] -= 1
        self.counts[number] -= 1
        self.weights[number] -= weight
        self.weight -= weight

    def _move(self, record: Record, number: int) -> None:
        """Put a record at the end of another queue, or of its own, as if it had not been asked for again."""
        before = record.marks & QUEUE
        if before != number:
            weight = weigh(record)
            if weight >= LARGE:
                weight -= sum(len(one) for one in record.known if type(one) is bytes and len(one) >= LARGE)
            self.counts[before] -= 1
            self.counts[number] += 1
            self.weights[before] -= weight
            self.weights[number] += weight
        record.marks = record.marks & ~(QUEUE | ASKED) | number
        self.queues[number].append(record.key)

    # --- room -------------------------------------------------------------------------------------------------------

    def _overfull(self) -> tuple[int, str] | None:
        """The queue that makes room now, and for which bound; None when there is room."""
        counts, settings = self.counts, self._settings
        if counts[NEGATIVE] > settings.max_negative_entries:
            return NEGATIVE, "entries"
        if counts[NEW] + counts[MAIN] + counts[DERIVED] > settings.max_entries:
            return self._over(counts, self._count_shares, (DERIVED, NEW, MAIN)), "entries"
        if self.weight + self._ghosts.size > self.size:
            return self._over(self.weights, self._size_shares, (DERIVED, NEGATIVE, NEW, MAIN)), "size"
        return None

    def _over(self, amounts: list[int], shares: list[int], order: tuple[int, ...]) -> int:
        """The first queue in ``order`` that has more than its share; else the last that has anything."""
        queues, last = self.queues, order[0]
        for number in order:
            if queues[number]:
                if amounts[number] > shares[number]:
                    return number
                last = number
        return last

    def _make_room(self, now: float) -> bool:
        """Let records go until the bounds hold, or ``WORK`` is done. Returns whether there is room."""
        chances = SECOND_CHANCES
        for _ in range(WORK):
            overfull = self._overfull()
            if overfull is None:
                return True
            number, reason = overfull
            queue = self.queues[number]
            if not queue:
                return False
            key = queue.popleft()
            record = self.standing(key, number)
            if record is None:
                continue
            if record.marks & ASKED and number == NEW:
                self._counters.admitted += 1
                self._move(record, MAIN)
            elif record.marks & ASKED and chances:
                chances -= 1
                self._move(record, number)
            else:
                self._evict(record, number, reason, now)
        return self._overfull() is None

    def _evict(self, record: Record, number: int, reason: str, now: float) -> None:
        self._counters.evictions[KINDS[number], reason] += 1
        if number == NEW:
            self._ghosts.add(record.key)
        self.forgot_at = now
        self.discard(record)
