"""What comes of a lookup that was in flight: a record is stored, and those who wait are answered.

Here exceptions become replies (``reply_to``).

A "not found" of a map with canaries is trusted only when they were found a short while ago. What an older search
brought is not stored in place of what a newer one found. When the directory fails, what is stale serves where it may,
and all others are answered TEMP.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Coroutine, Sequence
from typing import Any

from vmaild import lookup
from vmaild.cache import NEVER, Cache, Known, Record, reply_of
from vmaild.errors import DataError, DirectoryFailure, LookupFailure
from vmaild.lookup import NOT_FOUND, Reply, Status
from vmaild.maps.canaries import Canaries
from vmaild.maps.flight import Flight, Flights, Limits, Searcher, Waiter
from vmaild.maps.freshness import Freshness
from vmaild.maps.samples import Samples
from vmaild.maps.suspicion import Suspicion
from vmaild.process.log_once import LogOnce
from vmaild.tables import Group, KeyLookup

logger = logging.getLogger("vmaild.maps")


class Landing:
    """Where the ``flights`` of all maps end."""

    def __init__(
        self,
        cache: Cache,
        directory: Searcher,
        canaries: Canaries,
        suspicion: Suspicion,
        once: LogOnce,
        limits: Limits | None,
    ) -> None:
        self._cache = cache
        self._canaries = canaries
        self._once = once
        self._tasks: set[asyncio.Task[None]] = set()
        self._suspicion = suspicion
        self.freshness: dict[Group, Freshness] = {}
        """Where changes arrive: it is called with what each record of the group was made from."""
        itself = weakref.proxy(self)  # or each would hold the other, for ever
        self.flights = Flights(
            directory, lambda flight: itself.landed(flight), cache.counters, cache.clock, limits=limits
        )

    async def close(self) -> None:
        """End what waits for canaries."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.flights.close()

    def landed(self, flight: Flight) -> None:
        """A flight has ended."""
        doubtful: list[str] = []
        samples = None
        if flight.failure is None:
            try:
                if flight.found_nothing:
                    samples = self._suspicion.of(flight)
                if self._canaries.keys:
                    doubtful = self._doubtful(flight)
            except Exception as error:
                flight.failure = error
        if doubtful or samples is not None:
            self._spawn(self._confirm(flight, doubtful, samples))
        else:
            self._end(flight)

    def _doubtful(self, flight: Flight) -> list[str]:
        """The maps whose "not found" somebody waits for, and cannot be trusted yet."""
        names = [flight.group.tables[flight.place].name, *(waiter.map.name for waiter in flight.waiters)]
        settled = {table.name: flight.lookup.settle(n) for n, table in enumerate(flight.group.tables)}
        return [n for n in dict.fromkeys(names) if settled[n] is NOT_FOUND and not self._canaries.trusted(n)]

    async def _confirm(self, flight: Flight, names: list[str], samples: Samples | None) -> None:
        try:
            if samples is not None:
                await samples.confirm(flight.end)
            await self._canaries.confirm_all(names, flight.end)
        except Exception as error:
            flight.failure = error
            for waiter in flight.waiters:
                waiter.map.counters.canary_refusals += samples is not None or waiter.map.name in names
        self._end(flight)

    def _end(self, flight: Flight) -> None:
        """Store what was found and answer with it; or with the failure."""
        self.flights.remove(flight)
        if flight.timer is not None:
            flight.timer.cancel()
        if flight.failure is None:
            try:
                self._deliver(flight, self._kept(flight))
            except Exception as error:
                flight.failure = error
        if flight.failure is not None:
            self._failed(flight, flight.failure)

    def _kept(self, flight: Flight) -> Sequence[Known]:
        """What the maps of the record know now, stored unless it is outdated."""
        found, more = self._knowledge(flight.lookup)
        record = flight.completes
        derived = not flight.lookup.exact
        freshness = self.freshness.get(flight.group)
        heard = freshness is not None and freshness.hears
        if record is not None and self._cache.get(flight.key) is record:
            found = [new if old is None else old for old, new in zip(record.known, found, strict=True)]
            self._cache.complete(record, found, more, derived=derived, heard=heard)
        elif record is not None or flight.began < flight.newest:
            self._cache.counters.outdated += 1
            newer = self._cache.get(flight.key)
            if newer is not None:
                return newer.known
        elif flight.began != NEVER:
            self._cache.store(flight.key, found, more, place=flight.place, derived=derived, heard=heard)
        if flight.others:
            self._keep_others(flight, freshness)
        if freshness is not None:
            freshness.note(flight.key, flight.lookup, flight.began, flight.origin)
        for warning in flight.lookup.warnings:
            self._once.log(logging.WARNING, ("skipped", warning), f"key {flight.lookup.key!a}: {warning}")
        return found

    def _knowledge(self, one: KeyLookup) -> tuple[list[Known], KeyLookup | None]:
        """What a lookup has settled for each map, and the lookup itself where more is to be asked."""
        found: list[Known] = []
        more = None
        for place, table in enumerate(one.group.tables):
            settled = one.settle(place)
            if type(settled) is Reply:
                if settled.status is Status.FOUND:
                    found.append(settled.text)
                elif settled is NOT_FOUND and self._canaries.keys and not self._canaries.trusted(table.name):
                    found.append(None)
                else:
                    found.append(settled)
            elif isinstance(settled, DataError):
                found.append(settled)
            else:
                found.append(None)
                more = one
        return found, more

    def _keep_others(self, flight: Flight, freshness: Freshness | None) -> None:
        """Store what the same searches said of other keys, where nothing is known of them."""
        for other, began in flight.others:
            key = flight.key[: flight.key.index(b" ") + 1] + other.key.encode()
            if self._cache.get(key) is None and began > self._cache.forgot_at:
                found, more = self._knowledge(other)
                heard = freshness is not None and freshness.hears
                self._cache.store(key, found, more, derived=not other.exact, heard=heard)
                self.flights.stored(key, began)
                if freshness is not None:
                    freshness.note(key, other, began, flight.origin)

    def _deliver(self, flight: Flight, found: Sequence[Known]) -> None:
        """Answer each who waits; for a map that needs further searches, go on."""
        waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            known = found[waiter.map.place]
            if type(known) is bytes:
                waiter.map.counters.found += 1
                waiter.map.found.append(flight.lookup.key)
                waiter.answer(Reply(Status.FOUND, known), self._cache.clock())
            elif known is None:
                record = self._cache.get(flight.key)
                self.flights.join(flight.key, waiter, record if record is not None and record.more else None)
            else:
                if isinstance(known, DataError):
                    self._log_data_error(waiter, flight, known)
                self._tell(waiter, reply_of(known))

    def _log_data_error(self, waiter: Waiter, flight: Flight, error: DataError) -> None:
        waiter.map.counters.data_errors += 1
        text = f"map {waiter.map.name}, key {flight.lookup.key!a}: {error!s}"
        self._once.log(logging.ERROR, ("unusable", waiter.map.name, str(error)), text)

    def _failed(self, flight: Flight, failure: Exception) -> None:
        """Answer with what may serve in place of the directory, and all others with the failure."""
        self._cache.counters.failures += 1
        if isinstance(failure, DirectoryFailure):
            record = self._cache.get(flight.key)
            if record is not None:
                self._cache.put_off(record)
                self._tell_stale(flight, record)
        reply = reply_to(failure)
        waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            self._tell(waiter, reply)

    def _tell(self, waiter: Waiter, reply: Reply) -> None:
        waiter.map.counters.count(reply.status)
        waiter.answer(reply, self._cache.clock())

    def tell_cached(self, waiter: Waiter, record: Record, known: Known) -> None:
        """Answer from a record, fresh or stale."""
        assert known is not None
        reply = reply_of(known)
        self._cache.tally(waiter.map.name, reply.status, stale=self._cache.clock() >= record.expires_at).hits += 1
        waiter.tell(reply)

    def not_found(self, waiter: Waiter) -> None:
        """A key that cannot be in the directory. Even then a missing canary makes it TEMP, as for all of its map."""
        if self._canaries.trusted(waiter.map.name):
            self._tell(waiter, NOT_FOUND)
        else:
            self._spawn(self._confirm_unasked(waiter))

    async def _confirm_unasked(self, waiter: Waiter) -> None:
        try:
            await self._canaries.confirm(waiter.map.name, waiter.end)
        except Exception as error:
            waiter.map.counters.canary_refusals += 1
            self._tell(waiter, reply_to(error))
        else:
            self._tell(waiter, NOT_FOUND)

    def out_of_patience(self, flight: Flight) -> None:
        """The directory takes long: those who have a stale answer get it (RFC 8767, 5)."""
        flight.timer = None
        record = self._cache.get(flight.key)
        if record is not None and self._tell_stale(flight, record):
            self._cache.put_off(record)

    def _tell_stale(self, flight: Flight, record: Record) -> int:
        """Answer those who wait for what ``record`` may still say; returns how many they were."""
        now = self._cache.clock()
        waiters, flight.waiters = flight.waiters, []
        told = 0
        # Who is answered may ask for more, which may push the record out.
        answers = record.known
        for waiter in waiters:
            known = answers[waiter.map.place]
            if self._cache.usable(record, known, now):
                self.tell_cached(waiter, record, known)
                told += 1
            else:
                flight.waiters.append(waiter)
        if flight.failure is None:
            self._cache.counters.slow += told
        return told

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def reply_to(error: Exception) -> Reply:
    """Here exceptions become replies."""
    if isinstance(error, LookupFailure):
        return lookup.temporary(error.reason)
    logger.error("a lookup failed by a bug", exc_info=error)
    return lookup.temporary("internal error")
