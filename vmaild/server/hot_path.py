"""The hot path: a cached answer goes from ``data_received`` to ``transport.write``.

It is taken when the connection is quiet (``vmaild.server.connection``) and the segment is exactly one request whose
answer serves. Its bytes are looked up among the recent requests as they are (``vmaild.server.recent``). There is
no task, future, lock, codec, formatting or reading of the clock; what is counted are plain integers.
"""

from __future__ import annotations

from vmaild.cache import Answer
from vmaild.lookup import Reply
from vmaild.server.connection import ClientConnection
from vmaild.server.context import Context
from vmaild.server.recent import Recent, RecentLines
from vmaild.wire import socketmap, tcp_table


class SocketmapConnection(ClientConnection):
    """A connection that speaks socketmap."""

    __slots__ = ("_forget", "_recall", "_recent")

    def __init__(self, context: Context, recent: Recent) -> None:
        super().__init__(context, socketmap.SocketmapRequests())
        self._recent = recent.get
        self._recall = recent.recall
        self._forget = recent.forget

    def data_received(self, data: bytes) -> None:
        """Answer a request from the cache, or leave it to ``ClientConnection``."""
        if self._quiet:
            answer = self._recent(data) or self._recall(data)
            if answer is not None:
                now = self._context.now
                if now < answer.refresh_at:
                    self._write(answer.socketmap)
                    answer.tally.hits += 1
                    self.used_at = now
                    return
                self._forget(data)
        self._receive(data)

    def _encode(self, reply: Reply) -> bytes:
        return socketmap.encode_reply(reply)

    def _wire(self, answer: Answer) -> bytes:
        return answer.socketmap


class TcpTableConnection(ClientConnection):
    """A connection that speaks tcp_table, about one map."""

    __slots__ = ("_forget", "_recall", "_recent")

    def __init__(self, context: Context, recent: RecentLines) -> None:
        super().__init__(context, tcp_table.TcpTableRequests(recent.map_name))
        self._recent = recent.get
        self._recall = recent.recall
        self._forget = recent.forget

    def data_received(self, data: bytes) -> None:
        """Answer a request from the cache, or leave it to ``ClientConnection``."""
        if self._quiet:
            answer = self._recent(data) or self._recall(data)
            if answer is not None:
                now = self._context.now
                line = answer.tcp_table
                if now < answer.refresh_at and line is not None:
                    self._write(line)
                    answer.tally.hits += 1
                    self.used_at = now
                    return
                self._forget(data)
        self._receive(data)

    def _encode(self, reply: Reply) -> bytes:
        return tcp_table.encode_reply(reply)

    def _wire(self, answer: Answer) -> bytes:
        return answer.line()
