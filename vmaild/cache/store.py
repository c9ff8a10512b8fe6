"""The bounded store of answers: a cachetools cache with two bounds and one look-up for both.

Answers that an entry stands behind and "not found" answers have a bound and a queue each. When one of them is
full, the oldest of its kind goes, unless it is still good: an answer that was renewed since is wanted, and goes to
the end of the queue, up to ``SECOND_CHANCES`` of them in a row.

``cachetools.Cache`` is the base for its speed: a get costs little more than a dict's. ``FIFOCache`` gets as fast, but
its order costs 150 bytes for each answer, a deque's 8; ``LRUCache`` and ``TTLCache`` do work at each get.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import cachetools

from vmaild.cache.answer import Answer

# Work done at most to make room for one answer, so that no insert stalls the loop.
SECOND_CHANCES = 8


class Answers(cachetools.Cache[bytes, Answer]):
    """Answers by frame: the folded request as socketmap sends it. ``store[frame]`` is None for an unknown one."""

    def __init__(self, max_backed: int, max_not_found: int) -> None:
        super().__init__(max_backed + max_not_found)
        self._bounds = {True: max_backed, False: max_not_found}
        # An answer stands in a queue once, from when it is added. One that was removed since is retired, and takes
        # up a place there until its turn comes.
        self._queues: dict[bool, deque[Answer]] = {True: deque(), False: deque()}
        self.counts = {True: 0, False: 0}
        """How many answers there are, by ``backed``."""

    if TYPE_CHECKING:

        def __getitem__(self, key: bytes) -> Answer | None: ...  # type: ignore[override]

    def __missing__(self, key: bytes) -> None:  # type: ignore[override]
        """No error: an unknown key is nothing unusual."""

    def add(self, answer: Answer, now: float) -> int:
        """Store ``answer`` in place of what is there for its frame. Returns how many others made room for it.

        ``now`` decides which of them are still good.
        """
        self.discard(answer.frame)
        backed = answer.tally.backed
        if self._bounds[backed] < 1:
            return 0
        evicted = self._make_room(backed, now)
        self[answer.frame] = answer
        self._queues[backed].append(answer)
        self.counts[backed] += 1
        return evicted

    def discard(self, frame: bytes) -> int:
        """Remove the answer for ``frame``, if any. Returns how many were removed."""
        answer = self[frame]
        if answer is None:
            return 0
        del self[frame]
        answer.retire()
        self.counts[answer.tally.backed] -= 1
        return 1

    def discard_all(self, unwanted: Callable[[Answer], bool]) -> int:
        """Remove every answer that is ``unwanted``. Returns how many were removed.

        Takes 0.3 us for each answer that there is, and 1.5 us for each that goes.
        """
        count = 0
        for backed, queue in self._queues.items():
            kept: deque[Answer] = deque()
            for answer in queue:
                if not answer.retired and unwanted(answer):
                    count += self.discard(answer.frame)
                elif not answer.retired:
                    kept.append(answer)
            self._queues[backed] = kept
        return count

    def clear(self) -> None:
        """Remove all answers."""
        for backed, queue in self._queues.items():
            for answer in queue:
                answer.retire()
            queue.clear()
            self.counts[backed] = 0
        # The base's own clear() takes the square of their number in the older cachetools.
        super().__init__(self.maxsize)

    def _make_room(self, backed: bool, now: float) -> int:
        evicted = 0
        queue = self._queues[backed]
        chances = SECOND_CHANCES
        while len(queue) >= self._bounds[backed]:
            oldest = queue.popleft()
            if oldest.retired:
                continue
            if chances and now < oldest.expires_at:
                chances -= 1
                queue.append(oldest)
            else:
                evicted += self.discard(oldest.frame)
        return evicted
