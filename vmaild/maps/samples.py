"""Canaries by default: what a map found lately must be found still, before its "not found" is trusted.

An access rule may hide entries, or a directory was emptied. So ``ASKED`` of the keys that were found last, of as many
domains as there are, are looked up past the cache, at most once a second for a map and only while it says "not found"
(``SharedProbe``). When most of them are gone, no "not found" of the map is trusted, until they are back or that has
lasted ``CONFIRM`` seconds. Keys whose record is gone are no samples: a change arrived that dropped it.
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

KEPT = 12
"""Keys found last that are remembered of each map."""

ASKED = 3

CONFIRM = 60.0
"""Seconds after which they count as gone."""


class Samples:
    """Of one map. ``present(key)`` asks the directory and raises DirectoryFailure when it does not answer;
    ``known(key)`` tells whether the cache knows of it as found."""

    def __init__(
        self,
        name: str,
        present: Callable[[str], Awaitable[bool]],
        known: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._present = present
        self._known = known
        self._clock = clock
        self._probe = SharedProbe(clock)
        self._lost_at: float | None = None
        self.found: deque[str] = deque(maxlen=KEPT)
        """Keys that were found last."""

    def distrust(self) -> None:
        """Lookups go to another server."""
        self._probe.forget()

    def trusted(self, key: str) -> bool:
        """Whether "not found" of ``key`` may be trusted now. Begins the next probe when it is time for it."""
        if not self.found or (self._lost_at is None and self._probe.trusted and not self._probe.due):
            return True
        asked = self._chosen(key)
        if not asked:
            return self._lost_at is None
        if self._probe.due:
            self._probe.begin(self._ask(asked))
        return self._lost_at is None and self._probe.trusted

    async def confirm(self, end: float) -> None:
        """Return when "not found" may be trusted, by ``end`` (loop time); else raises DirectoryFailure."""
        if not self._probe.trusted:
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

    def _chosen(self, key: str) -> list[str]:
        """Those to ask for, the last found of each domain first: a domain may be deleted with all that is in it."""
        usable = [one for one in dict.fromkeys(reversed(self.found)) if one != key and self._known(one)]
        firsts = list({one.rpartition("@")[2]: one for one in reversed(usable)}.values())[::-1]
        return [*firsts, *(one for one in usable if one not in firsts)][:ASKED]

    async def _ask(self, asked: list[str]) -> None:
        began = self._clock()
        present = await asyncio.gather(*map(self._present, asked))
        # What was dropped in between is gone, and that was reported.
        gone = [one for one, there in zip(asked, present, strict=True) if not there and self._known(one)]
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
            logger.error("map %s: they have been missing for a minute, and count as gone", self._name)
            self._lost_at = None
            self.found.clear()
