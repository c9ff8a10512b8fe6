"""A record, and the store of records: how long they are good for, and which make room for others.

A record is what the directory said about one key, for all maps that the same searches answer. It is made at once,
stored at once, and ages, is replaced and is forgotten as one, so that two of its maps never contradict each other.
There may be a million records, so a record is small: a value found is kept as bytes, "not found" is the same object
everywhere, and a reply is made ready for the wire when a client first asks for it (``Answer``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from vmaild.cache.counters import CacheCounters, Tally
from vmaild.cache.settings import JITTER_SHARE, PREFETCH_SHARE, CacheSettings
from vmaild.errors import DataError
from vmaild.lookup import NOT_FOUND, Reply, Status, temporary

NEVER = float("-inf")

INSTANTS_PER_SECOND = 8
"""The ages of records are kept to an eighth of a second, so that a million records share a few thousand moments."""

INSTANTS = 4800
"""Moments remembered for that: those of ten minutes."""

LONG_LIFE = 1000.0
"""Seconds: the ages of records that live longer are kept to ``COARSE`` seconds, so that these too share few moments."""

COARSE = 16.0

SECOND_CHANCES = 8
"""Work done at most to make room for one record, so that no insert stalls the loop."""

Known = bytes | Reply | DataError | None
"""What a record knows for one map: the value found; ``NOT_FOUND`` or ``NODATA``; data that must not be used; or None:
further searches are needed, or the directory's word could not be taken for it."""


class Record:
    """``known`` has a place for each map of the group. Times are in seconds of the cache's clock.

    Up to ``refresh_at`` it serves without a search; from ``expires_at`` on it is stale, and up to ``retry_at`` the
    directory, which failed, is not asked for it. ``more`` is the lookup that goes on for a map whose place is None.
    """

    __slots__ = ("expires_at", "key", "known", "more", "refresh_at", "retry_at")

    def __init__(self, key: bytes, known: Sequence[Known], more: Any, refresh_at: float, expires_at: float) -> None:
        self.key = key
        self.known = tuple(known)
        self.more = more
        self.refresh_at = refresh_at
        self.expires_at = expires_at
        self.retry_at = NEVER

    @property
    def positive(self) -> bool:
        """Whether an entry was found, for one of the maps at least."""
        for one in self.known:  # noqa: SIM110 - a generator takes twice the time
            if one is not NOT_FOUND and one is not None:
                return True
        return False

    def without(self, place: int) -> Record:
        """A record that no longer knows what the map at that place has: that is to be asked again."""
        known = [None if number == place else one for number, one in enumerate(self.known)]
        return Record(self.key, known, None, self.refresh_at, self.expires_at)

    def age(self, now: float) -> None:
        """Have the record renewed at its next use, which it still serves."""
        self.refresh_at = min(self.refresh_at, now)

    def retire(self) -> None:
        """Serve no longer, wherever the record is still held."""
        self.refresh_at = self.expires_at = self.retry_at = NEVER

    @property
    def retired(self) -> bool:
        """Whether the record has left the cache."""
        return self.expires_at == NEVER


class Answer:
    """One map's answer of a record, ready for the wire. Whoever gives it adds one to ``tally.hits``."""

    __slots__ = ("record", "tally", "wire")

    def __init__(self, record: Record, wire: bytes, tally: Tally) -> None:
        self.record = record
        self.wire = wire
        self.tally = tally


def reply_of(known: bytes | Reply | DataError) -> Reply:
    """The reply that a record's knowledge makes."""
    if type(known) is bytes:
        return Reply(Status.FOUND, known)
    return temporary(known.reason) if isinstance(known, DataError) else known  # type: ignore[return-value]


