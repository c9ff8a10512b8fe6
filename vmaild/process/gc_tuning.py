"""Keeps the garbage collector away from the cached answers, and from lookups in flight.

CPython's collector goes through every object that it tracks when it makes a full pass, and the event loop stands still
for so long: half a second with a million answers. What leaves the cache is in no reference cycle, so the collector has
nothing to find there. ``freeze`` collects what there is to collect, and then freezes all that is left: later passes
leave it out, and it is still freed when nothing refers to it any more. So nothing that lives for long may end in a
cycle either: what a reload replaces lets go, when it is closed, of whom it called back.

A pass over the young objects comes by default whenever 700 more were made than freed. A few lookups have as many under
way, so that there were twenty passes of half a millisecond in each second of 1,000 misses, and nothing was found.
``YOUNG`` is far above what lookups in flight have, so that what brings a pass about is what stays.

What was freed goes back to the system only when asked for. A full pass empties the interpreter's lists of spare
objects, one of which keeps a whole MiB. What is larger than 512 bytes comes from the C library, which keeps what is
freed in the middle of its heap: after a flood of long keys their memory would never serve anything else.
``malloc_trim(3)`` gives it back; it takes 0.1 ms for each MiB, so that it is called whenever a few were freed. Values
of tens of kilobytes leave holes that it cannot give back, so each gets memory of its own (``M_MMAP_THRESHOLD`` of
mallopt(3)), which goes when it is freed; the C library would raise that threshold with each that it frees.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

STEP = 10_000
"""Answers stored between two times of freezing. A pass over so many takes some 5 ms."""

YOUNG = 10_000
"""Objects that there may be more than at the last pass before the collector makes one over the young ones."""

TRIM_STEP = 8 * 1024 * 1024
"""Bytes of records freed between two times of giving memory back."""

# From malloc.h of glibc; a long value has memory of its own from this many bytes on.
M_MMAP_THRESHOLD = -3
OWN_MEMORY = 64 * 1024


def _nothing() -> int:
    return 0


class GcTuning:
    """Freezes whenever ``STEP`` answers were stored. ``stored`` returns how many have been, ever.

    ``freed`` returns how many bytes were freed, ever: whenever ``TRIM_STEP`` were, memory is given back to the system.
    """

    def __init__(self, stored: Callable[[], int], freed: Callable[[], int] = _nothing) -> None:
        self._stored = stored
        self._freed = freed
        self._frozen_at = 0
        self._trimmed_at = 0
        # Not every C library has these.
        self._malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._mallopt = getattr(ctypes.CDLL(None), "mallopt", None)

    def start(self) -> None:
        """Set the thresholds, and freeze: passes are spared all of the program itself."""
        if self._mallopt is not None:
            self._mallopt(M_MMAP_THRESHOLD, OWN_MEMORY)
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
        self.freeze()

    def freeze(self) -> None:
        """Collect and freeze."""
        self._frozen_at = self._stored()
        gc.collect()
        gc.freeze()

    def tick(self) -> None:
        """Freeze and give back if it is time."""
        freed = self._freed()
        trims = freed - self._trimmed_at >= TRIM_STEP
        if trims or self._stored() - self._frozen_at >= STEP:
            self.freeze()
        if trims:
            self._trimmed_at = freed
            if self._malloc_trim is not None:
                self._malloc_trim(0)
