"""What the connections of one server have in common: the maps, the time, the limits, the counters, each other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakValueDictionary

from vmaild.cache import Answer
from vmaild.lookup import Reply
from vmaild.maps import Peer
from vmaild.process.log_once import LogOnce
from vmaild.server.admission import Admission, Client
from vmaild.server.counters import Latency, ServerCounters
from vmaild.server.recent import Recent

logger = logging.getLogger("vmaild.server")

COMPLAINT_INTERVAL = 10.0
"""Seconds in which one complaint about clients is logged; the counters know of the others."""


class Lookups(Protocol):
    """What the server needs of the maps (``vmaild.maps.Maps``)."""

    def seek(self, name: bytes, key: bytes, encode: Callable[[Reply], bytes]) -> Answer | Any | Reply:
        """The cached answer, made ready by ``encode``; or a reply at once; or what ``look_up`` takes."""

    def look_up(self, wanted: Any, tell: Callable[[Reply], None], peer: Peer) -> None:
        """Have ``tell`` called once with the reply, now or later; ``peer`` is who asked. Does not raise."""


class OpenConnection(Client, Protocol):
    """What the server needs of a connection (``vmaild.server.connection.ClientConnection``)."""

    recent: Recent
    """The recent requests of the listener that it came in on."""

    def join_peer(self) -> None:
        """Be one of those with a share of the lookups (``Context.peer_of``)."""

    def time_next(self) -> None:
        """Time the next request if it takes the hot path."""

    def close_if_idle(self, since: float) -> None:
        """Close when nothing came after the time ``since`` and nothing is being looked up."""

    def finish(self) -> None:
        """Answer what has come, then close."""


class Context:
    """What all connections of a server share. ``freed`` is called when there may be room for one more."""

    def __init__(
        self,
        lookups: Lookups,
        clock: Callable[[], float],
        *,
        max_connections: int,
        max_pipelined: int,
        freed: Callable[[], object] = lambda: None,
    ) -> None:
        self.lookups = lookups
        self.clock = clock
        self._once = LogOnce(logger, clock, COMPLAINT_INTERVAL)
        self.now = clock()
        """The time of the last tick, for the hot path, where reading the clock would be dear."""
        self.max_connections = max_connections
        self.max_pipelined = max_pipelined
        self.counters = ServerCounters()
        self.cached_latency = Latency()
        self.lookup_latency = Latency()
        self.connections: set[OpenConnection] = set()
        self.admission = Admission(self.connections, max_connections, self.counters, freed)
        self._freed = freed
        self.recents: list[Recent] = []
        """Of each listener."""
        self._peers: WeakValueDictionary[str, Peer] = WeakValueDictionary()
        self.empty = asyncio.Event()
        self.empty.set()

    def ask(self, lookups: Lookups) -> None:
        """Ask these from now on.

        A client has a share of its own there: what it asked before waits elsewhere, and is counted there.
        """
        self.lookups = lookups
        self._peers = WeakValueDictionary()
        for connection in self.connections:
            connection.join_peer()

    def allow(self, max_connections: int) -> None:
        """So many clients may there be from now on; those that are there stay."""
        self.max_connections = max_connections
        self.admission.limit = max_connections
        self._freed()

    def tick(self) -> None:
        """Take the time, and have a request timed, of each connection in turn."""
        self.now = self.clock()
        if self.connections:
            # A set gives out its members one after the other, not the same again.
            connection = self.connections.pop()
            self.connections.add(connection)
            connection.time_next()

    def peer_of(self, address: object) -> Peer:
        """Who has its share of the lookups: of those on other machines the address, else each connection.

        ``address`` is the client's, as the transport has it. On this machine all clients have the same.
        """
        host = str(address[0]) if isinstance(address, tuple) else ""
        if not host or host == "::1" or host.removeprefix("::ffff:").startswith("127."):
            return Peer()
        peer = self._peers.get(host)
        if peer is None:
            peer = self._peers[host] = Peer()
        return peer

    def complain(self, text: str) -> None:
        """Log what a client did wrong, unless that was logged a short while ago: it may come back at once."""
        self._once.log(logging.WARNING, text, text)

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
        self._freed()
