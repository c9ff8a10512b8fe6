"""The lookups that wait for a connection: first come, first served, and not more than a bound."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from vmaild.directory.deadline_timer import DeadlineTimer
from vmaild.directory.failures import TIMEOUT
from vmaild.errors import DirectoryFailure, Overloaded

T = TypeVar("T")


class WaitQueue(Generic[T]):
    """A bounded queue of waiters, each of which gets one T or a failure."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiters: deque[tuple[asyncio.Future[T], float]] = deque()
        self._deadline = DeadlineTimer(self._expire)

    def __len__(self) -> int:
        """How many still wait."""
        return sum(not waiter.done() for waiter, _ in self._waiters)

    def __bool__(self) -> bool:
        """True when somebody may wait; cheap."""
        return bool(self._waiters)

    def join(self, end: float) -> asyncio.Future[T]:
        """A future for what is waited for; it fails at ``end`` (loop time). Raises ``Overloaded`` past the bound.

        Whoever is cancelled while waiting must give back what the future holds by then.
        """
        if len(self._waiters) >= self._bound:
            self._forget_gone()
            if len(self._waiters) >= self._bound:
                raise Overloaded(f"{self._bound} lookups wait already")
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiters.append((waiter, end))
        self._deadline.set(end)
        return waiter

    def next(self) -> asyncio.Future[T] | None:
        """The waiter whose turn it is, taken off the queue; never one that gave up."""
        while self._waiters:
            waiter, _ = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def fail(self, why: DirectoryFailure) -> int:
        """Fail all who wait; returns how many."""
        count = 0
        while (waiter := self.next()) is not None:
            waiter.set_exception(why)
            count += 1
        self._deadline.stop()
        return count

    def _expire(self, now: float) -> float | None:
        for waiter, end in self._waiters:
            if end <= now and not waiter.done():
                waiter.set_exception(DirectoryFailure("no connection became free in time", TIMEOUT))
        self._forget_gone()
        return min((end for _, end in self._waiters), default=None)

    def _forget_gone(self) -> None:
        self._waiters = deque((waiter, end) for waiter, end in self._waiters if not waiter.done())
