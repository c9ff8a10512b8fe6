"""Goes through many records, a few in each turn of the loop.

A walk through all records of a cache takes every ``Visit`` along that was asked for before it began; one that is asked
for while it goes on waits for the next. So however often everything is to be visited, there is one walk at a time, and
never more than one list of all records.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any

from vmaild.cache import Cache, Record

logger = logging.getLogger("vmaild.maps")

SLICE = 2000
"""Records in a turn of the loop: a third of a millisecond."""

DROPPED = 500
"""Keys in a turn of the loop: to forget a record takes about a microsecond."""

Visit = Callable[[Record], object]


class Walk:
    """``prefixes`` are those of the keys of the records that are visited. The same visit that already waits does not
    wait twice: it is to look up what it is for when it is made."""

    def __init__(self, cache: Cache, prefixes: tuple[bytes, ...]) -> None:
        self._cache = cache
        self._prefixes = prefixes
        self._task: asyncio.Task[None] | None = None
        self._waiting: dict[Visit, None] = {}
        self._others: set[asyncio.Task[None]] = set()

    @property
    def goes_on(self) -> bool:
        """Whether records are visited in the next turns of the loop."""
        return self._task is not None and not self._task.done()

    def through(self, visit: Visit) -> None:
        """Visit every record that there is now: the first at once if no walk goes on, others in the next turns."""
        if self.goes_on:
            self._waiting[visit] = None
            return
        records = self._cache.all()
        self._visit(records[:SLICE], (visit,))
        if len(records) > SLICE:
            self._task = _begin(self._go_on(records, (visit,)))

    def each(self, keys: Collection[bytes], act: Callable[[bytes], object]) -> None:
        """``act`` on each key: at once on the first ``DROPPED``, on others in the next turns."""
        left = iter(keys)
        for key in itertools.islice(left, DROPPED):
            act(key)
        if len(keys) > DROPPED:
            task = _begin(self._act(left, act))
            self._others.add(task)
            task.add_done_callback(self._others.discard)

    def work(self, steps: Iterator[None]) -> None:
        """Do the first of ``steps`` at once, and each other in a turn of the loop."""
        for _ in steps:
            task = _begin(self._work(steps))
            self._others.add(task)
            task.add_done_callback(self._others.discard)
            return

    async def finish(self) -> None:
        """Wait until nothing goes on."""
        while tasks := [task for task in (self._task, *self._others) if task is not None and not task.done()]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """End what goes on."""
        tasks = [task for task in (self._task, *self._others) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _visit(self, records: list[Record], visits: tuple[Visit, ...]) -> None:
        for record in records:
            # A record that has left the cache has no key.
            if record.key.startswith(self._prefixes):
                for visit in visits:
                    visit(record)

    async def _go_on(self, records: list[Record], visits: tuple[Visit, ...]) -> None:
        start = SLICE
        while True:
            for at in range(start, len(records), SLICE):
                await asyncio.sleep(0)
                self._visit(records[at : at + SLICE], visits)
            if not self._waiting:
                return
            start, visits, records = 0, tuple(self._waiting), self._cache.all()
            self._waiting.clear()

    async def _work(self, steps: Iterator[None]) -> None:
        await asyncio.sleep(0)
        for _ in steps:
            await asyncio.sleep(0)

    async def _act(self, keys: Iterator[bytes], act: Callable[[bytes], object]) -> None:
        await asyncio.sleep(0)
        while some := list(itertools.islice(keys, DROPPED)):
            for key in some:
                act(key)
            await asyncio.sleep(0)


def _begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("records are not visited any more: a bug", exc_info=error)
