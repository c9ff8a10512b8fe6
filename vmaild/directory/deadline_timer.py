"""One timer for deadlines that are often set and seldom reached.

Setting a timer of the event loop and cancelling it costs two microseconds, for every search. This one is set for
the earliest deadline only; later ones are checked when it fires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class DeadlineTimer:
    """Calls ``reached`` with a loop time: what was due by then is over. It returns the earliest deadline left."""

    __slots__ = ("_at", "_reached", "_timer")

    def __init__(self, reached: Callable[[float], float | None]) -> None:
        self._reached = reached
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def set(self, end: float) -> None:
        """Fire no later than at ``end``."""
        if self._timer is not None:
            if self._at <= end:
                return
            self._timer.cancel()
        self._at = end
        self._timer = asyncio.get_running_loop().call_at(end, self._fire)

    def stop(self) -> None:
        """Do not fire any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Stop for good, and drop what it calls, so that both can be freed without the garbage collector."""
        self.stop()
        self._reached = _closed

    def _fire(self) -> None:
        self._timer = None
        end = self._reached(self._at)
        if end is not None:
            self.set(end)


def _closed(now: float) -> None:
    """What a closed timer calls."""
