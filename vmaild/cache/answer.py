"""One answer in the cache, ready for the wire.

There may be a million answers, so an answer is small: it holds the reply only as the bytes that go out, its
counter is shared with all answers of the same kind, and the bytes for "not found" are the same object everywhere.
"""

from __future__ import annotations

from vmaild.cache.counters import Tally
from vmaild.lookup import NO_RESULT, NOT_FOUND, Reply, Status
from vmaild.wire import netstring, socketmap, tcp_table

NEVER = float("-inf")

_NOT_FOUND_NETSTRING = socketmap.encode_reply(NOT_FOUND)
_NOT_FOUND_LINE = tcp_table.encode_reply(NOT_FOUND)


class Answer:
    """What the directory said for one key.

    ``frame`` is the socketmap request that asks for it, in lower case. ``refresh_at`` is when the answer stops being
    good without a search, ``expires_at`` when it becomes stale, both in seconds of the cache's clock. Whoever
    gives the answer adds one to ``tally.hits``.

    ``socketmap`` is the reply's netstring; ``tcp_table`` is its line, None until ``line()`` was called.
    """

    __slots__ = ("expires_at", "frame", "refresh_at", "socketmap", "tally", "tcp_table")

    def __init__(self, frame: bytes, reply: Reply, tally: Tally, refresh_at: float, expires_at: float) -> None:
        self.frame = frame
        self.tcp_table: bytes | None = None
        self.renew(reply, tally, refresh_at, expires_at)

    def renew(self, reply: Reply, tally: Tally, refresh_at: float, expires_at: float) -> None:
        """Take over what the directory said just now."""
        found = reply.status is Status.FOUND
        self.socketmap = socketmap.encode_reply(reply) if found else _NOT_FOUND_NETSTRING
        self.tally = tally
        self.refresh_at = refresh_at
        self.expires_at = expires_at
        if self.tcp_table is not None:
            self.tcp_table = None
            self.line()

    def retire(self) -> None:
        """Serve no longer, wherever the answer is still held."""
        self.refresh_at = self.expires_at = NEVER

    @property
    def retired(self) -> bool:
        """Whether the answer has left the cache."""
        return self.expires_at == NEVER

    @property
    def reply(self) -> Reply:
        """The reply as a value."""
        if self.tally.status is Status.FOUND:
            return socketmap.decode_reply(netstring.payload(self.socketmap))
        return NO_RESULT if self.tally.backed else NOT_FOUND

    def line(self) -> bytes:
        """The reply as a line of tcp_table."""
        if self.tcp_table is None:
            found = self.tally.status is Status.FOUND
            self.tcp_table = tcp_table.encode_reply(self.reply) if found else _NOT_FOUND_LINE
        return self.tcp_table
