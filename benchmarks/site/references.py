"""Reference servers, each as short as it can be: ``python -m benchmarks.site.references SERVER ADDRESS``.

``echo`` sends back what came, which is the least that a server in Python can do. ``dict`` answers from the expectation
file ``--table`` by the request's bytes, the ceiling for any socketmap server in Python. ``relay`` holds back what comes
from the server at ``--to`` for ``--delay`` seconds: a slow directory, made of a fast one.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.load.expectation import ANY, Line, read_lines
from benchmarks.load.protocols import CODECS, Codec
from vmaild.errors import ProtocolError
from vmaild.listening import Address, InetAddress, UnixAddress, parse_address
from vmaild.lookup import NOT_FOUND, Reply, Request
from vmaild.wire import socketmap, tcp_table

BACKLOG = 1024
"""Postfix opens all its connections at once after a reload; the kernel caps this at net.core.somaxconn."""

Requests = socketmap.SocketmapRequests | tcp_table.TcpTableRequests


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

    def add(self, line: Line) -> None:
        """Take one line of an expectation file."""
        reply = self._codec.encode_reply(Reply(line.expected.status, line.expected.value or b""))
        if line.key == ANY:
            self._others[line.map_name] = reply
        else:
            self.replies[self._codec.encode_request(Request(line.map_name, line.key))] = reply

    def reply(self, request: Request) -> bytes:
        """The reply to a request that came in pieces, or whose key has no line."""
        known = self.replies.get(self._codec.encode_request(request)) or self._others.get(request.map_name)
        return known or self._codec.encode_reply(NOT_FOUND)


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


async def relay(to: InetAddress, delay: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Between one client and the server at ``to``."""
    loop = asyncio.get_running_loop()
    try:
        upstream, request_writer = await asyncio.open_connection(to.host, to.port)
    except OSError:
        writer.close()
        return

    async def back() -> None:
        while data := await upstream.read(65536):
            loop.call_later(delay, writer.write, data)
        loop.call_later(delay, writer.close)

    answers = asyncio.create_task(back())
    while data := await reader.read(65536):
        request_writer.write(data)
    request_writer.close()
    await answers


def main() -> int:
    """Serve until SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site.references", description=__doc__)
    parser.add_argument("server", choices=("echo", "dict", "relay"))
    parser.add_argument("address", type=parse_address)
    parser.add_argument("--table", type=Path, help="expectation file with the answers")
    parser.add_argument("--protocol", choices=("socketmap", "tcp_table"), default="socketmap")
    parser.add_argument("--map", default="virtual_mailbox_maps", help="the map of a tcp_table listener")
    parser.add_argument("--to", type=parse_address, help="the server behind the relay, inet:HOST:PORT")
    parser.add_argument("--delay", type=float, default=0.1, help="of the relay, seconds (default: %(default)s)")
    arguments = parser.parse_args()
    factory: Callable[[], asyncio.Protocol] = EchoServer
    if arguments.server == "dict":
        factory = partial(DictServer, _table(arguments), _requests(arguments))
    elif arguments.server == "relay":
        factory = partial(_relay_protocol, arguments.to, arguments.delay)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(factory, arguments.address))
    return 0


def _relay_protocol(to: InetAddress, delay: float) -> asyncio.Protocol:
    reader = asyncio.StreamReader()
    return asyncio.StreamReaderProtocol(reader, partial(relay, to, delay))


def _table(arguments: argparse.Namespace) -> Table:
    table = Table(CODECS[arguments.protocol])
    for line in read_lines(arguments.table):
        if arguments.protocol == "socketmap" or line.map_name == arguments.map.encode():
            table.add(line)
    return table


def _requests(arguments: argparse.Namespace) -> Callable[[], Requests]:
    if arguments.protocol == "socketmap":
        return socketmap.SocketmapRequests
    return partial(tcp_table.TcpTableRequests, arguments.map.encode())


async def _serve(factory: Callable[[], asyncio.Protocol], address: Address) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(address, UnixAddress):
        server = await loop.create_unix_server(factory, address.path, backlog=BACKLOG)
    else:
        server = await loop.create_server(factory, address.host, address.port, backlog=BACKLOG)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    sys.exit(main())
