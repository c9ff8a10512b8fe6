"""Keeps the garbage collector away from the cached answers.

CPython's collector goes through every object that it tracks when it makes a full pass, and the event loop stands still
meanwhile: half a second with a million answers. Answers are in no reference cycles, so the collector has nothing to
find there. ``settle`` collects what there is to collect, and then freezes all that is left: later passes leave it out,
and it is still freed when nothing refers to it any more.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

# Answers learnt between two times of settling. A pass over so many takes some 10 ms.
STEP = 20_000


class Collector:
    """Settles whenever ``STEP`` answers were learnt. ``learnt`` tells how many have been, ever."""

    def __init__(self, learnt: Callable[[], int]) -> None:
        self._learnt = learnt
        self._settled_at = 0

    def settle(self) -> None:
        """Collect and freeze. Once after start-up, it spares the passes all of the program itself."""
        self._settled_at = self._learnt()
        gc.collect()
        gc.freeze()

    def tick(self) -> None:
        """Settle if it is time."""
        if self._learnt() - self._settled_at >= STEP:
            self.settle()
