"""Who may hold a connection, and who must give it up: pure but for calling ``abort``. Times are in seconds.

Two kinds of client are slow (``Patience``): one that has sent a part of a request, which must be whole after
``REQUEST_SECONDS``, and one that does not take its answers, which must go on after ``READ_SECONDS``. Bytes that drip do
not set the time back, only a whole request or room in the send buffer does.

When all places are taken (``Admission``), the client that has been slow or idle longest gives up its own, but none with
a lookup in flight, and none that was of use ``LEAST_IDLE`` ago: between two requests of a busy Postfix there are a few
milliseconds. When no one gives up his place, the newcomer waits in the kernel's backlog.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from typing import Protocol

from vmaild.server.counters import ServerCounters

REQUEST_SECONDS = 10.0
"""For a request to become whole. Postfix sends one with one write(2)."""

READ_SECONDS = 30.0
"""For a client to take answers of which more wait than the send buffer holds."""

LEAST_IDLE = 1.0
"""A client that was of use so lately keeps its place. Postfix's processes close theirs after 10 s without a request."""

SCAN_INTERVAL = 0.1
"""Between two searches for clients that can give up their place: one takes 2 ms with 10,000 clients."""

CLOSED_IN_A_TURN = 256
"""Connections closed in one turn of the loop: each takes some 20 microseconds."""

CANDIDATES = 64
"""Clients that one search finds."""


class Client(Protocol):
    """What is asked of a connection (``vmaild.server.connection.ClientConnection``)."""

    used_at: float
    """When it last sent something."""

    @property
    def in_flight(self) -> int:
        """How many of its lookups have no reply yet."""

    def abort(self) -> None:
        """Close at once, whatever is pending."""


class Patience:
    """The clients that are slow, each since when. Both tables are in the order of time."""

    def __init__(self, request_seconds: float = REQUEST_SECONDS, read_seconds: float = READ_SECONDS) -> None:
        self._request_seconds = request_seconds
        self._read_seconds = read_seconds
        self._incomplete: dict[Client, float] = {}
        self._not_reading: dict[Client, float] = {}

    def settled(self, client: Client, now: float, *, incomplete: bool, not_reading: bool) -> None:
        """Note what a client is waited for: the rest of a request, that it reads, or neither."""
        for waits, table in ((incomplete, self._incomplete), (not_reading, self._not_reading)):
            if waits:
                table.setdefault(client, now)
            elif table:
                table.pop(client, None)

    def whole(self, client: Client) -> None:
        """A request of the client became whole: what follows it is another, and has its own time."""
        if self._incomplete:
            self._incomplete.pop(client, None)

    def forget(self, client: Client) -> None:
        """The client is gone."""
        self._incomplete.pop(client, None)
        self._not_reading.pop(client, None)

    def since(self, client: Client) -> float | None:
        """Since when the client is slow; None when it is not."""
        began = self._incomplete.get(client), self._not_reading.get(client)
        return min((at for at in began if at is not None), default=None)

    def expired(self, now: float, most: int = CLOSED_IN_A_TURN) -> list[Client]:
        """At most ``most`` of the clients whose time is over, and forget them."""
        found: dict[Client, None] = {}
        for table, seconds in ((self._incomplete, self._request_seconds), (self._not_reading, self._read_seconds)):
            for client, since in table.items():
                if now - since < seconds or len(found) >= most:
                    break
                found[client] = None
        for client in found:
            self.forget(client)
        return list(found)


class Admission:
    """The places for clients: ``limit`` of them, taken by ``clients`` and by who is on the way in.

    ``freed`` is called when a client has gone: those who wait may ask again.
    """

    def __init__(
        self,
        clients: Collection[Client],
        limit: int,
        counters: ServerCounters,
        freed: Callable[[], object] = lambda: None,
    ) -> None:
        self.patience = Patience()
        self._freed = freed
        self._clients = clients
        self.limit = limit
        """Most clients at one time."""
        self._counters = counters
        self._coming = 0
        # Oldest last, as they were at the last search.
        self._candidates: list[tuple[float, Client]] = []
        self._scan_at = float("-inf")
        # Closed to make room, and not yet gone.
        self._leaving: Client | None = None

    def coming(self, change: int) -> None:
        """So many clients more, or less, are on their way in."""
        self._coming += change

    @property
    def has_room(self) -> bool:
        """Whether one more may come in now."""
        return len(self._clients) + self._coming < self.limit

    def make_room(self, now: float) -> None:
        """Close the client that has been slow or idle longest, if any may be; ``freed`` follows when it has gone."""
        if self._leaving is None:
            self._leaving = self._close_one(now)

    def left(self, client: Client) -> None:
        """A client is gone."""
        self.patience.forget(client)
        if client is self._leaving:
            self._leaving = None
        self._freed()

    def close_slow(self, now: float) -> None:
        """Close the clients whose time is over."""
        for client in self.patience.expired(now):
            self._counters.slow_closed += 1
            client.abort()

    def _close_one(self, now: float) -> Client | None:
        if not self._candidates and now >= self._scan_at:
            self._scan(now)
        while self._candidates:
            since, client = self._candidates.pop()
            if client in self._clients and not client.in_flight and self._since(client) == since:
                self._counters.closed_for_room += 1
                client.abort()
                return client
        return None

    def _scan(self, now: float) -> None:
        self._scan_at = now + SCAN_INTERVAL
        old = [
            (since, number, client)
            for number, client in enumerate(self._clients)
            if not client.in_flight and (since := self._since(client)) <= now - LEAST_IDLE
        ]
        self._candidates = [(since, client) for since, _, client in reversed(heapq.nsmallest(CANDIDATES, old))]

    def _since(self, client: Client) -> float:
        since = self.patience.since(client)
        return client.used_at if since is None else min(since, client.used_at)
