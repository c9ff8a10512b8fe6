"""The cache: which record serves, and for how long. The ages are explained in ``vmaild.cache``."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable

from vmaild.cache.counters import CacheCounters, Tally
from vmaild.cache.record import Known, Record, Records
from vmaild.cache.settings import CacheSettings
from vmaild.errors import DataError
from vmaild.lookup import NOT_FOUND, Status


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
        self._tallies: dict[tuple[str, Status, bool], Tally] = {}
        self._records = records = Records(self.settings, self.counters, clock, jitter)
        self.get = records.get
        """The record for a key, whatever its age."""
        self.store = records.store
        self.complete = records.complete
        self.keep = records.keep
        self.cap = records.cap
        self.all = records.all

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
        self._records.forgot_at = self.clock()
        return self._records.discard(key)

    def forget_all(self, unwanted: Callable[[Record], bool] | None = None) -> int:
        """Forget every record, or every one that is ``unwanted``. Returns how many there were."""
        self._records.forgot_at = self.clock()
        if unwanted is not None:
            return self._records.discard_all(unwanted)
        count = len(self._records)
        self._records.clear()
        return count

    @property
    def heard(self) -> bool:
        """Whether the directory's changes are heard: then what does not change lives longer."""
        return self._records.heard

    @heard.setter
    def heard(self, heard: bool) -> None:
        self._records.heard = heard

    @property
    def forgot_at(self) -> float:
        """When a record last was forgotten or made room: a search that began before may have been of what it knew."""
        return self._records.forgot_at

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
