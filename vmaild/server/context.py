"""What the connections of one server have in common: the maps, the time, the limits, the counters, each other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from vmaild.cache import Answer
from vmaild.lookup import Reply, Request
from vmaild.server.counters import Latency, ServerCounters

logger = logging.getLogger("vmaild.server")

# Seconds in which one complaint about clients is logged; the counters know of the others.
COMPLAINT_INTERVAL = 10.0


class Lookups(Protocol):
    """What the server needs of the maps."""

    @property
    def known(self) -> Callable[[bytes], Answer | None]:
        """The cached answer for a frame, as in ``vmaild.cache.Cache``."""

    def find(self, request: Request) -> Coroutine[Any, Any, Reply]:
        """The reply to a request. Does not raise."""


class OpenConnection(Protocol):
    """What the server needs of a connection (``vmaild.server.connection.ClientConnection``)."""

    def time_next(self) -> None:
        """Time the next request if it takes the hot path."""

    def close_if_idle(self, since: float) -> None:
        """Close when nothing came after the time ``since`` and nothing is being looked up."""

    def finish(self) -> None:
        """Answer what has come, then close."""

    def abort(self) -> None:
        """Close at once, whatever is pending."""


class Context:
    """What all connections of a server share."""

    def __init__(
        self, lookups: Lookups, clock: Callable[[], float], *, max_connections: int, max_pipelined: int
    ) -> None:
        self.known = lookups.known
        self.find = lookups.find
        self.clock = clock
        self._complain_at = clock()
        self.now = clock()
        """The time of the last tick, for the hot path, where reading the clock would be dear."""
        self.max_connections = max_connections
        self.max_pipelined = max_pipelined
        self.counters = ServerCounters()
        self.cached_latency = Latency()
        self.lookup_latency = Latency()
        self.connections: set[OpenConnection] = set()
        self.tasks: set[asyncio.Task[Reply]] = set()
        self.empty = asyncio.Event()
        self.empty.set()

    def tick(self) -> None:
        """Take the time, and have a request timed, of each connection in turn."""
        self.now = self.clock()
        if self.connections:
            # A set gives out its members one after the other, not the same again.
            connection = self.connections.pop()
            self.connections.add(connection)
            connection.time_next()

    def complain(self, text: str) -> None:
        """Log what a client did wrong, unless there was a complaint a short while ago: it may come back at once."""
        if self.clock() >= self._complain_at:
            self._complain_at = self.clock() + COMPLAINT_INTERVAL
            logger.warning("%s", text)

    def opened(self, connection: OpenConnection) -> bool:
        """Count the connection in. False when there are too many."""
        if len(self.connections) >= self.max_connections:
            self.counters.refused += 1
            self.complain(f"a connection was refused: {self.max_connections} are open")
            return False
        self.counters.accepted += 1
        self.connections.add(connection)
        self.empty.clear()
        return True

    def closed(self, connection: OpenConnection) -> None:
        """Count the connection out."""
        self.connections.discard(connection)
        if not self.connections:
            self.empty.set()
