"""The connections of a load: when each asks its next question, and when it is replaced or given up.

An open loop counts latency from the time at which a question was due, and charges a stall to all that it delayed.
An expected answer costs one comparison of bytes, for the server shares the machine. Times are nanoseconds inside.
"""

import argparse
import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from benchmarks.load.questions import Question
from benchmarks.load.tally import Tally
from vmaild.errors import ProtocolError
from vmaild.listening import UnixAddress
from vmaild.lookup import Reply
from vmaild.wire.socketmap import SocketmapReplies
from vmaild.wire.tcp_table import TcpTableReplies

CONNECTING_AT_ONCE = 50
"""Half of the smallest listen backlog in use: more at once could fill it, and measure the kernel's retries."""
SWEEP_SECONDS = 0.2
"""How often timeouts and idle connections are looked for; and the least time from one connection to that which takes
its place, so that a dead server is not flooded."""
POLL_SECONDS = 0.01
"""How often it is checked whether all connections are open, and the last answers in."""
POSTFIX, FOREVER = (10.0, 100.0), (math.inf, math.inf)
"""Seconds without a request, and of life, until a connection is closed; Postfix's are ipc_idle and ipc_ttl."""


class Connection(asyncio.Protocol):
    """One connection, replaced when it ``expires``, last ``used`` then; ``question`` is in flight."""

    _transport: asyncio.Transport

    def __init__(self, fleet: "Fleet", protocol: str, expires: float) -> None:
        self._fleet = fleet
        self._replies = TcpTableReplies() if protocol == "tcp_table" else SocketmapReplies()
        self._partial, self._since = False, 0
        self.question: Question | None = None
        self.expires, self.used = expires, fleet.clock()
        self.closed = asyncio.Event()

    def ask(self, question: Question, since: int, now: int) -> None:
        """Send ``question``; its latency counts from ``since``."""
        self.question, self._since, self.used = question, since, now
        self._transport.write(question.wire)

    def fail(self, kind: str) -> None:
        """Drop the connection, and count the question in flight, if there is one, as an error of ``kind``."""
        if self.question is not None:
            self._fleet.tally.error(kind, self._since, self._fleet.clock())
        self.question = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, only of their shape.
        self._transport = cast(asyncio.Transport, transport)
        self._fleet.ready(self, self.used)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("closed")
        self._fleet.lost(self)
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        question = self.question
        if question is None:
            self._fleet.tally.errors["unasked"] += 1
            self.fail("unasked")
        elif question.expected and data == question.expected_wire and not self._partial:
            self._answered(question, question.expected, True)
        else:
            self._decode(question, data)

    def _decode(self, question: Question, data: bytes) -> None:
        try:
            self._replies.feed(data)
            reply = self._replies.next()
            if reply and self._replies.next():
                self.fail("unasked")
            elif reply:
                self._answered(question, reply, False)
            self._partial = reply is None
        except ProtocolError:
            self.fail("malformed")

    def _answered(self, question: Question, reply: Reply, right: bool) -> None:
        self.question, now = None, self._fleet.clock()
        self._fleet.tally.answer(question, reply, self._since, now, right)
        self._fleet.ready(self, now)


