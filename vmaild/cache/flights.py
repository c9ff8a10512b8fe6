"""One search at a time for the same key.

The first to ask makes the search itself, in its own coroutine, so that a miss costs no task; whoever comes while
it is under way waits for its outcome. When the first is cancelled, one of the waiting takes over. A search in
the background has a task of its own, whose end nobody needs to wait for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from vmaild.errors import DirectoryFailure, LookupFailure
from vmaild.lookup import Reply

logger = logging.getLogger("vmaild.cache")

# Searches in the background at the same time. Each holds a place in the directory's queue, which is shorter;
# past it a lookup makes its own search as if it were the first.
MAX_BACKGROUND = 1000

Search = Callable[[], Awaitable[Reply]]
# A reply, the exception in its place, or None when whoever searched was cancelled.
Outcome = Reply | Exception | None


class Flights:
    """The searches under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[bytes, asyncio.Future[Outcome]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def under_way(self, key: bytes) -> bool:
        """Whether a search for ``key`` is under way that others can wait for."""
        return key in self._flights

    async def join(self, key: bytes, search: Search) -> Reply:
        """The reply of the search for ``key``: of one that is under way, else of ``search``."""
        while (flight := self._flights.get(key)) is not None:
            # Does not cancel what it waits for when it is itself cancelled.
            await asyncio.wait([flight])
            outcome = flight.result()
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is not None:
                return outcome
        return await self._lead(key, self._depart(key), search)

    def start(self, key: bytes, search: Search) -> None:
        """Search in the background, unless a search for ``key`` or too many others are under way."""
        if key in self._flights or len(self._tasks) >= MAX_BACKGROUND:
            return
        flight = self._depart(key)
        task = asyncio.get_running_loop().create_task(self._lead_quietly(key, flight, search))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            # A task that is cancelled before its first step never comes to its own clean-up.
            self._land(key, flight, None)

        task.add_done_callback(ended)

    def disown(self, wanted: Callable[[bytes], bool]) -> None:
        """Let nobody join the searches under way for the keys that are ``wanted``."""
        for key in [key for key in self._flights if wanted(key)]:
            del self._flights[key]

    async def close(self) -> None:
        """Cancel the searches in the background."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _depart(self, key: bytes) -> asyncio.Future[Outcome]:
        flight: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        return flight

    def _land(self, key: bytes, flight: asyncio.Future[Outcome], outcome: Outcome) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.done():
            flight.set_result(outcome)

    async def _lead(self, key: bytes, flight: asyncio.Future[Outcome], search: Search) -> Reply:
        outcome: Outcome = None
        try:
            reply = outcome = await search()
        except Exception as error:
            outcome = error
            raise
        finally:
            self._land(key, flight, outcome)
        return reply

    async def _lead_quietly(self, key: bytes, flight: asyncio.Future[Outcome], search: Search) -> None:
        try:
            await self._lead(key, flight, search)
        except DirectoryFailure:
            pass  # The directory counts and logs its own failures.
        except LookupFailure as failure:
            logger.warning("renewing the answer for %a: %s", key, failure)
        except Exception:
            logger.exception("renewing the answer for %a failed", key)
