"""The cache: which record serves, and for how long. The ages are explained in ``vmaild.cache``."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from vmaild.cache.counters import CacheCounters, Tally
from vmaild.cache.record import NEVER, Known, Record
from vmaild.cache.settings import JITTER_SHARE, PREFETCH_SHARE, CacheSettings
from vmaild.cache.store import Records
from vmaild.errors import DataError
from vmaild.lookup import NOT_FOUND, Status

INSTANTS_PER_SECOND = 8
"""The ages of records are kept to an eighth of a second, so that a million records share a few thousand moments."""

INSTANTS = 4800
"""Moments remembered for that: those of ten minutes."""


class Cache:
    """Records by key. ``clock`` counts seconds and never goes back; ``jitter`` gives numbers from 0 up to 1."""

    def __init__(
        self,
        settings: CacheSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings or CacheSettings()
        self.counters = CacheCounters()
        self.clock = clock
        self._jitter = jitter
        self._tallies: dict[tuple[str, Status, bool], Tally] = {}
        self._records = Records(self.settings.max_entries, self.settings.max_negative_entries)
        self._instants: dict[float, float] = {}
        self.forgot_at = NEVER
        """When a record last was forgotten or made room: a search that began before may have been of what it knew."""
        self.get: Callable[[bytes], Record | None] = self._records.__getitem__
        """The record for a key, whatever its age."""

    def store(self, key: bytes, known: Sequence[Known], more: Any) -> Record:
        """Keep what the directory said just now for ``key``, in place of what it said before."""
        now = self.clock()
        life = self._life(known) * (1 - JITTER_SHARE * self._jitter())
        record = Record(key, known, more, self._instant(now + life * (1 - PREFETCH_SHARE)), self._instant(now + life))
        self.counters.stored += 1
        self.keep(record)
        return record

    def complete(self, record: Record, known: Sequence[Known], more: Any) -> None:
        """Put ``known`` in the place of what ``record`` knows. It lasts no longer for that."""
        end = self.clock() + self._life(known)
        refresh_at, expires_at = min(record.refresh_at, end), min(record.expires_at, end)
        self.keep(Record(record.key, known, more, refresh_at, expires_at))

    def keep(self, record: Record) -> None:
        """Store ``record`` as it is."""
        now = self.clock()
        evicted = self._records.add(record, now)
        if evicted:
            self.forgot_at = now
        if evicted and record.positive:
            self.counters.evicted += evicted
        else:
            self.counters.evicted_negative += evicted

    def serves(self, record: Record, known: Known, now: float) -> bool:
        """Whether one map's answer of ``record`` serves at ``now`` without waiting for a search."""
        return now < record.refresh_at or (now < record.retry_at and self.usable(record, known, now))

    def usable(self, record: Record, known: Known, now: float) -> bool:
        """Whether one map's answer may serve while the directory fails, though the record has expired.

        To bounce mail on the word of a directory that is down is worse than to keep it: a "not found" serves for
        ``negative_ttl`` at most.
        """
        settings = self.settings
        if known is None or isinstance(known, DataError):
            return False
        stale_ttl = min(settings.stale_ttl, settings.negative_ttl) if known is NOT_FOUND else settings.stale_ttl
        return now < record.expires_at + stale_ttl

    def put_off(self, record: Record) -> None:
        """Ask no more for ``failure_recheck``: until then what is usable of ``record`` serves."""
        now = self.clock()
        if not record.retired:
            record.retry_at = now + self.settings.failure_recheck
            # It is due for a renewal, or one was begun.
            if not now < record.refresh_at < record.expires_at:
                record.refresh_at = min(record.retry_at, record.expires_at)

    def forget(self, key: bytes) -> int:
        """Forget the record for ``key``. Returns how many there were."""
        self.forgot_at = self.clock()
        return self._records.discard(key)

    def forget_all(self, unwanted: Callable[[Record], bool] | None = None) -> int:
        """Forget every record, or every one that is ``unwanted``. Returns how many there were."""
        self.forgot_at = self.clock()
        if unwanted is not None:
            return self._records.discard_all(unwanted)
        count = len(self._records)
        self._records.clear()
        return count

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._records)

    @property
    def tallies(self) -> Iterable[Tally]:
        """Who counts the answers given, one for each kind of answer of each map."""
        return self._tallies.values()

    @property
    def counts(self) -> dict[bool, int]:
        """How many records there are, by ``Record.positive``."""
        return self._records.counts

    def tally(self, map_name: str, status: Status, *, stale: bool) -> Tally:
        """Who counts the answers of that kind."""
        kind = (map_name, status, stale)
        tally = self._tallies.get(kind)
        if tally is None:
            tally = self._tallies[kind] = Tally(*kind)
        return tally

    def _life(self, known: Sequence[Known]) -> float:
        """Seconds that a record is good for: as long as the least certain of its answers."""
        settings = self.settings
        life = settings.negative_ttl if NOT_FOUND in known else settings.ttl
        if any(isinstance(one, DataError) for one in known):
            life = min(life, settings.failure_recheck)
        return life

    def _instant(self, moment: float) -> float:
        """``moment``, a little earlier and as an object that many records share: two of their own take 64 bytes."""
        moment = math.floor(moment * INSTANTS_PER_SECOND) / INSTANTS_PER_SECOND
        shared = self._instants.get(moment)
        if shared is None:
            if len(self._instants) >= INSTANTS:
                self._instants.clear()
            shared = self._instants[moment] = moment
        return shared
