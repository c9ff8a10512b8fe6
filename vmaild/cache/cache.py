"""The cache: which record serves, and for how long. The ages are explained in ``vmaild.cache``."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable

from vmaild.cache.counters import CacheCounters, Tally
from vmaild.cache.record import DERIVED, MAIN, NEGATIVE, NEW, Known, Record
from vmaild.cache.settings import REQUESTS_SHARE, CacheSettings
from vmaild.cache.store import Records
from vmaild.cache.sweep import Instead, Sweep, Unwanted
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
        self._sweep = Sweep(records, self._get_by)
        self.store = records.store
        self.complete = records.complete
        self.newest = records.newest
        self.keep = records.keep
        self.cap = records.cap
        self.all = records.all
        self.reserve = records.reserve
        self.withheld = 0
        """Bytes that are left unused, since the process holds more than what is counted (``vmaild.cache.resident``)."""
        self.on_forget: Callable[[], None] = _nothing
        """Called before many records are forgotten: answers that are remembered elsewhere must not serve any more."""

    def _get_by(self, get: Callable[[bytes], Record | None]) -> None:
        self.get = self._records.get = get

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
        record = self.get(key)
        if record is None:
            return 0
        self._records.discard(record)
        return 1

    def forget_all(self, unwanted: Unwanted | None = None, instead: Instead | None = None) -> None:
        """Forget every record, or every one that is ``unwanted``; what ``instead`` makes of one takes its place.

        None of them serves from now on. Their memory is free a few turns of the loop later.
        """
        self._records.forgot_at = self.clock()
        self.on_forget()
        self._sweep.begin(unwanted or _any, instead or _nothing)

    def count(self, prefix: bytes) -> int:
        """How many records there are whose keys begin with ``prefix``, which ends in the key's only space."""
        return self._records.groups.get(prefix[:-1], 0)

    def use(self, settings: CacheSettings) -> None:
        """Follow these settings from now on. Records keep the ages that they were given when they were stored.

        Where there may be fewer records than there are, each that is stored makes room for itself and a few more.
        """
        self.settings = settings
        self._records.use(settings)

    def withhold(self, wanted: int) -> None:
        """Leave so many bytes unused, or as many as may be."""
        self.withheld = self._records.withhold(wanted)

    def shrink(self) -> bool:
        """Make the dict of records again where it is far too large. Returns whether it was: 15 ms at most."""
        records = self._records
        shrunk = records.shrink()
        if shrunk and records.sift is None:
            self._get_by(records.records.get)
        return shrunk

    def measure(self) -> int:
        """Bytes of all that is counted: the records, their dict, and what is noted beside them."""
        self._records.measure()
        return self._records.counted

    def on_growth(self, call: Callable[[], None]) -> None:
        """Have ``call`` called whenever some MiB of large records have come in."""
        self._records.on_growth = call

    @property
    def forgot_at(self) -> float:
        """When a record last was forgotten or made room: a search that began before may have been of what it knew."""
        return self._records.forgot_at

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._records.records)

    @property
    def tallies(self) -> Iterable[Tally]:
        """Who counts the answers given, one for each kind of answer of each map."""
        return self._tallies.values()

    @property
    def counts(self) -> dict[bool, int]:
        """How many records there are, by ``Record.positive``."""
        counts = self._records.counts
        return {True: counts[NEW] + counts[MAIN] + counts[DERIVED], False: counts[NEGATIVE]}

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of memory by kind: ``positive``, ``derived``, ``negative``."""
        weights = self._records.weights
        return {"positive": weights[NEW] + weights[MAIN], "derived": weights[DERIVED], "negative": weights[NEGATIVE]}

    @property
    def freed(self) -> int:
        """Bytes of the records that went, ever."""
        return self._records.freed

    @property
    def max_requests_size(self) -> int:
        """Bytes of ``max_size`` that are left to what is remembered by raw request."""
        return int(self.settings.max_size * REQUESTS_SHARE)

    def tally(self, map_name: str, status: Status, *, stale: bool) -> Tally:
        """Who counts the answers of that kind."""
        kind = (map_name, status, stale)
        tally = self._tallies.get(kind)
        if tally is None:
            tally = self._tallies[kind] = Tally(*kind)
        return tally


def _any(record: Record) -> bool:
    return True


def _nothing(*_: object) -> None:
    return None