class Fleet:
    """The connections of a load, at most as many as ``options`` has: opened when needed, or, in a closed loop, kept."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.clock = time.monotonic_ns
        self.tally = Tally(self.clock())
        self.connections: set[Connection] = set()
        self.opened = 0
        self._options, self._random = options, random.Random(options.seed)
        self._idle: list[Connection] = []
        self.start(iter(()), 0)
        self._slots: set[asyncio.Task[None]] = set()
        self._connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)

    def start(self, questions: Iterator[Question], now: int, rate: float = 0.0, together: int = 1) -> None:
        """From now on ask these: ``rate`` a second, or when ``together`` connections have nothing in flight."""
        self.questions, self._rate, self._together = questions, rate, together
        self._began, self._asked, self.stopped = now, 0, False
        self.tick(now)

    def tick(self, now: int) -> int:
        """Ask what is due, on those used last, so that idle ones stay idle; returns how many more would have work."""
        while len(self._idle) >= self._together and not self.stopped and self._due(now) <= now:
            for _ in range(self._together):
                if (question := next(self.questions, None)) is None:
                    self.stopped = True
                    return 0
                since, self._asked = self._due(now), self._asked + 1
                self._idle.pop().ask(question, since, now)
        late = now - self._due(now) if self._rate else -1
        return 0 if self.stopped or late < 0 else 1 + int(late * self._rate / 1e9)

    def stop(self, now: int) -> None:
        """Ask no more, and count what was due and never asked."""
        self.tick(now)
        self.stopped = True
        while self._rate and self._due(now) <= now:
            self.tally.error("unasked-in-time", self._due(now), now)
            self._asked += 1

    def ready(self, connection: Connection, now: int) -> None:
        """A connection says that it has nothing in flight: it is new, or an answer is in."""
        if now >= connection.expires:
            connection.fail("old")
        else:
            self.connections.add(connection)
            self._idle.append(connection)
            self.tick(now)

    def lost(self, connection: Connection) -> None:
        """A connection says that it is closed."""
        self.connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def quiet(self) -> bool:
        """True when no answer is awaited."""
        return len(self._idle) == len(self.connections)

    def want(self, more: int) -> None:
        """Open up to ``more`` connections, as far as there may be more."""
        for _ in range(min(more, self._options.connections - len(self._slots))):
            slot = asyncio.get_running_loop().create_task(self._keep())
            self._slots.add(slot)
            slot.add_done_callback(self._slots.discard)

    async def open(self, first: int, questions: Iterable[Question] = ()) -> None:
        """Open the first connections, and ask each question once, as fast as it goes. Raises ``ConnectionError``."""
        self.want(first)
        await self.watch(self._options.timeout, lambda: self.opened + self.tally.errors["connect"] >= first)
        if not self.connections:
            raise ConnectionError(f"cannot connect to {self._options.address}")
        self.start(iter(questions), self.clock())
        await self.watch(math.inf, lambda: not self.connections or (self.stopped and self.quiet()))
        if not self.connections:
            raise ConnectionError(f"{self._options.address} answers no more")

    async def watch(self, seconds: float, over: Callable[[], bool] | None = None) -> None:
        """Look after the connections for so many seconds, or until it is ``over``."""
        end = self.clock() + seconds * 1e9
        while (left := (end - self.clock()) / 1e9) > 0 and not (over and over()):
            await asyncio.sleep(min(POLL_SECONDS if over else SWEEP_SECONDS, left))
            self._sweep()

    async def close(self) -> None:
        for slot in self._slots:
            slot.cancel()
        for connection in list(self.connections):
            connection.fail("closed")
        # They are gone in the loop's next turn.
        await asyncio.sleep(POLL_SECONDS)

    def _sweep(self) -> None:
        """Give up answers that are awaited for too long, and close what was idle too long."""
        now, (most_idle, _) = self.clock(), self._options.churn or FOREVER
        for connection in list(self.connections):
            waited = (now - connection.used) / 1e9
            if connection.question and waited > self._options.timeout:
                connection.fail("timeout")
            elif not connection.question and waited > most_idle:
                self._idle.remove(connection)
                connection.fail("idle")

    def _due(self, now: int) -> int:
        """When the next question is due: in a closed loop always now."""
        return self._began + int(self._asked * 1e9 / self._rate) if self._rate else now

    async def _keep(self) -> None:
        """One connection, and in a closed loop those that replace it."""
        loop, where, again = asyncio.get_running_loop(), self._options.address, True
        while again:
            began = self.clock()
            try:
                async with self._connecting, asyncio.timeout(self._options.timeout):
                    if isinstance(where, UnixAddress):
                        _, connection = await loop.create_unix_connection(self._new, where.path)
                    else:
                        _, connection = await loop.create_connection(self._new, where.host, where.port)
                self.opened += 1
                await connection.closed.wait()
            except OSError:
                self.tally.errors["connect"] += 1
            await asyncio.sleep(SWEEP_SECONDS - (self.clock() - began) / 1e9)
            again = not self._options.rate

    def _new(self) -> Connection:
        _, life = self._options.churn or FOREVER
        # The first lives are cut short, or else all would be replaced in the same instant.
        share = self._random.random() if self.opened < self._options.connections else 1.0
        return Connection(self, self._options.protocol, self.clock() + life * share * 1e9)
