"""The directory as the rest of vmaild sees it: one coroutine that searches, on whichever server is up.

``search`` answers by its deadline, with the entries or a ``DirectoryFailure``. An empty list is the directory's own
word: it came from a server that holds the search base, as a complete answer without a referral.

- Lookups wait for a free connection in one bounded queue, first come first served.
- A search whose connection breaks is tried once more, inside the same deadline.
- While another server is up, a first try gets half of the time left, so that a server that hangs costs a delay and
  not the answer.
- With no server up, lookups fail at once.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from vmaild.directory.connection import LdapConnection
from vmaild.directory.counters import Counters, PoolStatus
from vmaild.directory.failover import NEVER, Standing, choose, hopeless, next_change
from vmaild.directory.failures import BROKEN, BUSY, PARTIAL, SUFFIX, TIMEOUT, UNAVAILABLE
from vmaild.directory.server import LdapServer
from vmaild.directory.settings import DirectorySettings
from vmaild.directory.transport import Transport
from vmaild.directory.uri import parse
from vmaild.directory.wait_queue import WaitQueue
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Entry, Search

logger = logging.getLogger("vmaild.directory")

FIRST_SHARE = 0.5
"""Share of the time left that a first try gets when there is another server to go to."""

PATIENCE = 0.5
"""Seconds: a search that was given less, because its lookup waited long, says nothing about the server."""

RETRY_PAUSE = 0.01
"""Seconds between a broken connection and the second try: a server that died ends all its connections, one after
the other, and the second try must not meet another of them."""

TIMER_SLACK = 0.001
"""Seconds added to a timer, so that the moment it was set for has passed on every clock."""

AGAIN = frozenset({BROKEN, PARTIAL})
"""Failures after which the same search is tried once more wherever it can be."""

ELSEWHERE = frozenset({TIMEOUT, SUFFIX, BUSY})
"""Failures after which it is tried once more when there is another server."""


class Pool:
    """A pool over the servers of ``settings``, which must be without ``problems``.

    ``clock`` times backoff, failback and lifetimes; deadlines are in loop time.
    """

    def __init__(self, settings: DirectorySettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.counters = Counters()
        self._settings = settings
        self._clock = clock
        self._waiting: WaitQueue[tuple[LdapServer, LdapConnection]] = WaitQueue(settings.max_waiting)
        self._servers: list[LdapServer] = []
        self._standings: list[Standing] = []
        self._current: int | None = None
        self._active: LdapServer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sockets: Path | None = None
        self._closed = False

    async def start(self) -> None:
        """Begin to connect in the background; returns at once, even when every server is down.

        Raises ``OSError`` (with ssl's errors) when a certificate file cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        self._sockets = Path(tempfile.mkdtemp(prefix="vmaild-"))
        for uri in self._settings.uri:
            transport = Transport(parse(uri), self._settings, self._sockets, self._clock)
            self._servers.append(LdapServer(uri, transport, self._settings, self.counters, self._changed, self._clock))
        self._standings = [server.standing for server in self._servers]
        for server in self._servers:
            server.start()

    async def close(self) -> None:
        """Close all connections; lookups under way fail. Can be called twice, and without ``start``."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.fail(DirectoryFailure("vmaild is stopping", UNAVAILABLE))
        await asyncio.gather(*(server.close() for server in self._servers))
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def ready(self) -> bool:
        """True when a server is up."""
        return any(server.standing.up for server in self._servers)

    @property
    def waiting(self) -> int:
        """Lookups that wait for a connection."""
        return len(self._waiting)

    def status(self) -> PoolStatus:
        """The numbers of this moment, for statistics and metrics."""
        return PoolStatus(
            tuple(server.status(current=index == self._current) for index, server in enumerate(self._servers)),
            len(self._waiting),
        )

    async def search(self, search: Search, *, deadline: float | None = None) -> list[Entry]:
        """The entries that match, by ``deadline`` (loop time; default: ``timeout`` from now).

        Raises ``DirectoryFailure`` (``Overloaded`` when too many wait), nothing else of its own.
        """
        counters = self.counters
        counters.searches += 1
        end = self._loop.time() + self._settings.timeout if deadline is None else deadline
        try:
            entries = await self._search(search, end)
        except DirectoryFailure as failure:
            counters.failures[failure.kind] += 1
            raise
        except asyncio.CancelledError:
            counters.cancelled += 1
            raise
        if not entries:
            counters.empty += 1
        return entries

    async def _search(self, search: Search, end: float) -> list[Entry]:
        server, connection = self._take() or await self._wait(end)
        until = end
        if len(self._servers) > 1 and self._another_is_up(server):
            now = self._loop.time()
            until = now + (end - now) * FIRST_SHARE
        try:
            return await self._search_on(server, connection, search, until)
        except DirectoryFailure as failure:
            if not self._again(failure, server, end):
                raise
            self.counters.retries += 1
            if failure.kind in AGAIN:
                await asyncio.sleep(RETRY_PAUSE)
            # A server that hangs or has lost its data must not get the second try too.
            other = self._take_elsewhere(server) if failure.kind in ELSEWHERE else None
        server, connection = other or self._take() or await self._wait(end)
        return await self._search_on(server, connection, search, end)

    async def _search_on(
        self, server: LdapServer, connection: LdapConnection, search: Search, until: float
    ) -> list[Entry]:
        began = self._loop.time()
        try:
            entries = await connection.search(search, until)
            server.answered()
            if not entries:
                await server.confirm(connection, until)
            return entries
        except DirectoryFailure as failure:
            if failure.kind != TIMEOUT:
                server.answered()
            elif until - began >= PATIENCE:
                server.timed_out()
            raise
        finally:
            server.release(connection)
            if self._waiting:
                self._hand_over()

    def _again(self, failure: DirectoryFailure, server: LdapServer, end: float) -> bool:
        """Whether a second try is worth it."""
        if self._loop.time() >= end or self._closed:
            return False
        return failure.kind in AGAIN or (failure.kind in ELSEWHERE and self._another_is_up(server))

    def _another_is_up(self, server: LdapServer) -> bool:
        return any(other.standing.up for other in self._servers if other is not server)

    def _take(self) -> tuple[LdapServer, LdapConnection] | None:
        """A free connection of the active server, when nobody waits for one."""
        server = self._active
        if server is None or self._waiting:
            return None
        connection = server.take()
        return None if connection is None else (server, connection)

    def _take_elsewhere(self, shunned: LdapServer) -> tuple[LdapServer, LdapConnection] | None:
        for server in self._servers:
            if server is not shunned and (connection := server.take()) is not None:
                return server, connection
        return None

    async def _wait(self, end: float) -> tuple[LdapServer, LdapConnection]:
        self.counters.waited += 1
        while True:
            if hopeless(self._standings) or self._closed:
                self.counters.failed_fast += 1
                raise DirectoryFailure("no directory server can be reached", UNAVAILABLE)
            server, connection = await self._turn(end)
            # It may have died between the hand-over and now.
            if not connection.dead:
                return server, connection

    async def _turn(self, end: float) -> tuple[LdapServer, LdapConnection]:
        waiter = self._waiting.join(end)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                server, connection = waiter.result()
                server.release(connection)
                self._hand_over()
            raise

    def _changed(self) -> None:
        """A server's standing changed, it has a free connection, or time passed: decide anew, then serve."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock()
        after = self._settings.failback_after
        index = choose(self._standings, self._current, now, after)
        if index is not None and index != self._current:
            self._change_to(index)
        self._active = None if index is None else self._servers[index]
        pause = next_change(self._standings, self._current, now, after)
        if pause is not None and not self._closed:
            self._timer = self._loop.call_later(pause + TIMER_SLACK, self._changed)
        if hopeless(self._standings):
            why = DirectoryFailure("no directory server can be reached", UNAVAILABLE)
            self.counters.failed_fast += self._waiting.fail(why)
        self._hand_over()

    def _change_to(self, index: int) -> None:
        before, self._current = self._current, index
        if before is None or (index < before and self._standings[index].well_since == NEVER):
            return  # servers come up in any order at the start
        if index > before:
            self.counters.failovers += 1
        else:
            self.counters.failbacks += 1
        logger.warning(
            "directory lookups go to %s now, before to %s", self._servers[index].uri, self._servers[before].uri
        )

    def _hand_over(self) -> None:
        """Give the active server's free connections to those who wait, in their order."""
        server = self._active
        while server is not None and self._waiting and (connection := server.take()) is not None:
            waiter = self._waiting.next()
            if waiter is None:
                server.release(connection)
            else:
                waiter.set_result((server, connection))
