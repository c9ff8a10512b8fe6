"""The connections of a load: opened, replaced as Postfix does, and given up when no answer comes.

Postfix's clients close a connection that was idle for 10 s, or that is 100 s old (auto_clnt.c, and the ipc_idle and
ipc_ttl of postconf(5)). ``Churn`` does the same; the first lives are cut short at random, or else all
connections of a run would be replaced in the same instant.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.load.connection import Connection
from benchmarks.load.pace import Pace
from benchmarks.load.protocols import Codec
from benchmarks.load.tally import Tally
from vmaild.listening import Address, UnixAddress

CONNECTING_AT_ONCE = 50
"""Half of the smallest listen backlog in use: more at once could fill it, and measure the kernel's retries."""

CONNECT_SECONDS = 5.0
"""Past this a connect has failed. On one's own network it takes a millisecond."""

CLOSING_TURNS = 20
"""Turns of the loop that aborted connections get to be gone, 5 ms each; one does."""

RETRY_SECONDS = 0.2
"""Pause after a failed connect, so that a dead server is not flooded."""

_FOREVER = 1 << 62


class Churn(NamedTuple):
    """When connections are replaced: seconds without a request, seconds of life."""

    idle: float = 10.0
    life: float = 100.0


class Fleet:
    """Keeps up to ``size`` connections, from ``open`` to ``close``.

    With ``on_demand`` they are opened when ``want`` says so; else all at once, and each that is lost is replaced.
    """

    def __init__(
        self,
        address: Address,
        codec: Codec,
        size: int,
        tally: Tally,
        clock: Callable[[], int],
        *,
        churn: Churn | None = None,
        on_demand: bool = False,
        seed: int = 0,
    ) -> None:
        self.tally = tally
        self.pace: Pace | None = None
        self.connections: set[Connection] = set()
        self.opened = 0
        self._address = address
        self._codec = codec
        self._size = size
        self._clock = clock
        self._churn = churn
        self._on_demand = on_demand
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._closing = False

    @property
    def in_flight(self) -> int:
        """How many answers are awaited."""
        return sum(connection.busy for connection in self.connections)

    async def open(self) -> bool:
        """Open the connections, or just one on demand; false when not one could be opened."""
        self.want(1 if self._on_demand else self._size)
        await asyncio.wait(list(self._tasks))
        return bool(self.connections)

    def want(self, more: int) -> None:
        """Open up to ``more`` connections, as far as ``size`` allows."""
        room = self._size - len(self.connections) - len(self._tasks)
        for _ in range(min(more, room)):
            self._start_connect(0.0)

    def done(self, connection: Connection, now: int) -> None:
        """An answer is in (called by the connection)."""
        if now >= connection.expires and not self._closing:
            connection.close()
        elif self.pace is not None:
            self.pace.ready(connection, now)

    def lost(self, connection: Connection) -> None:
        """A connection is closed (called by the connection)."""
        self.connections.discard(connection)
        if self.pace is not None:
            self.pace.gone(connection)
        # A server that closes connections without an answer must not be flooded with new ones.
        self._refill(0.0 if connection.proven else RETRY_SECONDS)

    def sweep(self, timeout: float) -> None:
        """Give up answers that are awaited for more than ``timeout`` seconds, and close what was idle too long."""
        now = self._clock()
        for connection in list(self.connections):
            quiet = (now - connection.used) / 1e9
            if connection.busy and quiet > timeout:
                connection.fail("timeout")
            elif not connection.busy and self._churn is not None and quiet > self._churn.idle:
                if self.pace is not None:
                    self.pace.gone(connection)
                connection.close()

    async def close(self) -> None:
        """Close all connections."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        for connection in list(self.connections):
            connection.fail("unanswered")
        # The transports close in the loop's next turns.
        for _ in range(CLOSING_TURNS):
            await asyncio.sleep(0.005 if self.connections else 0)

    def _refill(self, pause: float) -> None:
        room = len(self.connections) + len(self._tasks) < self._size
        if room and not self._closing and not self._on_demand:
            self._start_connect(pause)

    def _start_connect(self, pause: float) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(pause))
        self._tasks.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._refill(RETRY_SECONDS)

    async def _connect(self, pause: float) -> None:
        await asyncio.sleep(pause)
        async with self._connecting:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = await self._open()
            except OSError:
                self.tally.errors["connect"] += 1
                return
        self.opened += 1
        self.connections.add(connection)
        if self.pace is not None:
            self.pace.ready(connection, self._clock())

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()

        def factory() -> Connection:
            return Connection(self, self._codec, self._clock, self._expiry())

        if isinstance(self._address, UnixAddress):
            return (await loop.create_unix_connection(factory, self._address.path))[1]
        return (await loop.create_connection(factory, self._address.host, self._address.port))[1]

    def _expiry(self) -> int:
        if self._churn is None:
            return _FOREVER
        share = self._random.random() if self.opened < self._size else 1.0
        return self._clock() + int(self._churn.life * share * 1e9)
