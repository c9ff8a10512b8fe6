"""One connection, whatever its protocol: all but the hot path.

A request has its place in a queue from when it is taken up; replies leave at the head of the queue. While the queue is
full, or the client does not take its replies, its bytes are not read. What state a connection is in, and what leads
from one to another, is described in ``vmaild.server.state``.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from bisect import bisect_left
from collections import deque
from typing import cast

from vmaild.cache import Answer
from vmaild.errors import ProtocolError
from vmaild.lookup import Reply, Request
from vmaild.server.context import Context
from vmaild.server.counters import LATENCY_BOUNDS
from vmaild.server.dialect import Dialect
from vmaild.server.recent import Recent
from vmaild.server.state import BUSY, CLOSED, ENDING, FINISHING, FULL, READY, TIMED, State

logger = logging.getLogger("vmaild.server")

SHARE = 64
"""Requests of one connection taken up in a turn of the loop: a fraction of a millisecond of work."""


class PendingReply:
    """A reply that the client waits for; ``wire`` is None until it is known, ``later`` true if that takes time."""

    __slots__ = ("later", "started", "wire")

    def __init__(self, started: float, wire: bytes | None = None) -> None:
        self.started = started
        self.wire = wire
        self.later = False


class ClientConnection(asyncio.Protocol):
    """One client."""

    __slots__ = (
        "_address",
        "_clock",
        "_context",
        "_encode",
        "_fed",
        "_patience",
        "_peer",
        "_pending",
        "_requests",
        "_resting",
        "_state",
        "_transport",
        "_whole",
        "_write",
        "_write_paused",
        "in_flight",
        "recent",
        "used_at",
    )

    def __init__(self, context: Context, dialect: Dialect, recent: Recent) -> None:
        self._context = context
        self._clock = context.clock
        self._patience = context.admission.patience
        self._requests = dialect.reader()
        self._whole = dialect.whole
        self._encode = dialect.encode
        self.recent = recent
        self._state: State = BUSY
        self._write_paused = False
        self._resting = False
        # The reader has been fed since the connection was READY: it may hold part of a request.
        self._fed = False
        self._pending: deque[PendingReply] = deque()
        self.in_flight = 0
        self.used_at = context.now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection in, or close it when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write
        # A transport that closes has none any more.
        self._address = transport.get_extra_info("peername")
        self.join_peer()
        if self._context.opened(self):
            self._state = READY
        else:
            self.abort()

    def join_peer(self) -> None:
        """Be one of those with a share of the lookups."""
        self._peer = self._context.peer_of(self._address)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone. Its lookups go on, and keep its place among the connections until they end."""
        self._state = CLOSED
        self._pending.clear()
        if not self.in_flight:
            self._context.closed(self)
        self._context.admission.left(self)

    def eof_received(self) -> bool:
        """The client will send no more. It may still read: what it asked is answered before the end."""
        self.finish()
        return True

    def pause_writing(self) -> None:
        """The client does not take its replies: read no more of its requests."""
        self._write_paused = True
        self._settle()

    def resume_writing(self) -> None:
        """The client takes its replies again."""
        self._write_paused = False
        self._advance()

    def finish(self) -> None:
        """Answer what has come, then close."""
        if self._state is not ENDING and self._state is not CLOSED:
            self._state = FINISHING
            self._advance()

    def abort(self) -> None:
        """Close at once, whatever is pending."""
        self._state = CLOSED
        self._pending.clear()
        self._transport.abort()

    def close_if_idle(self, since: float) -> None:
        """Close when nothing came after the time ``since`` and nothing is being looked up."""
        if self.used_at < since and not self.in_flight:
            self._context.counters.idle_closed += 1
            self.abort()

    def time_next(self) -> None:
        """Time the next request if it is answered from the cache."""
        if self._state is READY:
            self._state = TIMED

    # --- requests ---------------------------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        """What the hot path did not answer."""
        if self._state is TIMED:
            self._receive_timed(data)
            return
        self.used_at = self._clock()
        if self._state is READY and (request := self._whole(data)) is not None:
            wire = self._take_up(request, data)
            if wire is not None:
                self._write(wire)
            elif self._pending[0].wire is None:
                self._state = BUSY
            else:
                self._send_ready()
            return
        if self._state is not ENDING:
            self._requests.feed(data)
            self._fed = True
        self._advance()

    def _receive_timed(self, data: bytes) -> None:
        self._state = READY
        started = self._clock()
        self.data_received(data)
        if self._state is READY:
            self._context.cached_latency.observe(self._clock() - started)

    def _advance(self) -> None:
        """Take up what can be taken up, send what can be sent."""
        self._send_ready()
        share = 0 if self._resting else SHARE
        while share and self._has_room() and (item := self._next()) is not None:
            share -= 1
            wire = self._take_up(item)
            if wire is not None:
                self._pending.append(PendingReply(0.0, wire))
            if not self._has_room():
                self._send_ready()
        self._send_ready()
        if not share and self._has_room():
            self._rest()
        else:
            self._settle()

    def _rest(self) -> None:
        """It is the others' turn; what is left of this one's requests comes after that."""
        if self._state is not FINISHING:
            self._state = FULL
            self._transport.pause_reading()
        if not self._resting:
            self._resting = True
            asyncio.get_running_loop().call_soon(self._end_rest)

    def _end_rest(self) -> None:
        self._resting = False
        self._advance()

    def _has_room(self) -> bool:
        if self._state is ENDING or self._state is CLOSED or self._write_paused:
            return False
        return len(self._pending) < self._context.max_pipelined

    def _next(self) -> Request | Reply | None:
        try:
            item: Request | Reply | None = self._requests.next()
        except ProtocolError as error:
            self._context.counters.protocol_errors += 1
            self._context.complain(f"a client's connection is closed for what it sent: {error}")
            self._state = ENDING
            return None
        if item is None and self._state is FINISHING:
            self._state = ENDING
        return item

    def _take_up(self, item: Request | Reply, data: bytes | None = None) -> bytes | None:
        """The reply to one request, or None when it is pending. ``data`` are its bytes if they may be remembered."""
        if data is None:
            self._patience.whole(self)
        counters = self._context.counters
        if isinstance(item, Reply):
            counters.lookups += 1
            return self._encode(item)
        found = self._context.lookups.seek(item.map_name, item.key, self._encode)
        if isinstance(found, Answer):
            found.tally.hits += 1
            if data is None:
                counters.pipelined += 1
            elif self._context.now < found.refresh_at:
                self.recent.remember(data, found)
            return found.wire
        counters.lookups += 1
        if isinstance(found, Reply):
            return self._encode(found)
        # It has its place before anything else can happen: a reply to another may come while this one is begun.
        pending = PendingReply(self._clock())
        self._pending.append(pending)
        self._context.lookups.look_up(found, functools.partial(self._told, pending), self._peer)
        if pending.wire is None:
            pending.later = True
            self.in_flight += 1
        return None

    # --- replies ----------------------------------------------------------------------------------------------------

    def _told(self, pending: PendingReply, reply: Reply) -> None:
        """A lookup has ended."""
        pending.wire = self._encode(reply)
        latency = self._context.lookup_latency
        seconds = self._clock() - pending.started
        latency.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        latency.total += seconds
        if not pending.later:
            return
        self.in_flight -= 1
        if self._state is BUSY and not self._fed and len(self._pending) == 1:
            self._pending.clear()
            self._state = READY
            self._write(pending.wire)
        elif self._state is not CLOSED:
            self._advance()
        elif not self.in_flight:
            self._context.closed(self)

    def _send_ready(self) -> None:
        """Send the replies that are known, up to the first that is not."""
        ready = []
        while self._pending and (wire := self._pending[0].wire) is not None:
            ready.append(wire)
            self._pending.popleft()
        if ready:
            self._write(b"".join(ready))

    def _settle(self) -> None:
        """Go to the state that what is pending makes, read or not, and note what the client is waited for."""
        if self._state is CLOSED:
            return
        self._read_or_pause()
        # With no room for a reply, whole requests may wait unread.
        incomplete = not self._requests.empty and self._has_room()
        self._patience.settled(self, self._clock(), incomplete=incomplete, not_reading=self._write_paused)

    def _read_or_pause(self) -> None:
        state = self._state
        if state is ENDING:
            # After a protocol error the rest is read and thrown away: to close with bytes unread resets the
            # connection, and the replies just sent may be lost.
            self._transport.resume_reading()
            if not self._pending:
                self._transport.close()
            return
        if state is FINISHING:
            self._transport.pause_reading()
            return
        if not self._has_room():
            self._state = FULL
            self._transport.pause_reading()
            return
        if state is FULL:
            self._transport.resume_reading()
        self._fed = not self._requests.empty
        self._state = BUSY if self._pending or self._fed else READY
