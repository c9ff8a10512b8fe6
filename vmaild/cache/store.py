"""Records come in: made of what the directory said just now, given their ages, and kept in place of older ones.

All that each miss takes stands here; what makes room for it in ``vmaild.cache.room``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from vmaild.cache.counters import CacheCounters
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
    UnfinishedRecord,
)
from vmaild.cache.room import GROWTH, WORK, Room
from vmaild.cache.settings import BURST, BURST_JITTER_SHARE, JITTER_SHARE, PREFETCH_SHARE, CacheSettings
from vmaild.cache.weight import LARGE, POSITIVE, RECORD, REFUSAL, UNKNOWN, UNUSABLE, VALUE
from vmaild.errors import DataError
from vmaild.lookup import NOT_FOUND

INSTANTS_PER_SECOND = 8
"""The ages of records are kept to an eighth of a second, so that a million records share a few thousand moments."""

INSTANTS = 4800
"""Moments remembered for that: those of ten minutes."""

LONG_LIFE = 1000.0
"""Seconds: the ages of records that live longer are kept to ``COARSE`` seconds, so that these too share few moments."""

COARSE = 16

HEARD = 2 * POSITIVE
"""Beside the kinds of answers: changes of what they were made from arrive, so that they live longer."""

_new_record = object.__new__


def survey(known: Sequence[Known]) -> tuple[int, int]:
    """What kinds of answers there are, and the bytes that they take, large values included."""
    kinds = weight = 0
    for one in known:
        if type(one) is bytes:
            weight += VALUE + len(one)
            kinds |= POSITIVE
        elif one is NOT_FOUND:
            weight += 8
            kinds |= UNKNOWN
        elif type(one) is DataError:
            weight += REFUSAL + 4 * len(str(one))
            kinds |= UNUSABLE | POSITIVE
        elif one is not None:
            weight += 8
            kinds |= POSITIVE
    return kinds, weight


class Records(Room):
    """The records, by key. ``jitter`` gives numbers from 0 up to 1."""

    def __init__(
        self,
        settings: CacheSettings,
        counters: CacheCounters,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        super().__init__(settings, counters)
        self._clock = clock
        self._jitter = jitter
        self._second = 0
        self._in_this_second = 0
        self.shared_instants: dict[int, float] = {}

    def use(self, settings: CacheSettings) -> None:
        """Follow these settings from now on; records keep the ages that they were given when they were stored."""
        super().use(settings)
        self.lives = [_life(settings, kinds) for kinds in range(2 * HEARD)]
        """Seconds that a record is good for, by the kinds of its answers: as long as the least certain of them."""

    def store(
        self,
        key: bytes,
        known: Sequence[Known],
        more: Any,
        *,
        place: int = 0,
        derived: bool = False,
        heard: bool = False,
    ) -> Record:
        """Keep what the directory said just now for ``key``, in place of what it said before.

        ``place`` is that of the map that was asked; ``derived`` tells that no entry is of the key itself, and ``heard``
        that changes of it will be reported.
        """
        now = self._clock()
        kinds, weight = survey(known)
        if heard:
            kinds |= HEARD
        refresh_at, expires_at = self._ages(kinds, now)
        if more is None:
            # As ``Record.__init__``, whose call would take as long as all of it.
            record = _new_record(Record)
            record.key = key
            record.known = tuple(known)
            record.lease = refresh_at
            record.expires_at = expires_at
            record.retry_at = NEVER
        else:
            record = UnfinishedRecord(key, known, refresh_at, expires_at, more)
        record.marks = (place & PLACES) << PLACE_SHIFT
        self._counters.stored += 1
        self._keep(record, kinds, weight, derived, now)
        return record

    def newest(self, count: int) -> list[Record]:
        """The ``count`` records that came last, the newest first."""
        return list(itertools.islice(reversed(self.records.values()), count))

    def keep(self, record: Record) -> None:
        """Keep ``record`` as it is, in place of what there was for its key."""
        self._keep(record, *survey(record.known), derived=False, now=self._clock())

    def cap(self, record: Record, since: float) -> None:
        """Let ``record`` live no longer than if changes had not arrived since then."""
        if not record.retired:
            refresh_at, expires_at = self._ages(survey(record.known)[0], since)
            record.refresh_at = min(record.refresh_at, refresh_at)
            record.expires_at = min(record.expires_at, expires_at)

    def all(self) -> list[Record]:
        """Every record, for those who walk through them in small steps: 5 ns for each."""
        return list(self.records.values())

    def complete(
        self, record: Record, known: Sequence[Known], more: Any, *, derived: bool = False, heard: bool = False
    ) -> None:
        """Put ``known`` in the place of what ``record`` knows. It lasts no longer for that."""
        now = self._clock()
        kinds, weight = survey(known)
        end = now + self.lives[kinds | HEARD if heard else kinds]
        ends = min(record.refresh_at, end), min(record.expires_at, end)
        completed = (Record if more is None else UnfinishedRecord)(record.key, known, *ends, more)
        completed.marks = record.marks
        # Another map was asked, which is no second use of the record.
        self._keep(completed, kinds, weight, derived, now, renewed=False)

    def _keep(self, record: Record, kinds: int, weight: int, derived: bool, now: float, renewed: bool = True) -> None:
        """Store ``record``, whose answers are of such ``kinds`` and take ``weight`` bytes."""
        key = record.key
        weight += RECORD + len(key) + record.weight_of_more
        number = NEGATIVE if not kinds & POSITIVE else DERIVED if derived else NEW
        record.marks = record.marks & ~(QUEUE | ASKED | GENERATION) | self.generation << GENERATION_SHIFT
        old = self.records.get(key)
        if old is not None:
            stands = old.marks & QUEUE
            if stands == number or (stands == MAIN and number == NEW):
                record.marks |= stands | (ASKED if renewed else old.marks & ASKED)
                self.replace(old, record)
                if self.weight > self.size and not self._make_room(stands, now) and not record.retired:
                    self.discard(record)
                return
            self.discard(old)
        elif number == NEW and self._ghosts.prints and self._ghosts.take(key):
            number = MAIN
            self._counters.returned += 1
        record.marks |= number
        self._charge(record, weight)
        if weight > self._heaviest or not (self._has_room(number) or self._make_room(number, now)):
            self._release(record)
            self._counters.too_large += 1
            return
        self.records[key] = record
        queue = self.queues[number]
        queue.append(key)
        if len(queue) > 2 * self.counts[number] + WORK:
            self._turn(number)

    def _charge(self, record: Record, weight: int) -> None:
        """Count a record in."""
        number = record.marks & QUEUE
        if weight >= LARGE:
            weight -= self._large.take(record, number)
            self.grown += weight
            if self.grown >= GROWTH:
                self.grown = 0
                self.on_growth()
        self.counts[number] += 1
        self.weights[number] += weight
        self.weight += weight
        key = record.key
        group = key[: key.find(b" ")]
        self.groups[group] = self.groups.get(group, 0) + 1

    def _has_room(self, number: int) -> bool:
        """Whether a record of that queue, which is counted in already, needs no other to go."""
        if self.weight > self.size:
            return False
        counts = self.counts
        if number:
            return counts[NEW] + counts[MAIN] + counts[DERIVED] <= self._max_entries
        return counts[NEGATIVE] <= self._max_negative_entries

    def _weigh(self, record: Record) -> int:
        return RECORD + len(record.key) + record.weight_of_more + survey(record.known)[1]

    def _ages(self, kinds: int, now: float) -> tuple[float, float]:
        """When a record with answers of such ``kinds`` that is stored now is to be renewed, and when it expires."""
        second = int(now)
        if second == self._second:
            self._in_this_second += 1
        else:
            self._second, self._in_this_second = second, 1
        share = JITTER_SHARE
        life = self.lives[kinds]
        # More in this second than twice what so many records bring on average: they would all be renewed together.
        if self._in_this_second > BURST and self._in_this_second * life > 2 * len(self.records):
            share = BURST_JITTER_SHARE
        life *= 1 - share * self._jitter()
        # Both a little earlier, and as objects that many records share: two of their own take 64 bytes.
        shared = self.shared_instants
        refresh = int((now + life * (1 - PREFETCH_SHARE)) * INSTANTS_PER_SECOND)
        expiry = int((now + life) * INSTANTS_PER_SECOND)
        if life > LONG_LIFE:
            refresh -= refresh % (COARSE * INSTANTS_PER_SECOND)
            expiry -= expiry % (COARSE * INSTANTS_PER_SECOND)
        if refresh not in shared or expiry not in shared:
            if len(shared) >= INSTANTS - 1:
                shared.clear()
            shared[refresh] = refresh / INSTANTS_PER_SECOND
            shared[expiry] = expiry / INSTANTS_PER_SECOND
        return shared[refresh], shared[expiry]


def _life(settings: CacheSettings, kinds: int) -> float:
    life = settings.heard_ttl if kinds & HEARD else settings.ttl
    if kinds & UNKNOWN:
        life = min(life, settings.heard_negative_ttl if kinds & HEARD else settings.negative_ttl)
    if kinds & UNUSABLE:
        life = min(life, settings.failure_recheck)
    return life
