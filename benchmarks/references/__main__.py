"""``python -m benchmarks.references``: run one of the reference servers until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uvloop

from benchmarks import references
from benchmarks.expectation import read_lines
from benchmarks.protocols import CODECS
from benchmarks.references.relay import Relay
from benchmarks.references.servers import DictServer, EchoServer, Requests, Table
from vmaild.listening import Address, InetAddress, UnixAddress, parse_address
from vmaild.wire import socketmap, tcp_table

BACKLOG = 1024
"""Postfix opens all its connections at once after a reload; the kernel caps this at net.core.somaxconn."""


def main() -> int:
    """Serve; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.references", description=references.__doc__)
    parser.add_argument("server", choices=("echo", "dict", "relay"))
    parser.add_argument("address", type=parse_address)
    parser.add_argument("--table", type=Path, help="expectation file with the answers")
    parser.add_argument("--protocol", choices=("socketmap", "tcp_table"), default="socketmap")
    parser.add_argument("--map", default="virtual_mailbox_maps", help="the map of a tcp_table listener")
    parser.add_argument("--to", type=parse_address, help="the server behind the relay, inet:HOST:PORT")
    parser.add_argument("--delay", type=float, default=0.1, help="of the relay, seconds (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.server == "dict" and arguments.table is None:
        parser.error("dict needs --table")
    if arguments.server == "relay" and not isinstance(arguments.to, InetAddress):
        parser.error("relay needs --to inet:HOST:PORT")
    factory: Callable[[], asyncio.Protocol] = EchoServer
    if arguments.server == "dict":
        factory = partial(DictServer, _table(arguments), _requests(arguments))
    if arguments.server == "relay":
        factory = partial(Relay, arguments.to.host, arguments.to.port, arguments.delay)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(factory, arguments.address))
    return 0


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
    # Whoever started the server waits for this line.
    print(f"listening on {address}", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    sys.exit(main())
