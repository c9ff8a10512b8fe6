"""Lets few pass in one turn of the event loop, so that a burst does not hold up everything else.

Lookups that miss come in bursts: many requests in one turn of the loop. Each costs some tens of microseconds to begin,
and a cached answer that is asked for meanwhile would wait for all of them. Behind a throttle it waits for a few.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

WIDTH = 2
"""What may pass in a turn: a few tenths of a millisecond of work."""


class Throttle:
    """Those who come in one turn of the loop pass in their order, ``width`` of them in each turn."""

    def __init__(self, width: int = WIDTH) -> None:
        self._width = width
        self._passed = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def run(self, work: Callable[[], None]) -> None:
        """Call ``work``: at once, unless ``width`` have passed in this turn of the loop, else in one of the next."""
        if self._passed >= self._width:
            self._waiting.append(work)
            return
        if not self._passed:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._passed += 1
        work()

    def _next_turn(self) -> None:
        self._passed = min(len(self._waiting), self._width)
        if self._passed:
            asyncio.get_running_loop().call_soon(self._next_turn)
        for _ in range(self._passed):
            self._waiting.popleft()()
