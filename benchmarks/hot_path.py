"""What a cached answer costs: server CPU per lookup, next to the least that Python can do, and memory per answer.

    python -m benchmarks.hot_path [--rounds N] [--lookups N] [--connections N ...] [--memory N] [--json]

``bare`` is an ``asyncio.Protocol`` under uvloop whose ``data_received`` is ``transport.write(answers[data])`` and
nothing else: no requests in pieces, no ages, no counters. ``vmaild`` is the project's server over its cache, with
everything on. Both run at the same time as processes of their own, and a third one asks them by turns, so that
whatever else the machine does meets both. What is compared is the CPU time that the server's process used, in user
and kernel mode; each figure is the median of the rounds, the ratio the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import uvloop

from vmaild.cache import Answer, Cache, CacheSettings, Known
from vmaild.cache import reply_of as reply_from
from vmaild.lookup import NODATA, Reply, Request, found
from vmaild.server import ListenSettings, Server
from vmaild.wire import socketmap, tcp_table

KEYS = 10_000
MAP = b"virtual_mailbox_maps"
PREFIX = b"1 "
"""What the key of a record begins with in ``vmaild.maps``."""
PROTOCOLS = ("socketmap", "tcp_table")
TRANSPORTS = ("tcp", "unix")
# A million answers take more than the default, and all of them are to be weighed.
MAX_SIZE = 1 << 40
PAGE = resource.getpagesize()
# A unix connection past it is refused, not delayed, and all connect at once here.
BACKLOG = 1024


def request_of(n: int) -> Request:
    return Request(MAP, b"user%07d@domain%03d.example" % (n, n % 1000))


def reply_of(n: int) -> Reply:
    return found(b"domain%03d.example/user%07d/" % (n % 1000, n))


def codec(protocol: str) -> Any:
    return socketmap if protocol == "socketmap" else tcp_table


def filled_cache(records: int, ttl: float, others: Sequence[Known] = ()) -> Cache:
    """A cache with that many records of addresses, each with a mailbox and what the ``others`` maps know."""
    cache = Cache(CacheSettings(ttl=ttl, max_entries=records, max_size=MAX_SIZE))
    for n in range(records):
        cache.store(PREFIX + request_of(n).key, [reply_of(n).text, *others], None)
    return cache


class Cached:
    """Lookups that are all in the cache."""

    def __init__(self) -> None:
        # Nothing expires while this runs.
        self.cache = filled_cache(KEYS, ttl=3600)

    def seek(self, name: bytes, key: bytes, encode: Callable[[Reply], bytes]) -> Answer:
        record = self.cache.get(PREFIX + key)
        known = record.known[0] if record is not None else None
        if record is None or known is None:
            raise LookupError(f"{key!r} is not in the cache")
        reply = reply_from(known)
        return Answer(record, encode(reply), self.cache.tally(name.decode(), reply.status, stale=False))

    def look_up(self, wanted: object, tell: Callable[[Reply], None], peer: object = None) -> None:
        raise AssertionError("everything is in the cache")


async def start_vmaild(protocol: str, address: str) -> object:
    server = Server(Cached(), [ListenSettings(address, protocol, MAP.decode())])  # type: ignore[arg-type]
    await server.start()
    return server.addresses[0]


class Bare(asyncio.Protocol):
    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self.answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answers[data])


async def start_bare(protocol: str, address: str) -> object:
    wire = codec(protocol)
    answers = {wire.encode_request(request_of(n)): wire.encode_reply(reply_of(n)) for n in range(KEYS)}
    loop = asyncio.get_running_loop()
    if address.startswith("unix:"):
        server: Any = await loop.create_unix_server(
            lambda: Bare(answers), address.removeprefix("unix:"), backlog=BACKLOG
        )
    else:
        server = await loop.create_server(lambda: Bare(answers), "127.0.0.1", 0, backlog=BACKLOG)
    return server.sockets[0].getsockname()


def serve(pipe: Pipe, kind: str, protocol: str, address: str) -> None:
    """The server's process: says where it listens, then its CPU time whenever it is asked."""

    async def main() -> None:
        bound: Any = await (start_vmaild if kind == "vmaild" else start_bare)(protocol, address)
        pipe.send(getattr(bound, "port", None) or (bound[1] if isinstance(bound, tuple) else None))
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(pipe.fileno(), answer, done)
        await done

    def answer(done: asyncio.Future[None]) -> None:
        if pipe.recv() == "end":
            done.set_result(None)
            return
        usage = resource.getrusage(resource.RUSAGE_SELF)
        pipe.send((usage.ru_utime, usage.ru_stime))

    gc.freeze()
    uvloop.run(main())


class Asker(asyncio.Protocol):
    """Sends a request when it is told to and says when the answer is there."""

    def __init__(self, answered: Callable[[], None]) -> None:
        self.answered = answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.answered()


