"""A server on real sockets over lookups that the test controls, under asyncio and under uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from vmaild.cache import Answer, Cache, CacheSettings, Record, reply_of
from vmaild.listening import InetAddress, UnixAddress
from vmaild.lookup import Reply, Request, Status, found
from vmaild.server import ListenSettings, Server
from vmaild.wire import netstring

LIMIT = 10.0


# Older versions of pytest-asyncio have no such hook and test under asyncio alone.
@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


Tell = Callable[[Reply], None]


class Gate:
    """What those wait for who ask for a slow key."""

    def __init__(self) -> None:
        self.open = False
        self.waiting: list[Callable[[], None]] = []

    def set(self) -> None:
        self.open = True
        waiting, self.waiting = self.waiting, []
        for go_on in waiting:
            go_on()


class FakeLookups:
    """Answers ``v:KEY``. A key that begins with ``slow`` waits for its gate, one with ``cached`` is stored.

    Replies to keys that begin with ``cached`` or ``now`` come at once, all others in the next turn of the loop, as
    those of Maps may. ``clock`` is the server's: the hot path compares its time with that of the cache.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.cache = Cache(CacheSettings(ttl=3600), clock=clock)
        self.sought = 0
        """Requests that did not take the hot path."""
        self.asked: list[Request] = []
        self.replies: dict[bytes, Reply | Exception] = {}
        self.gates: dict[bytes, Gate] = {}

    def gate(self, key: bytes) -> Gate:
        return self.gates.setdefault(key, Gate())

    def seek(self, name: bytes, key: bytes, encode: Callable[[Reply], bytes]) -> Answer | Request | Reply:
        self.sought += 1
        record = self.record(name + b" " + key)
        if record is not None:
            (known,) = record.known
            now = self.cache.clock()
            if known is not None and self.cache.serves(record, known, now):
                reply = reply_of(known)
                tally = self.cache.tally(name.decode().lower(), reply.status, stale=now >= record.expires_at)
                return Answer(record, encode(reply), tally)
        if isinstance(reply := self.replies.get(key), Exception):  # type: ignore[assignment]
            raise reply
        return Request(name, key)

    def look_up(self, wanted: Request, tell: Tell, peer: object = None) -> None:
        self.asked.append(wanted)
        if wanted.key.startswith(b"slow") and not self.gate(wanted.key).open:
            self.gate(wanted.key).waiting.append(lambda: self._tell(wanted, tell))
        elif wanted.key.startswith((b"cached", b"now")):
            self._tell(wanted, tell)
        else:
            asyncio.get_running_loop().call_soon(self._tell, wanted, tell)

    def _tell(self, wanted: Request, tell: Tell) -> None:
        reply = self.replies.get(wanted.key, found(b"v:" + wanted.key))
        assert isinstance(reply, Reply)
        if wanted.key.startswith(b"cached"):
            self.store(wanted.map_name + b" " + wanted.key, reply)
        tell(reply)

    def store(self, key: bytes, reply: Reply) -> Record:
        return self.cache.store(key.lower(), [reply.text if reply.status is Status.FOUND else reply], None)

    def record(self, key: bytes) -> Record | None:
        return self.cache.get(key.lower())


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), LIMIT)

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        return await asyncio.wait_for(self.reader.read(), LIMIT)

    async def expect(self, data: bytes) -> None:
        assert await self.receive(len(data)) == data

    async def ask(self, question: bytes, answer: bytes) -> None:
        self.send(question)
        await self.expect(answer)

    async def closed(self) -> bool:
        """Whether the server closes, by whatever means."""
        try:
            return await self.rest() == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        """Vanish as a killed host does: with a reset, not with an end of the stream."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Site:
    """A server with a listener of each kind, and its clients."""

    def __init__(self, home: Path, **limits: Any) -> None:
        self.lookups = FakeLookups(limits.get("clock", time.monotonic))
        self.path = home / "socket"
        self.clients: list[Client] = []
        self.stray: list[dict[str, Any]] = []
        self.server = Server(
            self.lookups,
            [
                ListenSettings("inet:127.0.0.1:0"),
                ListenSettings(f"unix:{self.path}", mode=0o660),
                ListenSettings("inet:127.0.0.1:0", "tcp_table", "Map"),
                ListenSettings(f"unix:{self.path}-tcp", "tcp_table", "Map"),
            ],
            **limits,
        )

    async def start(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.stray.append(context))
        await self.server.start()

    async def client(self, listener: int = 0) -> Client:
        address = self.server.addresses[listener]
        if isinstance(address, UnixAddress):
            client = Client(*await asyncio.open_unix_connection(address.path))
        else:
            assert isinstance(address, InetAddress)
            client = Client(*await asyncio.open_connection(address.host, address.port))
        self.clients.append(client)
        return client

    async def end(self) -> None:
        for client in self.clients:
            await client.close()
        await self.server.close()
        await until(lambda: self.server.connections == 0)
        assert not self.stray


@pytest.fixture
async def new_site(service_home: Path) -> AsyncIterator[Callable[..., Any]]:
    sites = []

    async def new_site(**limits: Any) -> Site:
        site = Site(service_home, **limits)
        await site.start()
        sites.append(site)
        return site

    yield new_site
    for site in sites:
        await site.end()


@pytest.fixture
async def site(new_site: Callable[..., Any]) -> Site:
    return await new_site()  # type: ignore[no-any-return]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the server will come to by itself."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def ask(key: bytes, map_name: bytes = b"map") -> bytes:
    return netstring.encode(map_name + b" " + key)


def ok(value: bytes) -> bytes:
    return netstring.encode(b"OK " + value)
