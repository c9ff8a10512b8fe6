"""The connections of a load: one question in flight on each, replaced as Postfix does, given up without an answer.

The generator shares the machine with the server it measures, so an expected answer costs it one comparison of
bytes; only other answers are decoded. Postfix's clients close a connection that was idle for 10 s, or that is 100 s old
(auto_clnt.c, and ipc_idle and ipc_ttl of postconf(5)). ``Churn`` does the same; the first lives are cut short at
random, or else all connections of a run would be replaced in the same instant.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import NamedTuple, cast

from benchmarks.load.pace import ClosedLoop
from benchmarks.load.questions import Codec, Question
from benchmarks.load.tally import Tally
from vmaild.errors import ProtocolError
from vmaild.listening import Address, UnixAddress
from vmaild.lookup import Reply, Status

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


class Connection(asyncio.Protocol):
    """One connection. ``expires`` is when it is replaced, ``used`` when it was last given a question (nanoseconds).

    ``proven`` says that it brought an answer.
    """

    def __init__(self, fleet: Fleet, codec: Codec, clock: Callable[[], int], expires: int) -> None:
        self._fleet = fleet
        self._clock = clock
        self._replies = codec.replies()
        self._partial = False
        self._transport: asyncio.Transport | None = None
        self._question: Question | None = None
        self._since = 0
        self.proven = False
        self.used = clock()
        self.expires = expires

    @property
    def busy(self) -> bool:
        """True while an answer is awaited."""
        return self._question is not None

    def ask(self, question: Question, since: int, now: int) -> None:
        """Send ``question``; its latency counts from ``since``."""
        assert self._transport is not None
        self._question, self._since, self.used = question, since, now
        self._transport.write(question.wire)

    def fail(self, kind: str) -> None:
        """Count the question in flight as an error of ``kind``, and drop the connection."""
        if self._question is not None:
            self._question = None
            self._fleet.tally.error(kind, self._since, self._clock())
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close an idle connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, only of their shape.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.fail("closed")
        self._fleet.lost(self)

    def data_received(self, data: bytes) -> None:
        question = self._question
        if question is None:
            self._fleet.tally.errors["unasked"] += 1
            self.fail("unasked")
        elif data == question.expected_wire and not self._partial:
            assert question.expected is not None
            self._answered(question, question.expected.status, True)
        else:
            self._decode(question, data)

    def _decode(self, question: Question, data: bytes) -> None:
        try:
            self._replies.feed(data)
            reply = self._replies.next()
            surplus = reply is not None and self._replies.next() is not None
        except ProtocolError:
            self.fail("malformed")
            return
        self._partial = reply is None
        if surplus:
            self.fail("unasked")
        elif reply is not None:
            right = question.expected is None or question.expected.met_by(reply)
            self._answered(question, reply.status, right, "" if right else _example(question, reply))

    def _answered(self, question: Question, status: Status, right: bool, example: str = "") -> None:
        now = self._clock()
        tally = self._fleet.tally
        tally.answer(status, self._since, now)
        if question.expected is not None:
            tally.check(right, self._since, example)
        self._question = None
        self.proven = True
        self._fleet.done(self, now)


def _example(question: Question, reply: Reply) -> str:
    key, status, text = (
        raw.decode(errors="backslashreplace") for raw in (question.key, reply.status.value, reply.text)
    )
    return f"{key}: {f'{status} {text}'.rstrip()}, but {question.expected} is right"


class Fleet:
    """Keeps up to ``size`` connections, from ``open`` to ``close``.

    With ``on_demand`` they are opened when ``want`` says so; else all at once, and each that is lost is replaced.
    """

    def __init__(
        self, address: Address, codec: Codec, size: int, tally: Tally, clock: Callable[[], int],
        *, churn: Churn | None = None, on_demand: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        self.tally = tally
        # With nothing to ask until a pace is given.
        self.pace = ClosedLoop(lambda: None)
        self.connections: set[Connection] = set()
        self.opened = 0
        self._address, self._codec, self._size, self._clock = address, codec, size, clock
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
        for _ in range(min(more, self._size - len(self.connections) - len(self._tasks))):
            self._start_connect(0.0)

    def done(self, connection: Connection, now: int) -> None:
        """An answer is in (called by the connection)."""
        if now >= connection.expires and not self._closing:
            connection.close()
        else:
            self.pace.ready(connection, now)

    def lost(self, connection: Connection) -> None:
        """A connection is closed (called by the connection)."""
        self.connections.discard(connection)
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
        self.pace.ready(connection, self._clock())

    async def _open(self) -> Connection:
        loop, where = asyncio.get_running_loop(), self._address

        def factory() -> Connection:
            return Connection(self, self._codec, self._clock, self._expiry())

        if isinstance(where, UnixAddress):
            return (await loop.create_unix_connection(factory, where.path))[1]
        return (await loop.create_connection(factory, where.host, where.port))[1]

    def _expiry(self) -> int:
        if self._churn is None:
            return _FOREVER
        share = self._random.random() if self.opened < self._size else 1.0
        return self._clock() + int(self._churn.life * share * 1e9)
