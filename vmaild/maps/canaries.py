"""Keys that must always be found, and what it means when one is not.

While a canary of a map is missing, something is wrong with the directory as a whole: it was emptied, or its access
rules were changed. Then no "not found" of that map is believed.

The canaries are looked for on a timer (``check``), and, when the last look is older than ``TRUST`` seconds, before a
"not found" is believed (``believe``): an emptied directory makes mail bounce for no longer than that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from vmaild.errors import DirectoryFailure

logger = logging.getLogger("vmaild.maps")

# Seconds that one look at a map's canaries is good for. A site where many lookups find nothing pays for one more
# search a second.
TRUST = 1.0

# Seconds after which the next "not found" begins a new look, while the last one is still good: nobody waits for it.
RENEWAL = 0.75 * TRUST


class Canaries:
    """The canaries of all maps.

    ``keys``: of each map, by its name. ``present(map, key)`` asks the directory and raises DirectoryFailure when it
    does not answer. ``lost(map)`` is called when a look misses one that the look before did not miss.
    """

    def __init__(
        self,
        keys: Mapping[str, tuple[str, ...]],
        present: Callable[[str, str], Awaitable[bool]],
        lost: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keys = {name: listed for name, listed in keys.items() if listed}
        self.missing: dict[str, tuple[str, ...]] = {}
        """What was not there at the last look, by map."""
        self._present = present
        self._lost = lost
        self._clock = clock
        self._looked_at: dict[str, float] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}

    async def check(self) -> None:
        """Look for every canary. A map whose canaries cannot be asked for stays as it was."""
        for name in self.keys:
            try:
                await self._look(name)
            except DirectoryFailure as failure:
                logger.debug("canaries of map %s cannot be looked for: %s", name, failure)

    async def believe(self, name: str) -> None:
        """Return if "not found" of the map may be believed. Raises DirectoryFailure if not."""
        if name not in self.keys:
            return
        if not self._recent(name, RENEWAL):
            look = self._looks.get(name) or self._begin_look(name)
            if not self._recent(name, TRUST):
                # Shared by all who wait for it, so that the first one's cancellation does not end it.
                await asyncio.shield(look)
        if name in self.missing:
            raise DirectoryFailure(f"map {name}: a canary is missing", "canary")

    def believed(self, name: str) -> bool:
        """Whether "not found" of the map may be believed without another look."""
        return name not in self.keys or (self._recent(name, TRUST) and name not in self.missing)

    def _recent(self, name: str, seconds: float) -> bool:
        return self._clock() - self._looked_at.get(name, float("-inf")) <= seconds

    def _begin_look(self, name: str) -> asyncio.Task[None]:
        look = self._looks[name] = asyncio.create_task(self._look(name))

        def ended(look: asyncio.Task[None]) -> None:
            del self._looks[name]
            if not look.cancelled():
                look.exception()  # whoever waits for it sees it; nobody needs to

        look.add_done_callback(ended)
        return look

    async def _look(self, name: str) -> None:
        began = self._clock()
        missing = tuple([key for key in self.keys[name] if not await self._present(name, key)])
        self._looked_at[name] = began
        before = self.missing.get(name)
        if missing:
            self.missing[name] = missing
            if missing != before:
                self._lost(name)
                logger.error("map %s: canary %a not found; NOTFOUND is now TEMP", name, ", ".join(missing))
        elif before:
            del self.missing[name]
            logger.info("map %s: every canary is found", name)
