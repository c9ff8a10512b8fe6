"""Reference servers, each as short as it can be: ``python -m benchmarks.site.references SERVER ADDRESS``.

``echo`` sends back what came. ``bare`` answers from the expectation file ``--table`` by the request's bytes and does
nothing else, the least that a server of lookups in Python can do: it knows no requests in pieces and no others.
``dict`` knows them, and says "not found" to what is not in the table. ``relay`` holds back what comes from the server
at ``--to``, which must run, for ``--delay`` seconds: a slow directory, made of a fast one.
"""

import argparse
import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from benchmarks.load.loop import run_in_uvloop
from benchmarks.load.questions import CODECS, read_lines
from vmaild.listening import LISTEN_BACKLOG, Address, InetAddress, bind, parse_address
from vmaild.lookup import NOT_FOUND, Request
from vmaild.wire.reader import Reader
from vmaild.wire.socketmap import SocketmapRequests
from vmaild.wire.tcp_table import TcpTableRequests


class EchoServer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        self._write(data)


class BareServer(EchoServer):
    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers

    def data_received(self, data: bytes) -> None:
        self._write(self._answers[data])


class DictServer(EchoServer):
    """Answers with the replies by the bytes of their requests; ``requests`` tells when another request is whole."""

    def __init__(self, replies: dict[bytes, bytes], not_found: bytes, requests: Callable[[], Reader[Any]]) -> None:
        self._known, self._not_found, self._requests = replies.get, not_found, requests
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        reply = self._known(data)
        if reply is None:
            requests = self._requests()
            requests.feed(data)
            reply = self._not_found if requests.next() is not None else b""
        self._rest = b"" if reply else data
        self._write(reply)


async def relay(to: InetAddress, delay: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    later = partial(asyncio.get_running_loop().call_later, delay)
    upstream, request_writer = await asyncio.open_connection(to.host, to.port)

    async def back() -> None:
        while data := await upstream.read(65536):
            later(writer.write, data)
        later(writer.close)

    answers = asyncio.create_task(back())
    while data := await reader.read(65536):
        request_writer.write(data)
    request_writer.close()
    await answers


def _factory(arguments: argparse.Namespace) -> Callable[[], asyncio.Protocol]:
    if arguments.server == "echo":
        return EchoServer
    if arguments.server == "relay":
        handle = partial(relay, arguments.to, arguments.delay)
        return lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(), handle)
    socketmaps, name = arguments.protocol == "socketmap", arguments.map.encode()
    codec = CODECS[arguments.protocol]
    replies: dict[bytes, bytes] = {}
    for map_name, key, expected in read_lines(arguments.table):
        if socketmaps or map_name == name:
            replies[codec.encode_request(Request(map_name, key))] = codec.encode_reply(expected)
    if arguments.server == "bare":
        return partial(BareServer, replies)
    requests = SocketmapRequests if socketmaps else partial(TcpTableRequests, name)
    return partial(DictServer, replies, codec.encode_reply(NOT_FOUND), requests)


async def _serve(factory: Callable[[], asyncio.Protocol], address: Address) -> None:
    (listening,) = bind(address)
    server = await asyncio.get_running_loop().create_server(factory, sock=listening, backlog=LISTEN_BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site.references", description=__doc__)
    parser.add_argument("server", choices=("echo", "bare", "dict", "relay"))
    parser.add_argument("address", type=parse_address)
    parser.add_argument("--table", type=Path, help="expectation file with the answers")
    parser.add_argument("--protocol", choices=("socketmap", "tcp_table"), default="socketmap")
    parser.add_argument("--map", default="virtual_mailbox_maps", help="the map of a tcp_table listener")
    parser.add_argument("--to", type=parse_address, help="the server behind the relay, inet:HOST:PORT")
    parser.add_argument("--delay", type=float, default=0.1, help="of the relay, seconds (default: %(default)s)")
    given = parser.parse_args()
    run_in_uvloop(_serve(_factory(given), given.address))
