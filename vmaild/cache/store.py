"""The bounded store of records: a cachetools cache with two bounds and one look-up for both.

Records that an entry stands behind and "not found" records have a bound and a queue each. When one of them is full, the
oldest of its kind goes, unless it is still good: a record that was renewed since is wanted, and goes to the end of the
queue, up to ``SECOND_CHANCES`` of them in a row.

``cachetools.Cache`` is the base for its speed: a get costs little more than a dict's. ``FIFOCache`` gets as fast, but
its order costs 150 bytes for each record, a deque's 8; ``LRUCache`` and ``TTLCache`` do work at each get.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import cachetools

from vmaild.cache.record import Record

SECOND_CHANCES = 8
"""Work done at most to make room for one record, so that no insert stalls the loop."""


class Records(cachetools.Cache[bytes, Record]):
    """Records by key. ``store[key]`` is None for an unknown one."""

    def __init__(self, max_positive: int, max_negative: int) -> None:
        super().__init__(max_positive + max_negative)
        self._bounds = {True: max_positive, False: max_negative}
        # A record stands in a queue once, from when it is added. One that was removed since is retired, and takes
        # up a place there until its turn comes.
        self._queues: dict[bool, deque[Record]] = {True: deque(), False: deque()}
        self.counts = {True: 0, False: 0}
        """How many records there are, by ``positive``."""

    if TYPE_CHECKING:

        def __getitem__(self, key: bytes) -> Record | None: ...  # type: ignore[override]

    def __missing__(self, key: bytes) -> None:  # type: ignore[override]
        """No error: an unknown key is nothing unusual."""

    def add(self, record: Record, now: float) -> int:
        """Store ``record`` in place of what is there for its key. Returns how many others made room for it.

        ``now`` decides which of them are still good.
        """
        self.discard(record.key)
        positive = record.positive
        if self._bounds[positive] < 1:
            return 0
        evicted = 0 if len(self._queues[positive]) < self._bounds[positive] else self._make_room(positive, now)
        self[record.key] = record
        self._queues[positive].append(record)
        self.counts[positive] += 1
        return evicted

    def discard(self, key: bytes) -> int:
        """Remove the record for ``key``, if any. Returns how many were removed."""
        record = self[key]
        if record is None:
            return 0
        del self[key]
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
        # The base's own clear() takes the square of their number in the older cachetools.
        super().__init__(self.maxsize)

    def _make_room(self, positive: bool, now: float) -> int:
        evicted = 0
        queue = self._queues[positive]
        chances = SECOND_CHANCES
        while len(queue) >= self._bounds[positive]:
            oldest = queue.popleft()
            if oldest.retired:
                continue
            if chances and now < oldest.expires_at:
                chances -= 1
                queue.append(oldest)
            else:
                evicted += self.discard(oldest.key)
        return evicted