class Load:
    """All connections ask at the same time, and again when all have their answers.

    So the server always finds as many requests waiting as there are connections, as it does when it is the
    slower side. If each connection went on by itself, a server that is a little faster would find fewer at a
    time and pay for more system calls: the comparison would be of the client's speed.
    """

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = itertools.cycle(requests)
        self.left = 0
        self.askers: list[Asker] = []
        self.waiting = 0

    def answered(self) -> None:
        self.waiting -= 1
        if self.waiting:
            return
        if self.left <= 0:
            self.finished.set()
            return
        self.ask()

    def ask(self) -> None:
        self.waiting = len(self.askers)
        self.left -= self.waiting
        for asker, request in zip(self.askers, self.requests, strict=False):
            asker.transport.write(request)

    async def connect(self, target: str | int, connections: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            if isinstance(target, str):
                connection: Any = await loop.create_unix_connection(lambda: Asker(self.answered), target)
            else:
                connection = await loop.create_connection(lambda: Asker(self.answered), "127.0.0.1", target)
            self.askers.append(connection[1])
        await self.run(connections)

    async def run(self, lookups: int) -> float:
        self.left = lookups
        self.finished = asyncio.Event()
        started = time.monotonic()
        self.ask()
        await self.finished.wait()
        return time.monotonic() - started

    async def close(self) -> None:
        while self.askers:
            self.askers.pop().transport.close()
        await asyncio.sleep(0.05)


def load(pipe: Pipe, protocol: str) -> None:
    """The client's process: does what it is told (a method of ``Load`` and its arguments)."""
    load = Load([codec(protocol).encode_request(request_of(n * 7919 % KEYS)) for n in range(KEYS)])
    loop = uvloop.new_event_loop()
    while (order := pipe.recv()) != "end":
        pipe.send(loop.run_until_complete(getattr(load, order[0])(*order[1:])))
    loop.close()


class Child:
    def __init__(self, target: Callable[..., None], *args: object) -> None:
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=target, args=(other, *args), daemon=True)
        self.process.start()

    def ask(self, question: object) -> Any:
        self.pipe.send(question)
        return self.pipe.recv()

    def end(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send("end")
        self.process.join(10)


def measure(protocol: str, transport: str, connections: list[int], rounds: int, lookups: int) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="hot-path-") as home:
        servers = {}
        for kind in ("bare", "vmaild"):
            path = str(Path(home) / kind)
            child = Child(serve, kind, protocol, f"unix:{path}" if transport == "unix" else "inet:127.0.0.1:0")
            servers[kind] = (child, child.pipe.recv() or path)
        client = Child(load, protocol)
        try:
            for count in connections:
                rows.append(compare(servers, client, count, rounds, lookups))
                rows[-1] |= {"protocol": protocol, "transport": transport}
        finally:
            for child in (client, *(child for child, _ in servers.values())):
                child.end()
    return rows


def compare(
    servers: dict[str, tuple[Child, Any]], client: Child, connections: int, rounds: int, lookups: int
) -> dict[str, Any]:
    cpu: dict[str, list[float]] = {kind: [] for kind in servers}
    speed: dict[str, list[float]] = {kind: [] for kind in servers}
    for n in range(rounds + 1):
        order = list(servers.items())
        # Neither is always the one that comes second.
        for kind, (server, target) in order if n % 2 else reversed(order):
            client.ask(("connect", target, connections))
            before = sum(server.ask("cpu"))
            seconds = client.ask(("run", lookups))
            used = sum(server.ask("cpu")) - before
            client.ask(("close",))
            if n:  # The first round warms up.
                cpu[kind].append(used / lookups * 1e6)
                speed[kind].append(lookups / seconds)
    return {
        "connections": connections,
        "bare_us": statistics.median(cpu["bare"]),
        "vmaild_us": statistics.median(cpu["vmaild"]),
        "ratio": statistics.median(v / b for v, b in zip(cpu["vmaild"], cpu["bare"], strict=True)),
        "bare_per_second": statistics.median(speed["bare"]),
        "vmaild_per_second": statistics.median(speed["vmaild"]),
    }


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def weigh(pipe: Pipe, answers: int, others: Sequence[Known]) -> None:
    """Memory of ``answers`` answers, of addresses that have a mailbox and what the ``others`` maps know."""
    filled_cache(1000, 300, others)
    before = resident()
    cache = filled_cache(answers // (1 + len(others)), 300, others)
    pipe.send(((resident() - before) / answers, len(cache), resident()))


def memory(answers: int) -> list[dict[str, Any]]:
    """What ``answers`` answers weigh: two maps of one record each, and one map."""
    rows = []
    for others in ((NODATA,), ()):
        child = Child(weigh, answers, others)
        each, records, total = child.pipe.recv()
        child.process.join()
        rows.append(
            {
                "answers": answers,
                "records": records,
                "maps_of_a_record": 1 + len(others),
                "bytes_per_answer": each,
                "process_bytes": total,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hot_path", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--lookups", type=int, default=50_000, help="lookups in one round")
    parser.add_argument("--connections", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS)
    parser.add_argument("--transports", nargs="+", choices=TRANSPORTS, default=TRANSPORTS)
    parser.add_argument("--memory", type=int, default=1_000_000, help="answers to weigh; 0 for none")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {"python": sys.version.split()[0], "uvloop": uvloop.__version__, "cpu": []}
    for protocol in options.protocols:
        for transport in options.transports:
            rows = measure(protocol, transport, options.connections, options.rounds, options.lookups)
            result["cpu"] += rows
            if not options.json:
                print_rows(rows)
    if options.memory:
        result["memory"] = memory(options.memory)
        for row in result["memory"] if not options.json else ():
            print(
                f"{row['answers']} answers in {row['records']} records of {row['maps_of_a_record']} maps:"
                f" {row['bytes_per_answer']:.0f} bytes for each answer, process {row['process_bytes'] / 1e6:.0f} MB"
            )
    if options.json:
        print(json.dumps(result, indent=2))


def print_rows(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(
            f"{row['protocol']:9} {row['transport']:4} {row['connections']:4} connections:"
            f"  bare {row['bare_us']:5.2f} us  vmaild {row['vmaild_us']:5.2f} us  x {row['ratio']:.3f}"
            f"  ({row['bare_per_second']:.0f} and {row['vmaild_per_second']:.0f} lookups/s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
