"""Lets few pass in one turn of the event loop, so that a burst does not hold up everything else.

Lookups that miss come in bursts: many requests, or many answers of the directory, in one turn of the loop. Each costs
some 0.1 ms, and a cached answer that is asked for meanwhile would wait for all of them. Behind a throttle it waits
for a few.
"""

from __future__ import annotations

import asyncio
from collections import deque

# What may pass in a turn: a few tenths of a millisecond of work.
WIDTH = 2


class Throttle:
    """Those who come in one turn of the loop pass in their order, ``width`` of them in each turn."""

    def __init__(self, width: int = WIDTH) -> None:
        self._width = width
        self._passed = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def turn(self) -> None:
        """Return when it is one's turn: at once, unless ``width`` have passed in this turn of the loop."""
        loop = asyncio.get_running_loop()
        if self._passed >= self._width:
            waiter = loop.create_future()
            self._waiting.append(waiter)
            await waiter
            return
        if not self._passed:
            loop.call_soon(self._next_turn)
        self._passed += 1

    def _next_turn(self) -> None:
        self._passed = 0
        while self._waiting and self._passed < self._width:
            waiter = self._waiting.popleft()
            if not waiter.done():  # or it was cancelled
                waiter.set_result(None)
                self._passed += 1
        if self._passed:
            asyncio.get_running_loop().call_soon(self._next_turn)
