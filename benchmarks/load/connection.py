"""One connection of the load generator: a question out, an answer in, one in flight, as Postfix does it.

The generator shares the machine with the server it measures, so an expected answer costs it one comparison of
bytes; only other answers are decoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from benchmarks.load.protocols import Codec, Question
from vmaild.errors import ProtocolError
from vmaild.lookup import Reply, Status

if TYPE_CHECKING:
    from benchmarks.load.fleet import Fleet


class Connection(asyncio.Protocol):
    """One connection. ``expires`` is when it is replaced, ``used`` when it was last given a question (nanoseconds).

    ``proven`` says that it brought an answer.
    """

    def __init__(self, owner: Fleet, codec: Codec, clock: Callable[[], int], expires: int) -> None:
        self._owner = owner
        self._codec = codec
        self._clock = clock
        self._replies = codec.replies()
        self._partial = False
        self._transport: asyncio.Transport | None = None
        self._question: Question | None = None
        self._since = 0
        self.proven = False
        self.used = clock()
        self.expires = expires

    @property
    def busy(self) -> bool:
        """True while an answer is awaited."""
        return self._question is not None

    def ask(self, question: Question, since: int, now: int) -> None:
        """Send ``question``; its latency counts from ``since``."""
        assert self._transport is not None
        self._question = question
        self._since = since
        self.used = now
        self._transport.write(question.wire)

    def fail(self, kind: str) -> None:
        """Count the question in flight as an error of ``kind``, and drop the connection."""
        if self._question is not None:
            self._question = None
            self._owner.tally.error(kind, self._since, self._clock())
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close an idle connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, only of their shape.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.fail("closed")
        self._owner.lost(self)

    def data_received(self, data: bytes) -> None:
        question = self._question
        if question is None:
            self._owner.tally.errors["unasked"] += 1
            self.fail("unasked")
            return
        if data == question.expected_wire and not self._partial:
            assert question.expected is not None
            self._answered(question, question.expected.status, True)
        else:
            self._decode(question, data)

    def _decode(self, question: Question, data: bytes) -> None:
        try:
            self._replies.feed(data)
            reply = self._replies.next()
            surplus = reply is not None and self._replies.next() is not None
        except ProtocolError:
            self.fail("malformed")
            return
        if surplus:
            self.fail("unasked")
            return
        self._partial = reply is None
        if reply is None:
            return
        right = question.expected is None or question.expected.met_by(reply)
        self._answered(question, reply.status, right, "" if right else _example(question, reply))

    def _answered(self, question: Question, status: Status, right: bool, example: str = "") -> None:
        now = self._clock()
        tally = self._owner.tally
        tally.answer(status, self._since, now)
        if question.expected is not None:
            tally.check(right, self._since, example)
        self._question = None
        self.proven = True
        self._owner.done(self, now)


def _example(question: Question, reply: Reply) -> str:
    answer = f"{_text(reply.status.value)} {_text(reply.text)}".rstrip()
    return f"{_text(question.key)}: {answer}, but {question.expected} is right"


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")
