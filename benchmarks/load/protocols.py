"""The client's side of each protocol that a load can speak.

``echo`` is no protocol of Postfix's: its server sends a request's bytes back, which is the least that any server can
do (``benchmarks.site.references``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.load.expectation import Expected
from vmaild.lookup import Reply, Request, Status
from vmaild.wire import socketmap, tcp_table

Replies = socketmap.SocketmapReplies | tcp_table.TcpTableReplies


@dataclass(frozen=True, slots=True)
class Question:
    """A request ready for the wire, and what is known about its answer.

    ``expected_wire`` is the one right answer byte by byte, where there is only one.
    """

    wire: bytes
    key: bytes
    expected: Expected | None = None
    expected_wire: bytes | None = None


@dataclass(frozen=True, slots=True)
class Codec:
    """How requests are written, and replies are written and read."""

    encode_request: Callable[[Request], bytes]
    encode_reply: Callable[[Reply], bytes]
    replies: Callable[[], Replies]
    echoes: bool = False

    def question(self, map_name: bytes, key: bytes, expected: Expected | None) -> Question:
        """The question for ``key``."""
        wire = self.encode_request(Request(map_name, key))
        if self.echoes:
            return Question(wire, key, Expected(Status.FOUND), wire)
        return Question(wire, key, expected, self._only_answer(expected))

    def _only_answer(self, expected: Expected | None) -> bytes | None:
        if expected is not None and expected.status is Status.FOUND and expected.value:
            return self.encode_reply(Reply(Status.FOUND, expected.value))
        not_found = expected is not None and expected.status is Status.NOT_FOUND
        return self.encode_reply(Reply(Status.NOT_FOUND)) if not_found else None


CODECS = {
    "socketmap": Codec(socketmap.encode_request, socketmap.encode_reply, socketmap.SocketmapReplies),
    "tcp_table": Codec(tcp_table.encode_request, tcp_table.encode_reply, tcp_table.TcpTableReplies),
    "echo": Codec(socketmap.encode_request, socketmap.encode_reply, socketmap.SocketmapReplies, echoes=True),
}