class Records:
    """Records by key, with a bound and a queue for each of two kinds: those that an entry stands behind, and others.

    When one is full, the oldest of its kind goes, unless it is still good: a record that was renewed since is wanted,
    and goes to the end of the queue, up to ``SECOND_CHANCES`` of them in a row. A dict and a deque: a get costs no call
    of a function in Python, and the order 8 bytes for each record (in cachetools' ``FIFOCache`` 150).
    """

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
        self._jitter = jitter
        self._bounds = {True: settings.max_entries, False: settings.max_negative_entries}
        self._records: dict[bytes, Record] = {}
        # A record stands in a queue once, from when it is added. One that was removed since is retired, and takes
        # up a place there until its turn comes.
        self._queues: dict[bool, deque[Record]] = {True: deque(), False: deque()}
        self._shared_instants: dict[float, float] = {}
        self.counts = {True: 0, False: 0}
        """How many records there are, by ``positive``."""
        self.heard = False
        """Whether the directory's changes are heard: then what does not change lives longer."""
        self.forgot_at = NEVER
        """When a record last was forgotten or made room."""
        self.get: Callable[[bytes], Record | None] = self._records.get
        """The record for a key, None when there is none."""

    def store(self, key: bytes, known: Sequence[Known], more: Any) -> Record:
        """Keep what the directory said just now for ``key``, in place of what it said before."""
        now = self._clock()
        refresh_at, expires_at = self._ages(known, now, heard=self.heard)
        record = Record(key, known, more, refresh_at, expires_at)
        self._counters.stored += 1
        self.keep(record, now)
        return record

    def complete(self, record: Record, known: Sequence[Known], more: Any) -> None:
        """Put ``known`` in the place of what ``record`` knows. It lasts no longer for that."""
        now = self._clock()
        end = now + self._life(known, heard=self.heard)
        refresh_at, expires_at = min(record.refresh_at, end), min(record.expires_at, end)
        self.keep(Record(record.key, known, more, refresh_at, expires_at), now)

    def cap(self, record: Record, since: float) -> None:
        """Let ``record`` live no longer than if changes had not been heard since then."""
        if not record.retired:
            refresh_at, expires_at = self._ages(record.known, since, heard=False)
            record.refresh_at, record.expires_at = (
                min(record.refresh_at, refresh_at),
                min(record.expires_at, expires_at),
            )

    def all(self) -> list[Record]:
        """Every record, for those who walk through them in small steps: 5 ns for each."""
        return list(self._records.values())

    def keep(self, record: Record, now: float) -> None:
        """Store ``record`` as it is."""
        evicted = self.add(record, now)
        if evicted:
            self.forgot_at = now
            if record.positive:
                self._counters.evicted += evicted
            else:
                self._counters.evicted_negative += evicted

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: Record, now: float) -> int:
        """Store ``record`` in place of what is there for its key. Returns how many others made room for it.

        ``now`` decides which of them are still good.
        """
        if record.key in self._records:
            self.discard(record.key)
        positive = record.positive
        bound, queue = self._bounds[positive], self._queues[positive]
        if bound < 1:
            return 0
        evicted = 0 if len(queue) < bound else self._make_room(queue, bound, now)
        self._records[record.key] = record
        queue.append(record)
        self.counts[positive] += 1
        return evicted

    def discard(self, key: bytes) -> int:
        """Remove the record for ``key``, if any. Returns how many were removed."""
        record = self._records.pop(key, None)
        if record is None:
            return 0
        record.retire()
        self.counts[record.positive] -= 1
        return 1

    def discard_all(self, unwanted: Callable[[Record], bool]) -> int:
        """Remove every record that is ``unwanted``. Returns how many were removed.

        Takes 0.3 us for each record that there is, and 1.5 us for each that goes.
        """
        count = 0
        for positive, queue in self._queues.items():
            kept: deque[Record] = deque()
            for record in queue:
                if not record.retired and unwanted(record):
                    count += self.discard(record.key)
                elif not record.retired:
                    kept.append(record)
            self._queues[positive] = kept
        return count

    def clear(self) -> None:
        """Remove all records."""
        for positive, queue in self._queues.items():
            for record in queue:
                record.retire()
            queue.clear()
            self.counts[positive] = 0
        self._records.clear()

    def _ages(self, known: Sequence[Known], now: float, *, heard: bool) -> tuple[float, float]:
        """When a record that is made ``now`` is to be renewed, and when it expires."""
        life = self._life(known, heard=heard) * (1 - JITTER_SHARE * self._jitter())
        step = COARSE if life > LONG_LIFE else 1 / INSTANTS_PER_SECOND
        return self._instants(now + life * (1 - PREFETCH_SHARE), now + life, step)

    def _life(self, known: Sequence[Known], *, heard: bool = False) -> float:
        """Seconds that a record is good for: as long as the least certain of its answers."""
        settings = self._settings
        life = settings.heard_ttl if heard else settings.ttl
        negative = settings.heard_negative_ttl if heard else settings.negative_ttl
        for one in known:
            if one is NOT_FOUND:
                life = min(life, negative)
            elif isinstance(one, DataError):
                life = min(life, settings.failure_recheck)
        return life

    def _instants(self, refresh_at: float, expires_at: float, step: float) -> tuple[float, float]:
        """Both a little earlier, and as objects that many records share: two of their own take 64 bytes."""
        shared = self._shared_instants
        if len(shared) >= INSTANTS - 1:
            shared.clear()
        refresh, expiry = refresh_at // step * step, expires_at // step * step
        return shared.setdefault(refresh, refresh), shared.setdefault(expiry, expiry)

    def _make_room(self, queue: deque[Record], bound: int, now: float) -> int:
        evicted = 0
        chances = SECOND_CHANCES
        while len(queue) >= bound:
            oldest = queue.popleft()
            if oldest.retired:
                continue
            if chances and now < oldest.expires_at:
                chances -= 1
                queue.append(oldest)
            else:
                evicted += self.discard(oldest.key)
        return evicted
