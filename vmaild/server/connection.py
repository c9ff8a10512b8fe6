"""One connection, whatever its protocol: all but the hot path.

Requests are taken up as they come, and each has its place in a queue from then on; answers leave at the head of the
queue. While the queue is full, or the client does not take its answers, its bytes are not read.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import deque
from typing import cast

from vmaild.cache import Answer
from vmaild.errors import ProtocolError
from vmaild.lookup import Reply, Request
from vmaild.server.context import Context
from vmaild.wire import socketmap
from vmaild.wire.reader import Reader

logger = logging.getLogger("vmaild.server")


class PendingReply:
    """A reply that the client waits for; ``wire`` is None until it is known."""

    __slots__ = ("wire",)

    def __init__(self, wire: bytes | None = None) -> None:
        self.wire = wire


class ClientConnection(asyncio.Protocol):
    """One client, of either protocol."""

    __slots__ = (
        "_clock",
        "_context",
        "_ending",
        "_finishing",
        "_in_flight",
        "_known",
        "_lost",
        "_missed",
        "_pending",
        "_quiet",
        "_requests",
        "_timing",
        "_transport",
        "_write",
        "_write_paused",
        "used_at",
    )

    def __init__(self, context: Context, requests: Reader[Request] | Reader[Request | Reply]) -> None:
        self._context = context
        self._requests = requests
        self._known = context.known
        self._clock = context.clock
        self.used_at = context.now
        self._pending: deque[PendingReply] = deque()
        self._in_flight = 0
        self._quiet = False
        # The client does not take its answers.
        self._write_paused = False
        # No more bytes will be read; the requests that have come are answered.
        self._finishing = False
        # No more requests will be read; the pending replies are sent.
        self._ending = False
        self._lost = False
        # The next request will be timed if it takes the hot path, and did not take it.
        self._timing = self._missed = False

    @abstractmethod
    def _encode(self, reply: Reply) -> bytes:
        """The reply's bytes."""

    @abstractmethod
    def _wire(self, answer: Answer) -> bytes:
        """The cached answer's bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection on, or close it when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write
        if self._context.opened(self):
            self._quiet = True
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone. Its lookups go on, and keep its place among the connections until they end."""
        self._lost = self._ending = True
        self._quiet = False
        self._pending.clear()
        if not self._in_flight:
            self._context.closed(self)

    def eof_received(self) -> bool:
        """The client will send no more. It may still read: what it asked is answered before the end."""
        self.finish()
        return True

    def pause_writing(self) -> None:
        """The client does not take its answers: read no more of its requests."""
        self._write_paused = True
        self._settle()

    def resume_writing(self) -> None:
        """The client takes its answers again."""
        self._write_paused = False
        self._advance()

    def finish(self) -> None:
        """Answer what has come, then close."""
        self._finishing = True
        self._advance()

    def abort(self) -> None:
        """Close at once, whatever is pending."""
        self._quiet = False
        self._ending = True
        self._pending.clear()
        self._transport.abort()

    def close_if_idle(self, since: float) -> None:
        """Close when nothing came after the time ``since`` and nothing is being looked up."""
        if self.used_at < since and not self._in_flight:
            self._context.counters.idle_closed += 1
            self.abort()

    def time_next(self) -> None:
        """Time the next request if it takes the hot path."""
        if self._quiet:
            self._quiet = False
            self._timing = True

    def _receive(self, data: bytes) -> None:
        """What the hot path did not answer."""
        if self._timing:
            self._receive_timed(data)
            return
        self._missed = True
        self.used_at = self._clock()
        self._requests.feed(data)
        self._advance()

    def _receive_timed(self, data: bytes) -> None:
        self._timing = self._missed = False
        self._quiet = True
        started = self._clock()
        self.data_received(data)
        if not self._missed:
            self._context.cached_latency.observe(self._clock() - started)

    def _advance(self) -> None:
        """Take up what can be taken up, send what can be sent."""
        if self._lost:
            return
        self._send_ready()
        while self._has_room() and (item := self._next()) is not None:
            self._pending.append(self._take_up(item))
            if not self._has_room():
                self._send_ready()
        self._send_ready()
        self._settle()

    def _has_room(self) -> bool:
        return not (self._ending or self._write_paused) and len(self._pending) < self._context.max_pipelined

    def _next(self) -> Request | Reply | None:
        try:
            item = self._requests.next()
        except ProtocolError as error:
            self._context.counters.protocol_errors += 1
            self._context.complain(f"a client's connection is closed for what it sent: {error}")
            self._ending = True
            return None
        if item is None and self._finishing:
            self._ending = True
        return item

    def _take_up(self, item: Request | Reply) -> PendingReply:
        counters = self._context.counters
        if isinstance(item, Reply):
            counters.lookups += 1
            return PendingReply(self._encode(item))
        answer = self._known(socketmap.encode_request(item).lower())
        if answer is not None and self._clock() < answer.refresh_at:
            counters.pipelined += 1
            answer.tally.hits += 1
            return PendingReply(self._wire(answer))
        counters.lookups += 1
        return self._look_up(item)

    def _look_up(self, request: Request) -> PendingReply:
        pending = PendingReply()
        started = self._clock()
        task = asyncio.get_running_loop().create_task(self._context.find(request))
        self._context.tasks.add(task)
        self._in_flight += 1
        task.add_done_callback(lambda task: self._looked_up(pending, started, task))
        return pending

    def _looked_up(self, pending: PendingReply, started: float, task: asyncio.Task[Reply]) -> None:
        self._context.tasks.discard(task)
        self._in_flight -= 1
        self._context.lookup_latency.observe(self._clock() - started)
        if task.cancelled() or (error := task.exception()) is not None:
            if not task.cancelled():
                self._context.counters.failed += 1
                logger.error("a lookup failed", exc_info=error)
            self.abort()
        else:
            pending.wire = self._encode(task.result())
        if self._lost and not self._in_flight:
            self._context.closed(self)
        self._advance()

    def _send_ready(self) -> None:
        """Send the answers that are known, up to the first that is not."""
        ready = []
        while self._pending and (wire := self._pending[0].wire) is not None:
            ready.append(wire)
            self._pending.popleft()
        if ready:
            self._write(b"".join(ready))

    def _settle(self) -> None:
        """Decide what the connection waits for now."""
        self._timing = False
        if self._ending and not self._pending:
            self._quiet = False
            self._transport.close()
            return
        # After a protocol error the rest is read and thrown away: to close with bytes unread resets the connection,
        # and the answers just sent may be lost.
        full = not self._ending and (self._finishing or not self._has_room())
        self._quiet = not (full or self._ending or self._pending) and self._requests.empty
        if full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
