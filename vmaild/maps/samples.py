"""Canaries by default: what a map found lately must be found still, before a suspicious "not found" is trusted.

"Not found" is suspicious where the cache knows better (what was found is not any more), and where a map says it much
more often than it did: an access rule may hide entries, or a directory was emptied. Then ``ASKED`` of the keys that
were found last are looked up past the cache, at most once a second for a map (``SharedProbe``). When most of them are
gone, no such "not found" is trusted, until they are back or that has lasted ``CONFIRM`` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from vmaild.directory import SharedProbe
from vmaild.errors import DirectoryFailure

logger = logging.getLogger("vmaild.maps")

KEPT = 8
"""Keys found last that are remembered of each map."""

ASKED = 3

CONFIRM = 60.0
"""Seconds after which it is believed that they are gone."""

WINDOW = 1.0
LEAST = 20
"""So many "not found" within ``WINDOW`` seconds are no rise yet."""

RISE = 4.0
"""So many times as often as before is one."""


class Samples:
    """Of one map. ``present(key)`` asks the directory and raises DirectoryFailure when it does not answer."""

    def __init__(
        self, name: str, present: Callable[[str], Awaitable[bool]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._present = present
        self._clock = clock
        self._probe = SharedProbe(clock)
        self._lost_at: float | None = None
        self._window_ends = float("-inf")
        self._count = 0
        self._usual = 0.0
        self.found: deque[str] = deque(maxlen=KEPT)
        """Keys that were found last."""

    def distrust(self) -> None:
        """Lookups go to another server."""
        self._probe.forget()

    @property
    def trusted(self) -> bool:
        """Whether "not found" may be trusted now, since those keys were found a moment ago."""
        return self._probe.trusted and self._lost_at is None

    def rises(self) -> bool:
        """Count one "not found"; True while they are suspiciously many."""
        now = self._clock()
        if now >= self._window_ends:
            # Windows without any count too, so that what is usual is forgotten in time.
            missed = min(60, int((now - self._window_ends) / WINDOW)) if self._window_ends > 0 else 0
            self._usual = (0.9 * self._usual + 0.1 * self._count) * 0.9**missed
            self._window_ends, self._count = now + WINDOW, 0
        self._count += 1
        return self._count > LEAST and self._count > RISE * self._usual

    async def confirm(self, key: str, end: float) -> None:
        """Return when "not found" of ``key`` may be trusted, by ``end`` (loop time); else raises DirectoryFailure."""
        if not self._probe.trusted:
            if self._probe.due:
                self._probe.begin(self._ask(key))
            try:
                async with asyncio.timeout_at(end):
                    await self._probe.outcome()
            except TimeoutError:
                raise DirectoryFailure(f"map {self._name}: what it found lately did not come", "timeout") from None
        if self._lost_at is not None:
            raise DirectoryFailure(f"map {self._name}: what was found lately is not found any more", "canary")

    async def close(self) -> None:
        """End the probe in flight."""
        await self._probe.close()

    async def _ask(self, key: str) -> None:
        began = self._clock()
        asked = [one for one in dict.fromkeys(reversed(self.found)) if one != key][:ASKED]
        present = await asyncio.gather(*map(self._present, asked))
        gone = [one for one, there in zip(asked, present, strict=True) if not there]
        self._probe.good(began)
        if len(gone) * 2 <= len(asked):
            if self._lost_at is not None:
                logger.info("map %s: what was found lately is found again", self._name)
            self._lost_at = None
        elif self._lost_at is None:
            self._lost_at = began
            logger.error("map %s: %d of %d keys found lately are gone; NOTFOUND is now TEMP", self._name, len(gone),
                         len(asked))  # fmt: skip
        elif began - self._lost_at >= CONFIRM:
            logger.error("map %s: they have been gone for a minute: believed", self._name)
            self._lost_at = None
            self.found.clear()
