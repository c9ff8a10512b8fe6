"""The server: opens the listeners, watches over the connections, and ends them."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable

from vmaild.listening import Address
from vmaild.process import LogOnce
from vmaild.server.admission import CLOSED_IN_A_TURN
from vmaild.server.context import Context, Lookups
from vmaild.server.counters import Latency, ServerCounters
from vmaild.server.listener import Listener, Plan, plan
from vmaild.server.recent import RECENT_SIZE, Recent
from vmaild.server.settings import IDLE_TIMEOUT, MAX_CONNECTIONS, MAX_PIPELINED, SWEEP_INTERVAL, TICK, ListenSettings

logger = logging.getLogger("vmaild.server")


class Server:
    """Answers what comes in on ``listens`` by way of ``lookups``.

    The listeners share ``recent_size`` bytes for requests that came lately, with their answers.
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
        recent_size: int = RECENT_SIZE,
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
        self._listeners: list[Listener] = []
        self._ticker: asyncio.TimerHandle | None = None
        self._sweep_at = clock() + sweep_interval

    @property
    def addresses(self) -> list[Address]:
        """The addresses listened on, with the port numbers that port 0 became."""
        return [address for listener in self._listeners for address in listener.addresses]

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
            for settings in self._listens:
                self._listeners.append(Listener(settings, [] if inherited is None else inherited))
            for listener in self._listeners:
                listener.open(self._context, self, self._once)
        except BaseException:
            await self._stop_listening()
            raise
        self._share()
        self._tick()

    async def plan(self, listens: Iterable[ListenSettings], inherited: list[socket.socket]) -> Plan:
        """What must change for ``listens``; new addresses are bound. Raises OSError, and nothing has changed then."""
        return await plan(self._listeners, listens, inherited)

    async def follow(
        self, change: Plan, lookups: Lookups, max_connections: int, recent_size: int = RECENT_SIZE
    ) -> None:
        """Answer by way of ``lookups`` from now on, on the listeners of ``change``.

        No connection is closed, but for those of a listener that goes, or that speaks another protocol or of another
        map now: they are answered what they asked, and then end.
        """
        self._context.ask(lookups)
        self._context.allow(max_connections)
        ending: list[Recent | None] = [listener.recent for listener in change.going]
        ending += [listener.follow(settings, self._context) for listener, settings in change.staying]
        self._listeners = [listener for listener, _ in change.staying] + list(change.coming)
        for listener in change.coming:
            listener.open(self._context, self, self._once)
        for listener in change.going:
            await listener.close()
            self._context.recents.remove(listener.recent)
            listener.recent.clear()
        self._recent_size = recent_size
        self._share()
        for connection in tuple(self._context.connections):
            if connection.recent in ending:
                connection.finish()

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

    @property
    def recent_size(self) -> int:
        """Bytes of the requests that came lately, of all listeners."""
        return sum(recent.size for recent in self._context.recents)

    def _share(self) -> None:
        recents = self._context.recents
        for recent in recents:
            recent.max_size = self._recent_size // len(recents)

    async def _stop_listening(self) -> None:
        for listener in self._listeners:
            await listener.close()
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
        for listener in self._listeners:
            listener.resume()

    def _sweep(self) -> None:
        counters, before = self._context.counters, self._context.counters.idle_closed
        for connection in tuple(self._context.connections):
            connection.close_if_idle(self._context.now - self._idle_timeout)
            if counters.idle_closed - before >= CLOSED_IN_A_TURN:
                # The next tick goes on.
                return
        self._sweep_at = self._context.now + self._sweep_interval
