"""One directory server: its connections, kept up in the background, and whether its answers can be trusted.

- ``pool_size`` connections; a missing one is opened at once, or after a pause while the server fails, one at a time.
- A new connection counts only after the search base was found on it. The same is checked on a timer, and again
  before an empty answer is trusted when the last good check is old.
- A server that does not hold it, or that timed out ``STRIKES`` times in a row, is taken out as a whole: all
  its connections are closed, and the searches on them fail over.
- Twice a second it is probed: how far its data is, and how long that takes (``replica_state``, ``probe_time``). Where
  lookups keep every connection busy, the probe gets the next one that becomes free.
- A connection is replaced when it is older than ``max_lifetime`` less up to a tenth, so that not all go together.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from vmaild.directory import subschema
from vmaild.directory.backoff import LONGEST_PAUSE, LONGEST_REFUSED, MIN_LIFE, STRIKES, Backoff, Strikes
from vmaild.directory.base_check import BaseCheck
from vmaild.directory.connection import LdapConnection
from vmaild.directory.counters import Counters, ServerStatus
from vmaild.directory.failover import NEVER, Standing
from vmaild.directory.failures import BROKEN, CREDENTIALS, SUFFIX, TIMEOUT, in_words
from vmaild.directory.probe_time import ProbeTime
from vmaild.directory.replica_state import INTERVAL, SOON, ReplicaState, Seen
from vmaild.directory.settings import DirectorySettings
from vmaild.directory.transport import Transport
from vmaild.errors import DirectoryFailure
from vmaild.tables.schema import Schema

logger = logging.getLogger("vmaild.directory")

LIFETIME_SPREAD = 0.1

SCHEMA_LIFETIME = 300.0
"""Seconds after which a new connection reads the schema again: it changes when an administrator changes it."""


class LdapServer:
    """``schemas`` are those that servers share. ``changed`` is called whenever a connection became free or the standing
    changed.
    """

    def __init__(
        self,
        uri: str,
        transport: Transport,
        settings: DirectorySettings,
        counters: Counters,
        schemas: list[Schema],
        changed: Callable[[], None],
        clock: Callable[[], float],
        seen: Seen | None = None,
    ) -> None:
        self.uri = uri
        self.standing = Standing()
        self.idle: list[LdapConnection] = []
        self.schema: Schema | None = None
        """The server's schema, None as long as it cannot be read."""
        self._transport = transport
        self._settings = settings
        self._counters = counters
        self._schemas = schemas
        self._changed = changed
        self._clock = clock
        self.base_check = BaseCheck(settings.search_base, counters, self.take_out, clock)
        self.state = ReplicaState(settings.search_base, seen or Seen(), clock)
        self.probe_time = ProbeTime()
        self.wanted: asyncio.Future[LdapConnection] | None = None
        """A probe waits for the next connection that becomes free."""
        self._compared = len(settings.uri) > 1 and settings.slow_after > 0
        self._all: set[LdapConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._backoff = Backoff()
        self.strikes = Strikes()
        self._timer: asyncio.TimerHandle | None = None
        self._schema_read_at = NEVER
        self._schema_lock = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._last: DirectoryFailure | None = None
        self._failed_at = NEVER
        self._state_watcher: asyncio.Task[None] | None = None
        self._logged = ""
        self._state_since = clock()
        self._closing = False

    def start(self) -> None:
        """Begin to fill and to check, in the background."""
        self._fill()
        self._watcher = asyncio.create_task(self._watch(), name=f"directory checks of {self.uri}")
        self._state_watcher = asyncio.create_task(self._watch_state(), name=f"state of {self.uri}")

    async def close(self) -> None:
        """Close every connection and wait until the background tasks have ended."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        tasks = [task for task in (self._watcher, self._state_watcher, *self._opening) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self.base_check.close(), return_exceptions=True)
        for connection in list(self._all):
            connection.kill()
        self._watcher = self._state_watcher = None
        self._changed = _nothing

    def status(self, *, current: bool) -> ServerStatus:
        """The numbers of this moment."""
        now = self._clock()
        return ServerStatus(
            uri=self.uri,
            up=self.standing.up,
            current=current,
            connections=len(self._all),
            in_use=len(self._all) - len(self.idle),
            opening=len(self._opening),
            failures=self._backoff.failures,
            last_failure=self._last.kind if self._last else "",
            last_error=in_words(self._last) if self._last else "",
            failed_ago=now - self._failed_at if self._last else None,
            state_for=now - self._state_since,
            behind=self.standing.behind,
            slow=self.standing.slow,
            probe_seconds=self.probe_time.known(now),
        )

    def take(self) -> LdapConnection | None:
        """A free live connection, the one used last; the caller gives it back by ``release``."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.dead:
                return connection
        return None

    def release(self, connection: LdapConnection) -> None:
        """Take back a connection, dead or alive."""
        if connection.dead:
            return
        if self._clock() >= connection.expires:
            self._retire(connection)
        elif self.wanted is not None and not self.wanted.done():
            self.wanted.set_result(connection)
        else:
            self.idle.append(connection)

    def timed_out(self, *, alone: bool = True) -> None:
        """Note that a search was not answered in time; the third in a row takes the server out.

        With fewer connections than that, fewer do, unless it is ``alone``: the others that wait need not try each of
        its connections first.
        """
        most = STRIKES if alone else min(STRIKES, max(2, self._settings.pool_size))
        if self.strikes.timed_out(most):
            self.take_out(DirectoryFailure("it does not answer", TIMEOUT))

    def slow_changed(self, rival: float | None) -> None:
        """It is slow now beside a server whose probes take ``rival`` seconds, or no more."""
        times = self.probe_time
        if times.slow:
            self._counters.slowed += 1
            text = "directory server %s is slow: a probe takes %.3f s, and %.3f s at another server"
            logger.warning(text, self.uri, times.seconds, rival)
        else:
            logger.info("directory server %s is slow no more: a probe takes %.3f s", self.uri, times.seconds)

    def take_out(self, why: DirectoryFailure) -> None:
        """Close every connection: searches on them fail with ``BROKEN`` and may go to another server."""
        self._failed(why)
        self.base_check.probe.forget()
        self._counters.taken_out += 1
        self._down(why)
        for connection in list(self._all):
            connection.kill()
        self._fill()
        self._changed()

    def _failed(self, why: DirectoryFailure) -> None:
        # Without the traceback, whose frames hold the connection that failed.
        self._last = DirectoryFailure(str(why), why.kind)
        self._failed_at = self._clock()
        self._backoff.failed(self._failed_at, LONGEST_REFUSED if why.kind == CREDENTIALS else LONGEST_PAUSE)

    def _fill(self) -> None:
        """Open what is missing, as far as it is allowed now; come back when more will be."""
        if self._closing:
            return
        now = self._clock()
        missing = self._settings.pool_size - len(self._all)
        for _ in range(self._backoff.allowed(now, missing=missing, opening=len(self._opening))):
            task = asyncio.create_task(self._open(), name=f"directory connect to {self.uri}")
            self._opening.add(task)
            task.add_done_callback(self._opened)
        pause = self._backoff.pause(now)
        if pause and missing > 0 and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(pause, self._fill_later)

    def _fill_later(self) -> None:
        self._timer = None
        self._fill()

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._fill()

    async def _open(self) -> None:
        try:
            connection = await self._connect()
        except DirectoryFailure as wrong:
            self._counters.connect_failures[wrong.kind] += 1
            self._open_failed(wrong)
            return
        self._counters.connects += 1
        spread = 1 - LIFETIME_SPREAD * random.random()
        connection.expires = self._clock() + self._settings.max_lifetime * spread
        self._join(connection)

    def _open_failed(self, why: DirectoryFailure) -> None:
        self._failed(why)
        if not self._all:
            self._down(why)
        elif why.kind == TIMEOUT:
            self.timed_out()
        elif why.kind == SUFFIX:
            self.take_out(why)
        self._changed()

    async def _connect(self) -> LdapConnection:
        """A connection on which the search base was found."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.connect_timeout
        try:
            async with asyncio.timeout_at(end):
                connection = await self._transport.connect()
        except TimeoutError:
            raise DirectoryFailure("no connection in time", TIMEOUT) from None
        try:
            await self.base_check.find(connection, end)
            await self.state.check(connection, end)
            await self._read_schema(connection, end)
            if connection.dead:  # while the schema was parsed
                raise DirectoryFailure("the connection ended", BROKEN)
        except BaseException:
            connection.kill()
            raise
        return connection

    async def _read_schema(self, connection: LdapConnection, end: float) -> None:
        """Read the schema, when it was not read lately: which queries go out together depends on it."""
        async with self._schema_lock:  # those who connect at the same time need it once
            if self._clock() - self._schema_read_at < SCHEMA_LIFETIME:
                return
            schema = await subschema.read(connection, self._settings.search_base, end, self._schemas)
            if schema is None and self._schema_read_at == NEVER:
                logger.warning("directory server %s shows no schema: each query is a search of its own", self.uri)
            self.schema = schema
            self._schema_read_at = self._clock()

    def _join(self, connection: LdapConnection) -> None:
        connection.on_dead = self._died
        self._all.add(connection)
        self._backoff.succeeded()
        self.strikes.clear()
        self.standing.went_up(self._clock())
        self._say("up")
        self.release(connection)
        self._changed()

    def _died(self, connection: LdapConnection) -> None:
        self._all.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        now = self._clock()
        if connection.lost and not self._closing:
            self._counters.lost += 1
            if now - connection.born < MIN_LIFE and not self._backoff.failing:
                self._backoff.failed(now)
        if not self._all:
            self.standing.lost(now)
            self._changed()
        self._fill()

    def _retire(self, connection: LdapConnection) -> None:
        self._counters.retired += 1
        connection.kill()

    def _down(self, why: DirectoryFailure) -> None:
        self.strikes.clear()
        self.probe_time.forget()
        self.standing.failed()
        self._say(f"down: {why}")

    def _say(self, state: str) -> None:
        """Log a change of state, once."""
        if state != self._logged:
            if (state == "up") is not (self._logged == "up"):
                self._state_since = self._clock()
            self._logged = state
            level = logging.INFO if state == "up" else logging.WARNING
            logger.log(level, "directory server %s is %s", self.uri, state)

    async def _watch_state(self) -> None:
        """Read how far its data is, or the search base where it does not show that."""
        while True:
            await asyncio.sleep(SOON)
            if self.state.due:
                check = self.state.check
            elif self._compared and self.state.cookie is None and self._clock() - self.probe_time.probed_at >= INTERVAL:
                check = self.base_check.check
            else:
                continue
            connection = self.take()
            if connection is None and self._compared and self._all:
                connection = await self._next_free()
            if connection is not None:
                await self._check(check, connection)

    async def _next_free(self) -> LdapConnection:
        """The next connection that becomes free, before those who wait for one."""
        self.wanted = asyncio.get_running_loop().create_future()
        try:
            return await self.wanted
        finally:
            self.wanted = None

    async def _watch(self) -> None:
        """Check the search base on the timer, and retire idle connections that are too old."""
        while True:
            await asyncio.sleep(self._settings.check_interval)
            now = self._clock()
            for old in [connection for connection in self.idle if now >= connection.expires]:
                self._retire(old)
            # With every connection busy, answers come, and the empty ones among them are checked by themselves.
            connection = self.take()
            if connection is not None:
                await self._check_idle(connection)

    async def _check_idle(self, connection: LdapConnection) -> None:
        await self._check(self.base_check.check, connection)

    async def _check(
        self, check: Callable[[LdapConnection, float], Awaitable[None]], connection: LdapConnection
    ) -> None:
        began = self._clock()
        try:
            await check(connection, asyncio.get_running_loop().time() + self._settings.connect_timeout)
            self.probe_time.observe(self._clock() - began, self._clock())
            self.strikes.clear()
        except DirectoryFailure as wrong:
            if wrong.kind == TIMEOUT:
                self.probe_time.observe(self._clock() - began, self._clock())
                self.timed_out()
            elif wrong.kind == SUFFIX and self._all:
                self.take_out(wrong)
        finally:
            self.release(connection)
            self._changed()


def _nothing() -> None:
    """The ``changed`` of a server that is closed."""
