"""The directory as the rest of vmaild sees it: searches, on whichever server is up.

``begin`` calls back by its deadline, with the entries or a ``DirectoryFailure``; ``search`` is the same as a coroutine.
An empty list is the directory's own word: it came from a server that holds the search base, as a complete answer
without a referral. A search that finds a free connection and is answered costs no task and no future.

- Lookups wait for a free connection in one bounded queue, first come first served.
- A search whose connection breaks is tried once more, inside the same deadline.
- While another server is up, a first try gets half of the time left, so that a server that hangs costs a delay and
  not the answer.
- With no server up, lookups fail at once.
- A server whose probes take long while another's do not loses lookups to that one (``probe_time``).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from vmaild.directory.connection import LdapConnection, Outcome, settle
from vmaild.directory.counters import Counters, PoolStatus
from vmaild.directory.failover import NEVER, Standing, choose, hopeless, next_change
from vmaild.directory.failures import BROKEN, BUSY, PARTIAL, SUFFIX, TIMEOUT, UNAVAILABLE
from vmaild.directory.probe_time import compare
from vmaild.directory.replica_state import Seen, unloaded
from vmaild.directory.server import LdapServer
from vmaild.directory.service_time import NOTABLE, ONE_IN, ServiceTime
from vmaild.directory.settings import DirectorySettings
from vmaild.directory.transport import Transport
from vmaild.directory.uri import parse
from vmaild.directory.wait_queue import WaitQueue
from vmaild.errors import DataError, DirectoryFailure, Overloaded
from vmaild.lookup import Entry, Search
from vmaild.tables.schema import Schema

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

GATHERING = 0.5
"""Seconds at the start in which servers that neither answer nor fail are waited for before one of them is asked."""

AGAIN = frozenset({BROKEN, PARTIAL})
"""Failures after which the same search is tried once more wherever it can be."""

ELSEWHERE = frozenset({TIMEOUT, SUFFIX, BUSY})
"""Failures after which it is tried once more when there is another server."""


class Found(NamedTuple):
    """The entries of a search, when it was sent (by the pool's clock), and the schema and URI of who answered.

    An answer that is too large to be used is a ``DataError`` in the place of the entries.
    """

    entries: list[Entry] | DataError
    began: float
    schema: Schema | None
    origin: str = ""


Ended = Found | DirectoryFailure
"""How a search ends."""


class Pool:
    """A pool over the servers of ``settings``, which must be without ``problems``.

    ``clock`` times backoff, failback and lifetimes; deadlines are in loop time. ``counters`` are those of a pool that
    this one replaces.
    """

    def __init__(
        self,
        settings: DirectorySettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        counters: Counters | None = None,
    ) -> None:
        self.counters = counters or Counters()
        self._settings = settings
        self._timeout = settings.timeout
        self._clock = clock
        self._waiting: WaitQueue[_Attempt] = WaitQueue(settings.max_waiting)
        self._servers: list[LdapServer] = []
        self._standings: list[Standing] = []
        self._started_at = NEVER
        self._current: int | None = None
        self._served: set[int] = set()
        self._active: LdapServer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sockets: Path | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._handing_over = False
        self._closed = False
        self.service_time = ServiceTime()
        self.seen = Seen(required=settings.require_context)
        self._behind_since: float | None = None
        self.behind = False
        """Whether the server in use lacks what was seen before: its "not found" is to be doubted."""
        self.server_changed: Callable[[], object] = _nothing
        """Called when lookups go to another server, or ``behind`` has changed."""
        self.schema: Schema | None = None
        """The schema of the server that serves now, None when it is not known."""

    async def start(self) -> None:
        """Begin to connect in the background; returns at once, even when every server is down.

        Raises ``OSError`` (with ssl's errors) when a certificate file cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        self._sockets = Path(tempfile.mkdtemp(prefix="vmaild-"))
        schemas: list[Schema] = []
        for uri in self._settings.uri:
            transport = Transport(parse(uri), self._settings, self._sockets, self._clock)
            self._servers.append(
                LdapServer(
                    uri, transport, self._settings, self.counters, schemas, self._changed, self._clock, self.seen
                )
            )
        self._standings = [server.standing for server in self._servers]
        self._started_at = self._clock()
        for server in self._servers:
            server.start()

    async def close(self) -> None:
        """Close all connections; lookups in flight fail. Can be called twice, and without ``start``."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.fail(DirectoryFailure("vmaild is stopping", UNAVAILABLE))
        await asyncio.gather(*(server.close() for server in self._servers))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._waiting.close()
        self.server_changed = _nothing

    @property
    def ready(self) -> bool:
        """True when a server is up."""
        return any(server.standing.up for server in self._servers)

    @property
    def search_time(self) -> float:
        """Seconds that a search takes at present, 0 when that is not known."""
        return self.service_time.seconds

    @property
    def current_uri(self) -> str:
        """The server that lookups go to now, empty when there is none."""
        return "" if self._active is None else self._active.uri

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

        Raises ``DirectoryFailure`` (``Overloaded`` when too many wait) and ``DataError``, nothing else of its own.
        """
        ended: asyncio.Future[Ended] = self._loop.create_future()
        end = self._loop.time() + self._settings.timeout if deadline is None else deadline
        attempt = self.begin(search, end, functools.partial(settle, ended))
        try:
            how = await ended
        except asyncio.CancelledError:
            self.counters.cancelled += 1
            attempt.cancel()
            raise
        try:
            if isinstance(how, DirectoryFailure):
                raise how
            if isinstance(how.entries, DataError):
                raise how.entries
            return how.entries
        finally:
            del how, ended  # the traceback of what is raised holds this frame

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> _Attempt:
        """Search by ``end`` (loop time) and within ``timeout``. ``done`` is called once with how it ended, perhaps
        before this returns."""
        self.counters.searches += 1
        own_end = self._loop.time() + self._timeout
        if own_end < end:
            end = own_end
        attempt = _Attempt(self, search, end, done)
        self._place(attempt)
        return attempt

    def _place(self, attempt: _Attempt) -> None:
        """Give the attempt a connection, a place in the queue, or its failure."""
        if attempt.gone:
            return
        server = self._active
        if server is not None and not self._waiting.waiters:
            idle = server.idle
            while idle:
                connection = idle.pop()
                if not connection.dead:
                    attempt.run(server, connection)
                    return
        self.counters.waited += 1
        if hopeless(self._standings) or self._closed:
            self.counters.failed_fast += 1
            attempt.fail(DirectoryFailure("no directory server can be reached", UNAVAILABLE))
            return
        try:
            self._waiting.join(attempt)
        except Overloaded as overloaded:
            attempt.fail(overloaded)

    def _release(self, server: LdapServer, connection: LdapConnection) -> None:
        if server.wanted is None and not connection.dead and self._clock() < connection.expires:
            server.idle.append(connection)
        else:
            server.release(connection)
        if self._waiting.waiters:
            self._hand_over()

    def _may_retry(self, failure: DirectoryFailure, server: LdapServer, end: float) -> bool:
        """Whether a second try is worth it."""
        if self._loop.time() >= end or self._closed:
            return False
        return failure.kind in AGAIN or (failure.kind in ELSEWHERE and self._another_is_up(server))

    def _another_is_up(self, server: LdapServer) -> bool:
        return any(other.standing.up for other in self._servers if other is not server)

    def _place_elsewhere(self, attempt: _Attempt, shunned: LdapServer) -> None:
        """A second try: a server that hangs or has lost its data must not get it too."""
        for server in self._servers:
            if server is not shunned and (connection := server.take()) is not None:
                attempt.run(server, connection)
                return
        self._place(attempt)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _changed(self) -> None:
        """A server's standing changed, it has a free connection, or time passed: decide again, then serve."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock()
        after = self._settings.failback_after
        for server in self._servers:
            if server.standing.up and server.state.unloaded:
                server.take_out(unloaded())  # which comes back here
                return
            server.standing.behind, server.standing.lacks = server.state.behind, server.state.lacks
        self._compare(now)
        if self._current is None and (gathering := self._gathering(now)):
            self._timer = self._loop.call_later(gathering + TIMER_SLACK, self._changed)
            return
        index = choose(self._standings, self._current, now, after)
        if index is not None and index != self._current:
            self._change_to(index)
        self._active = None if index is None else self._servers[index]
        if self._active is not None:
            self.schema = self._active.schema
            self._see(self._active, now)
        pause = next_change(self._standings, self._current, now, after)
        if pause is not None and not self._closed:
            self._timer = self._loop.call_later(pause + TIMER_SLACK, self._changed)
        if hopeless(self._standings):
            why = DirectoryFailure("no directory server can be reached", UNAVAILABLE)
            self.counters.failed_fast += self._waiting.fail(why)
        self._hand_over()

    def _compare(self, now: float) -> None:
        """Tell slow servers from quick ones."""
        settings = self._settings
        if len(self._servers) == 1 or not settings.slow_after:
            return
        times = [server.probe_time for server in self._servers]
        usable = [standing.up and not standing.behind for standing in self._standings]
        for index, rival in compare(times, usable, now, settings.slow_after, settings.failback_after):
            self._servers[index].slow_changed(rival)
        for standing, one in zip(self._standings, times, strict=True):
            standing.slow, standing.quick = one.slow, one.quick(now)

    def _gathering(self, now: float) -> float:
        """Seconds to wait at the start for the other servers, which may show that the first is behind."""
        if len(self._standings) == 1 or all(standing.up or standing.failing for standing in self._standings):
            return 0.0
        return max(0.0, self._started_at + GATHERING - now)

    def _see(self, active: LdapServer, now: float) -> None:
        """Doubt the server in use for ``replica_grace`` when it is behind."""
        if not active.standing.behind:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now
            logger.warning("directory server %s is behind what was seen before", active.uri)
        elif now - self._behind_since >= self._settings.replica_grace and active.state.cookie is not None:
            logger.warning(
                "directory server %s has been behind for %g s: taken as it is", active.uri, self._settings.replica_grace
            )
            self.seen.forget(active.state.cookie, now)
            active.standing.behind = False
            self._behind_since = None
        if self.behind != (self._behind_since is not None):
            self.behind = not self.behind
            self.server_changed()

    def _change_to(self, index: int) -> None:
        before, self._current = self._current, index
        self._behind_since = None
        self.service_time = ServiceTime()  # of a search on the server before
        self.server_changed()
        new = index not in self._served
        self._served.add(index)
        if before is None or (new and index < before and self._standings[index].well_since == NEVER):
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
        if self._handing_over:
            return  # an attempt that ended at once gave its connection back: the loop below goes on with it
        self._handing_over = True
        try:
            while self._waiting.waiters and (server := self._active) and (connection := server.take()) is not None:
                attempt = self._waiting.next()
                if attempt is None:
                    server.release(connection)
                elif attempt.end < self._loop.time() + self.service_time.seconds:
                    server.release(connection)
                    attempt.fail(DirectoryFailure("less time is left than a search takes", TIMEOUT))
                else:
                    attempt.run(server, connection)
        finally:
            self._handing_over = False


def _nothing() -> None:
    """What ``server_changed`` does when nobody wants to know."""


class _Attempt:
    """One search on its way: at first waiting or on a connection, and perhaps a second time elsewhere."""

    __slots__ = ("_began", "_connection", "_done", "_pool", "_retried", "_search", "_server", "_until", "end", "gone")

    def __init__(self, pool: Pool, search: Search, end: float, done: Callable[[Ended], None]) -> None:
        self._pool = pool
        self._search = search
        self._done = done
        self._server: LdapServer | None = None
        self._connection: LdapConnection | None = None
        self._retried = False
        self.end = end
        self.gone = False

    def run(self, server: LdapServer, connection: LdapConnection) -> None:
        """Send the search on ``connection``, which is the attempt's until it has ended."""
        pool = self._pool
        self._server, self._connection = server, connection
        self._began = pool._clock()
        self._until = self.end
        if not self._retried and len(pool._servers) > 1 and pool._another_is_up(server):
            now = pool._loop.time()
            self._until = now + (self.end - now) * FIRST_SHARE
        connection.begin(self._search, self._until, self._answered)

    def fail(self, failure: DirectoryFailure) -> None:
        """End with ``failure``."""
        if not self.gone:
            self._pool.counters.failures[failure.kind] += 1
        self._end(failure)

    def cancel(self) -> None:
        """Nobody wants the answer any more: a connection that still waits for it is closed."""
        self.gone = True
        if self._connection is not None:
            self._connection.kill()

    def _answered(self, outcome: Outcome) -> None:
        server, connection = self._server, self._connection
        assert server is not None
        assert connection is not None
        if isinstance(outcome, DirectoryFailure):
            self._failed(server, connection, outcome)
            return
        server.strikes.count = 0
        if not outcome:
            probe = server.base_check.probe
            if not probe.trusted:
                self._pool._spawn(self._confirm(server, connection))
                return
            if probe.due:
                # Nobody waits for this one: the connection is kept for it.
                self._connection = None
                self._pool._spawn(self._renew(server, connection))
                self._succeed(server, outcome)
                return
        self._connection = None
        self._pool._release(server, connection)
        self._succeed(server, outcome)

    def _succeed(self, server: LdapServer, entries: list[Entry] | DataError) -> None:
        pool = self._pool
        seconds = pool._clock() - self._began
        if seconds >= NOTABLE or not pool.counters.searches % ONE_IN:
            pool.service_time.observe(seconds)
        if not entries:
            pool.counters.empty += 1
        elif isinstance(entries, DataError):
            pool.counters.too_large += 1
        self._end(Found(entries, self._began, server.schema, server.uri))

    async def _confirm(self, server: LdapServer, connection: LdapConnection) -> None:
        """Whether an empty answer may be trusted."""
        try:
            await server.base_check.confirm(connection, self._until)
        except DirectoryFailure as failure:
            self._failed(server, connection, failure)
            return
        self._connection = None
        self._pool._release(server, connection)
        self._succeed(server, [])

    async def _renew(self, server: LdapServer, connection: LdapConnection) -> None:
        try:
            await server.base_check.renew(connection, self._until)
        finally:
            self._pool._release(server, connection)

    def _failed(self, server: LdapServer, connection: LdapConnection, failure: DirectoryFailure) -> None:
        pool = self._pool
        if failure.kind != TIMEOUT:
            server.strikes.clear()
        elif pool._clock() - self._began >= PATIENCE - TIMER_SLACK:
            server.timed_out(alone=not pool._another_is_up(server))
        self._connection = None
        pool._release(server, connection)
        if self._retried or self.gone or not pool._may_retry(failure, server, self.end):
            self.fail(failure)
            return
        self._retried = True
        pool.counters.retries += 1
        if failure.kind in ELSEWHERE:
            pool._place_elsewhere(self, server)
        else:
            pool._loop.call_later(RETRY_PAUSE, pool._place, self)

    def _end(self, how: Ended) -> None:
        self.gone = True
        self._done(how)
