"""Resident memory stays below ``max_size`` and a fixed part, also where the allocators keep what records gave back.

Small objects and large ones have heaps of their own. CPython gives an arena of one MiB back when nothing stands in it
any more, so a few records that stayed keep the room of thousands that went, for other small objects only: when long
answers come after short ones, the process holds both. What is *beyond* is what is resident and not counted. Up to
``FIXED`` bytes of it are expected; what is more, the cache leaves unused (``Room.withhold``), and uses it again as soon
as arenas are given back, or small records fill them: they are counted, and take no more memory.

So no record makes room for holes that it could fill itself. The records never get less than ``LEAST_SHARE``, which is
what makes it stable whatever else the process holds; and those that were asked for again stay before the others also
where there is less room, since the shares of the queues shrink with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from vmaild.cache.cache import Cache
from vmaild.cache.record import NEVER

MIB = 1024 * 1024

FIXED = 16 * MIB
"""Bytes beyond what is counted that a process may hold: what was freed since memory was last given back, holes, what
lookups in flight take. Between two checks, or when the dict of many records doubles, it is up to 8 MiB more."""

FORGOTTEN_EVERY = 10.0
"""Seconds between two times that what is remembered by raw request is forgotten. No search makes it again."""


def _none() -> int:
    return 0


def _nothing() -> None:
    return None


class ResidentBound:
    """Bounds what the process holds. What it holds now is taken for the program itself, but for what is counted.

    ``resident`` returns the bytes of memory that the process holds (OSError where it cannot be read), ``beside`` those
    of what is counted beside the records; ``forget`` lets go of what is remembered by raw request, ``give_back`` gives
    back to the system what is free.
    """

    def __init__(
        self,
        cache: Cache,
        resident: Callable[[], int],
        *,
        beside: Callable[[], int] = _none,
        forget: Callable[[], None] = _nothing,
        give_back: Callable[[], None] = _nothing,
    ) -> None:
        self._cache = cache
        self._resident = resident
        self._beside = beside
        self._forget = forget
        self._forget_at = NEVER
        self._give_back = give_back
        self._program = 0
        self._program = self._beyond()

    def check(self) -> None:
        """Read what is resident, and have the cache use so much less or more: 15 ms at most."""
        self._check(at_leisure=True)

    def grown(self) -> None:
        """As ``check``, in the midst of a flood, where only what must not wait is done."""
        self._check(at_leisure=False)

    def _check(self, at_leisure: bool) -> None:
        # Descriptors may run out: then it stays as it is.
        with contextlib.suppress(OSError):
            # One of these in a turn of the loop: each may take some 10 ms.
            if not (at_leisure and self._cache.shrink()) and (beyond := self._beyond()) > FIXED:
                if at_leisure and beyond > 2 * FIXED and self._cache.clock() >= self._forget_at:
                    # Small objects too, spread over arenas that could be given back without them.
                    self._forget_at = self._cache.clock() + FORGOTTEN_EVERY
                    self._forget()
                else:
                    self._give_back()
            self._cache.withhold(max(0, self._beyond() - FIXED))

    def _beyond(self) -> int:
        return self._resident() - self._program - self._cache.measure() - self._beside()
