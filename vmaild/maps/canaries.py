"""Keys that must always be found, and what it means when one is not.

While a canary of a map is missing, something is wrong with the directory as a whole: it was emptied, or its access
rules were changed. Then no "not found" of that map is trusted.

The canaries are probed on a timer (``check``), and, when the last probe is too old, before a "not found" is trusted
(``confirm``): an emptied directory makes mail bounce for no longer than that (``vmaild.directory.shared_probe``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from vmaild.directory import SharedProbe
from vmaild.errors import DirectoryFailure

logger = logging.getLogger("vmaild.maps")

T = TypeVar("T")


class Canaries:
    """The canaries of all maps.

    ``keys``: of each map, by its name. ``present(map, key)`` asks the directory and raises DirectoryFailure when it
    does not answer. ``lost(map)`` is called when a probe misses one that the probe before did not miss.
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
        """What was not there at the last probe, by map."""
        self._present = present
        self._lost = lost
        self._clock = clock
        self._distrusted_at = float("-inf")
        self._probes = {name: SharedProbe(clock) for name in self.keys}

    async def check(self) -> None:
        """Probe every canary. A map whose canaries cannot be asked for stays as it was."""
        probes = await asyncio.gather(*map(self._probe, self.keys), return_exceptions=True)
        for name, failure in zip(self.keys, probes, strict=True):
            if isinstance(failure, DirectoryFailure):
                logger.debug("canaries of map %s cannot be probed: %s", name, failure)
            elif failure is not None:
                raise failure

    def trusted(self, name: str) -> bool:
        """Whether "not found" of the map may be trusted now. Begins the next probe when it is time for it."""
        probe = self._probes.get(name)
        if probe is None:
            return True
        if probe.due:
            probe.begin(self._probe(name))
        return probe.trusted and name not in self.missing

    def distrust(self) -> None:
        """Lookups go to another server: what was found on the last one says nothing of it."""
        self._distrusted_at = self._clock()
        for probe in self._probes.values():
            probe.forget()

    async def confirm(self, name: str, end: float) -> None:
        """Return when "not found" of the map may be trusted, by ``end`` (loop time); else raises DirectoryFailure."""
        if self.trusted(name):
            return
        probe = self._probes[name]
        try:
            async with asyncio.timeout_at(end):
                if not probe.trusted:
                    await probe.outcome()
                if not self.trusted(name) and name not in self.missing:
                    await probe.outcome()  # the last one was of another server
        except TimeoutError:
            raise DirectoryFailure(f"map {name}: its canaries did not come in time", "timeout") from None
        if name in self.missing:
            raise DirectoryFailure(f"map {name}: a canary is missing", "canary")

    async def confirm_all(self, names: Iterable[str], end: float) -> None:
        """``confirm`` several, side by side."""
        await _all(self.confirm(name, end) for name in names)

    async def close(self) -> None:
        """End the probes in flight."""
        for probe in self._probes.values():
            await probe.close()

    async def _probe(self, name: str) -> None:
        began = self._clock()
        keys = self.keys[name]
        present = await _all(self._present(name, key) for key in keys)
        missing = tuple(key for key, there in zip(keys, present, strict=True) if not there)
        if began >= self._distrusted_at:
            self._probes[name].good(began)
        before = self.missing.get(name)
        if missing:
            self.missing[name] = missing
            if missing != before:
                self._lost(name)
                logger.error("map %s: canary %a not found; NOTFOUND is now TEMP", name, ", ".join(missing))
        elif before:
            del self.missing[name]
            logger.info("map %s: every canary is found", name)


async def _all(work: Iterable[Awaitable[T]]) -> list[T]:
    """What all of them return, once all have ended; raises what the first of them raised."""
    results = await asyncio.gather(*work, return_exceptions=True)
    returned: list[T] = []
    result: T | BaseException | None = None
    try:
        for result in results:
            if isinstance(result, BaseException):
                raise result
            returned.append(result)
        return returned
    finally:
        del results, result  # the traceback of what is raised holds this frame
