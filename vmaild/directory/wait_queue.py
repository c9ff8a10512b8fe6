"""The searches that wait for a connection: first come, first served, and not more than a bound."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

from vmaild.directory.deadline_timer import DeadlineTimer
from vmaild.directory.failures import TIMEOUT
from vmaild.errors import DirectoryFailure, Overloaded


class Queued(Protocol):
    """Who waits, until ``end`` (loop time)."""

    end: float
    gone: bool
    """True once it waits no longer, whatever the reason."""

    def fail(self, failure: DirectoryFailure) -> None:
        """Take the failure in place of a turn."""


W = TypeVar("W", bound=Queued)


class WaitQueue(Generic[W]):
    """A bounded queue of waiters, each of which gets its turn by ``next`` or a failure."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self.waiters: deque[W] = deque()
        """In their order; some may have given up."""
        self._deadline = DeadlineTimer(self._expire)

    def __len__(self) -> int:
        """How many still wait."""
        return sum(not waiter.gone for waiter in self.waiters)

    def join(self, waiter: W) -> None:
        """Queue up; the waiter fails at its ``end``. Raises ``Overloaded`` past the bound."""
        if len(self.waiters) >= self._bound:
            self._forget_gone()
            if len(self.waiters) >= self._bound:
                raise Overloaded(f"{self._bound} searches wait already")
        self.waiters.append(waiter)
        if waiter.end < self._deadline.at:
            self._deadline.set(waiter.end)

    def next(self) -> W | None:
        """The waiter whose turn it is, taken off the queue; never one that gave up."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.gone:
                return waiter
        return None

    def fail(self, why: DirectoryFailure) -> int:
        """Fail all who wait; returns how many."""
        waiting = [waiter for waiter in self.waiters if not waiter.gone]
        self.waiters.clear()
        self._deadline.stop()
        for waiter in waiting:
            waiter.fail(why)
        return len(waiting)

    def close(self) -> None:
        """Nobody waits any more."""
        self._deadline.close()

    def _expire(self, now: float) -> float | None:
        late = [waiter for waiter in self.waiters if waiter.end <= now and not waiter.gone]
        for waiter in late:
            waiter.gone = True
        self._forget_gone()
        for waiter in late:
            waiter.fail(DirectoryFailure("no connection became free in time", TIMEOUT))
        return min((waiter.end for waiter in self.waiters), default=None)

    def _forget_gone(self) -> None:
        self.waiters = deque(waiter for waiter in self.waiters if not waiter.gone)
