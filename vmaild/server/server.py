"""The server: opens the listeners, watches over the connections, and ends them."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable

from vmaild.listening import (
    Acceptor,
    Address,
    UnixAddress,
    address_of,
    bind,
    claim,
    parse_address,
    remove_unix,
)
from vmaild.process import LogOnce
from vmaild.server.admission import CLOSED_IN_A_TURN
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
        self._context = Context(
            lookups, clock, max_connections=max_connections, max_pipelined=max_pipelined, freed=self._resume
        )
        self._admission = self._context.admission
        self._once = LogOnce(logger, clock)
        self._idle_timeout = idle_timeout
        self._sweep_interval = sweep_interval
        self._acceptors: list[Acceptor] = []
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
    def max_connections(self) -> int:
        """How many there may be."""
        return self._context.max_connections

    @property
    def cached_latency(self) -> Latency:
        """How long cached answers took, from a sample of them."""
        return self._context.cached_latency

    @property
    def lookup_latency(self) -> Latency:
        """How long all other lookups took."""
        return self._context.lookup_latency

    # What an acceptor asks (``vmaild.listening.Door``).

    def has_room(self) -> bool:
        """Whether one more client may come in."""
        return self._admission.has_room

    def make_room(self) -> None:
        """One more client is waiting for which there is no place."""
        self._admission.make_room(self._context.clock())

    def coming(self, change: int) -> None:
        """So many clients more, or less, are on their way in."""
        self._admission.coming(change)
        if change < 0:
            # A client that has gone already no longer takes the place it had on its way.
            self._resume()

    def denied(self) -> None:
        """A client was not let in."""
        self._context.counters.denied += 1

    def forget_recent(self) -> None:
        """Forget the requests that came lately: what was flushed is kept alive by nothing."""
        for recent in self._context.recents:
            recent.clear()

    async def start(self, inherited: list[socket.socket] | None = None) -> None:
        """Listen. Sockets of these addresses are taken out of ``inherited``, the others are bound.

        Raises OSError when an address cannot be had, and listens on none then.
        """
        try:
            for listen in self._listens:
                self._listen(listen, [] if inherited is None else inherited)
        except BaseException:
            await self._stop_listening()
            raise
        self._tick()

    async def drain(self, timeout: float) -> None:
        """Accept no more, answer what was asked, and close; after ``timeout`` seconds, close without answers."""
        await self._stop_listening()
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
        await self._stop_listening()
        for connection in tuple(self._context.connections):
            connection.abort()

    def _listen(self, listen: ListenSettings, inherited: list[socket.socket]) -> None:
        address = parse_address(listen.address)
        sockets = claim(address, inherited)
        if not sockets:
            sockets = bind(address, listen.mode, listen.owner, listen.group)
            if isinstance(address, UnixAddress):
                self._own_paths.append(address.path)
        for sock in sockets:
            self.addresses.append(address_of(sock))
            self._acceptors.append(Acceptor(sock, self._factory(listen), self, listen.access, self._once))

    def _factory(self, listen: ListenSettings) -> Callable[[], asyncio.Protocol]:
        context = self._context
        dialect = SOCKETMAP if listen.protocol == "socketmap" else tcp(listen.map.encode())
        recent = Recent(self._recent_size)
        context.recents.append(recent)
        return lambda: HotConnection(context, dialect, recent)

    @property
    def recent_size(self) -> int:
        """Bytes of the requests that came lately, of all listeners."""
        return sum(recent.size for recent in self._context.recents)

    async def _stop_listening(self) -> None:
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            await acceptor.close()
        for path in self._own_paths:
            remove_unix(path)
        self._own_paths.clear()
        if self._ticker is not None:
            self._ticker.cancel()

    def _tick(self) -> None:
        self._context.tick()
        self._admission.close_slow(self._context.now)
        self._resume()
        if self._context.now >= self._sweep_at:
            self._sweep()
        self._ticker = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _resume(self) -> None:
        for acceptor in self._acceptors:
            acceptor.resume()

    def _sweep(self) -> None:
        counters, before = self._context.counters, self._context.counters.idle_closed
        for connection in tuple(self._context.connections):
            connection.close_if_idle(self._context.now - self._idle_timeout)
            if counters.idle_closed - before >= CLOSED_IN_A_TURN:
                # The next tick goes on.
                return
        self._sweep_at = self._context.now + self._sweep_interval
