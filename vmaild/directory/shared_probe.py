"""One probe at a time, whose outcome serves all who need it for a while.

A "not found" is trusted only where something that must be there was found a short while ago: the search base of a
server, the canaries of a map. However many lookups find nothing, they share one probe a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

TRUST = 1.0
"""Seconds that a good probe is trusted for, counted from its beginning. A stream of searches that find nothing costs
about one probe a second then."""

RENEWAL = 0.75 * TRUST
"""Seconds after which the next that finds nothing begins a new probe, while the last one is still trusted. Else all
that come during a probe would wait for it, and then go on in one turn of the loop."""

NEVER = float("-inf")


class SharedProbe:
    """``clock`` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._good_at = NEVER
        self._in_flight: asyncio.Task[None] | None = None

    @property
    def trusted(self) -> bool:
        """Whether the last good probe is recent enough."""
        return self._clock() - self._good_at <= TRUST

    @property
    def due(self) -> bool:
        """Whether it is time for another, and none is in flight."""
        return self._in_flight is None and self._clock() - self._good_at > RENEWAL

    def forget(self) -> None:
        """Trust nothing until the next good probe."""
        self._good_at = NEVER

    def good(self, began: float) -> None:
        """Trust what a probe found that began at that time of the clock."""
        self._good_at = max(self._good_at, began)

    def begin(self, probe: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``probe`` as the one in flight. It calls ``good``, or raises."""
        task = self._in_flight = asyncio.get_running_loop().create_task(probe)
        task.add_done_callback(self._ended)
        return task

    async def outcome(self) -> None:
        """Wait for the probe in flight, if any, and raise what it raises. Cancelling this does not cancel the probe."""
        if self._in_flight is not None:
            await asyncio.shield(self._in_flight)

    async def close(self) -> None:
        """End the probe in flight."""
        if self._in_flight is not None:
            self._in_flight.cancel()
            await asyncio.gather(self._in_flight, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._in_flight is task:
            self._in_flight = None
        if not task.cancelled():
            task.exception()  # seen by those who waited for it
