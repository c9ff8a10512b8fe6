"""The server: opens the listeners, watches over the connections, and ends them."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable

from vmaild.listening import (
    LISTEN_BACKLOG,
    Address,
    UnixAddress,
    address_of,
    bind,
    claim,
    parse_address,
    remove_unix,
)
from vmaild.server.connection import ClientConnection
from vmaild.server.context import Context, Lookups
from vmaild.server.counters import Latency, ServerCounters
from vmaild.server.dialect import SOCKETMAP, tcp
from vmaild.server.hot_path import HotConnection
from vmaild.server.recent import Recent
from vmaild.server.settings import IDLE_TIMEOUT, MAX_CONNECTIONS, MAX_PIPELINED, SWEEP_INTERVAL, TICK, ListenSettings

logger = logging.getLogger("vmaild.server")


class Server:
    """Answers what comes in on ``listens`` by way of ``lookups``.

    Each listener may remember ``recent_size`` bytes of requests that came lately, with their answers.
    """

    def __init__(
        self,
        lookups: Lookups,
        listens: Iterable[ListenSettings],
        *,
        max_connections: int = MAX_CONNECTIONS,
        max_pipelined: int = MAX_PIPELINED,
        idle_timeout: float = IDLE_TIMEOUT,
        sweep_interval: float = SWEEP_INTERVAL,
        recent_size: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listens = tuple(listens)
        self._recent_size = recent_size
        self._context = Context(lookups, clock, max_connections=max_connections, max_pipelined=max_pipelined)
        self._idle_timeout = idle_timeout
        self._sweep_interval = sweep_interval
        self._listeners: list[asyncio.Server] = []
        self._own_paths: list[str] = []
        self._ticker: asyncio.TimerHandle | None = None
        self._sweep_at = clock() + sweep_interval
        self.addresses: list[Address] = []
        """The addresses listened on, with the port numbers that port 0 became."""

    @property
    def counters(self) -> ServerCounters:
        """Events since the start."""
        return self._context.counters

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._context.connections)

    @property
    def cached_latency(self) -> Latency:
        """How long cached answers took, from a sample of them."""
        return self._context.cached_latency

    @property
    def lookup_latency(self) -> Latency:
        """How long all other lookups took."""
        return self._context.lookup_latency

    async def start(self, inherited: list[socket.socket] | None = None) -> None:
        """Listen. Sockets of these addresses are taken out of ``inherited``, the others are bound.

        Raises OSError when an address cannot be had, and listens on none then.
        """
        try:
            for listen in self._listens:
                await self._listen(listen, [] if inherited is None else inherited)
        except BaseException:
            self._stop_listening()
            raise
        self._tick()

    async def drain(self, timeout: float) -> None:
        """Accept no more, answer what was asked, and close; after ``timeout`` seconds, close without answers."""
        self._stop_listening()
        for connection in tuple(self._context.connections):
            connection.finish()
        try:
            async with asyncio.timeout(timeout):
                await self._context.empty.wait()
        except TimeoutError:
            logger.warning("%d connections had to be closed with lookups unanswered", self.connections)
        await self.close()

    async def close(self) -> None:
        """Close everything at once."""
        self._stop_listening()
        for connection in tuple(self._context.connections):
            connection.abort()

    async def _listen(self, listen: ListenSettings, inherited: list[socket.socket]) -> None:
        address = parse_address(listen.address)
        sockets = claim(address, inherited)
        if not sockets:
            sockets = bind(address, listen.mode, listen.owner, listen.group)
            if isinstance(address, UnixAddress):
                self._own_paths.append(address.path)
        for sock in sockets:
            self.addresses.append(address_of(sock))
            self._listeners.append(await _serve(sock, self._factory(listen)))

    def _factory(self, listen: ListenSettings) -> Callable[[], ClientConnection]:
        context = self._context
        dialect = SOCKETMAP if listen.protocol == "socketmap" else tcp(listen.map.encode())
        recent = Recent(self._recent_size)
        context.recents.append(recent)
        return lambda: HotConnection(context, dialect, recent)

    @property
    def recent_size(self) -> int:
        """Bytes of the requests that came lately, of all listeners."""
        return sum(recent.size for recent in self._context.recents)

    def forget_recent(self) -> None:
        """Forget the requests that came lately: what was flushed is kept alive by nothing."""
        for recent in self._context.recents:
            recent.clear()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for path in self._own_paths:
            remove_unix(path)
        self._own_paths.clear()
        if self._ticker is not None:
            self._ticker.cancel()

    def _tick(self) -> None:
        self._context.tick()
        if self._context.now >= self._sweep_at:
            self._sweep()
        self._ticker = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _sweep(self) -> None:
        self._sweep_at = self._context.now + self._sweep_interval
        for connection in tuple(self._context.connections):
            connection.close_if_idle(self._context.now - self._idle_timeout)


async def _serve(sock: socket.socket, factory: Callable[[], ClientConnection]) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    # Both functions call listen() again, and without a backlog of ours with one of 100.
    if sock.family != socket.AF_UNIX:
        # Accepted sockets inherit it. uvloop sets it too, but asyncio only on sockets that were made with IPPROTO_TCP.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await loop.create_server(factory, sock=sock, backlog=LISTEN_BACKLOG)
    if sys.version_info >= (3, 13):
        # The loop would remove the file of an inherited socket too, which is not ours.
        return await loop.create_unix_server(factory, sock=sock, backlog=LISTEN_BACKLOG, cleanup_socket=False)
    return await loop.create_unix_server(factory, sock=sock, backlog=LISTEN_BACKLOG)
