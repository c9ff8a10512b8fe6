"""The reference servers' protocols, each as short as it can be: what Python and uvloop cost by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from benchmarks.expectation import ANY, Line
from benchmarks.protocols import Codec
from vmaild.errors import ProtocolError
from vmaild.lookup import NOT_FOUND, Reply, Request


class Requests(Protocol):
    """The server's reader of ``vmaild.wire``."""

    @property
    def empty(self) -> bool:
        """True when nothing waits for its rest."""

    def feed(self, data: bytes) -> None:
        """Store the next bytes."""

    def next(self) -> Request | Reply | None:
        """The next request, or None when more bytes are needed."""


class EchoServer(asyncio.Protocol):
    """Sends back what came."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        self._write(data)


class Table:
    """Reply bytes by request bytes, both as they go over the wire."""

    def __init__(self, codec: Codec) -> None:
        self.replies: dict[bytes, bytes] = {}
        self._codec = codec
        self._others: dict[bytes, bytes] = {}
        self._not_found = codec.encode_reply(NOT_FOUND)

    def add(self, line: Line) -> None:
        """Take one line of an expectation file."""
        reply = self._codec.encode_reply(Reply(line.expected.status, line.expected.value or b""))
        if line.key == ANY:
            self._others[line.map_name] = reply
        else:
            self.replies[self._codec.encode_request(Request(line.map_name, line.key))] = reply

    def reply(self, request: Request) -> bytes:
        """The reply to a request that came in pieces, or whose key has no line."""
        known = self.replies.get(self._codec.encode_request(request))
        return known or self._others.get(request.map_name, self._not_found)


class DictServer(asyncio.Protocol):
    """Answers from a ``Table``."""

    def __init__(self, table: Table, requests: Callable[[], Requests]) -> None:
        self._known = table.replies.get
        self._table = table
        self._requests = requests()
        self._partial = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write = self._transport.write

    def data_received(self, data: bytes) -> None:
        reply = self._known(data)
        if reply is not None and not self._partial:
            self._write(reply)
        else:
            self._take_apart(data)

    def _take_apart(self, data: bytes) -> None:
        self._requests.feed(data)
        try:
            while (request := self._requests.next()) is not None:
                assert isinstance(request, Request)
                self._write(self._table.reply(request))
        except ProtocolError:
            self._transport.close()
        self._partial = not self._requests.empty
