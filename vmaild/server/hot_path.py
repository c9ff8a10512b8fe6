"""The hot path: a cached answer goes from ``data_received`` to ``transport.write``.

It is taken when the connection is ``READY`` (``vmaild.server.state``) and the segment is a request that came lately and
whose answer still serves (``vmaild.server.recent``). There is no task, future, lock, codec, formatting or reading of
the clock; what is counted are plain integers.
"""

from __future__ import annotations

from vmaild.server.connection import ClientConnection
from vmaild.server.context import Context
from vmaild.server.dialect import Dialect
from vmaild.server.recent import Recent
from vmaild.server.state import READY


class HotConnection(ClientConnection):
    """A client's connection with the short cut."""

    __slots__ = ("_recall",)

    def __init__(self, context: Context, dialect: Dialect, recent: Recent) -> None:
        super().__init__(context, dialect, recent)
        self._recall = recent.get

    def data_received(self, data: bytes) -> None:
        """Answer a request that came lately, or leave it to ``ClientConnection``."""
        # Both are called as plain functions: as methods of ``self`` they would be looked up by the slow way.
        recall = self._recall
        answer = recall(data)
        if answer is not None and self._state is READY:
            self.used_at = now = self._context.now
            if now < answer.refresh_at:
                write = self._write
                write(answer.wire)
                answer.tally.hits += 1
                return
        self._receive(data)
