"""A client of the daemon in asyncio, and what each worker is started with."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Sequence

from tests.soak.oracle import Question
from tests.soak.tally import Tally
from vmaild.lookup import Reply, Status
from vmaild.wire.socketmap import SocketmapReplies

PATIENCE = 30.0
"""Seconds that an answer may take before it counts as none: far past the daemon's deadline, even with it paused."""

MOST_AT_ONCE = 10
"""Requests of one client at once that are answered whatever the others do. Postfix has one. While a flood takes what
the directory can do, the client with most lookups waits behind all others, and the last of hundreds get "try again"."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.asked = 0.0
        """When the last request was sent, by the monotonic clock."""
        self._replies = SocketmapReplies()

    async def ask(self, tally: Tally, questions: Sequence[Question]) -> None:
        """Ask all in one write, and judge the answers."""
        self.send(b"".join(question.wire for question in questions))
        await self.judge(tally, questions)

    def send(self, data: bytes) -> None:
        """Send requests, or a piece of one."""
        self.asked = time.monotonic()
        self.writer.write(data)

    async def judge(self, tally: Tally, questions: Sequence[Question], *, pause: float = 0.0) -> None:
        """Judge the answers as they arrive, with a ``pause`` in seconds before each."""
        for question in questions:
            if pause:
                await asyncio.sleep(pause)
            judge(tally, question, await self.reply(), self.asked, train=len(questions) > MOST_AT_ONCE)

    async def reply(self) -> Reply:
        """The next answer. Raises TimeoutError, ConnectionError."""
        while (reply := self._replies.next()) is None:
            data = await asyncio.wait_for(self.reader.read(65536), PATIENCE)
            if not data:
                raise ConnectionError("closed by the daemon")
            self._replies.feed(data)
        return reply

    def reset(self) -> None:
        """Close with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.writer.close()


def judge(tally: Tally, question: Question, reply: Reply, asked: float, *, train: bool = False) -> None:
    """Count one answer to what was ``asked`` then; ``train``: as one of so many that they may wait too long."""
    tally.answers += 1
    if reply.status is Status.TEMPORARY and question.status is not Status.TEMPORARY:
        if train:
            tally.counts["TEMP in a train"] += 1
        else:
            tally.temporary_since(asked)
    elif wrong := question.wrong(reply):
        tally.mistake(wrong)


@contextlib.asynccontextmanager
async def connected(port: int, *, receive_buffer: int = 0) -> AsyncIterator[Client]:
    """A connection to the daemon on 127.0.0.1; ``receive_buffer`` bytes in the kernel, 0 for its default."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port)), PATIENCE)
        reader, writer = await asyncio.open_connection(sock=sock, limit=65536)
    except BaseException:
        sock.close()
        raise
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()


async def emitting(tally: Tally) -> None:
    """Emit the tally every second, for ever."""
    while True:
        await asyncio.sleep(1.0)
        tally.emit()
