"""Start, drain and end; what becomes of the sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import FakeLookups, ask, ok, until
from vmaild.listening import InetAddress, bind_inet, bind_unix
from vmaild.server import ListenSettings, Server


def new_server(*addresses: str) -> Server:
    return Server(FakeLookups(), [ListenSettings(address) for address in addresses])


async def answers(address: InetAddress | str) -> bool:
    if isinstance(address, str):
        reader, writer = await asyncio.open_unix_connection(address)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(ask(b"a"))
    try:
        return await asyncio.wait_for(reader.readexactly(len(ok(b"v:a"))), 5) == ok(b"v:a")
    finally:
        writer.close()
        await writer.wait_closed()


async def test_it_listens_on_ipv4_ipv6_and_a_unix_socket_with_its_mode(service_home: Path) -> None:
    path = service_home / "here"
    lookups = FakeLookups()
    server = Server(
        lookups,
        [
            ListenSettings("inet:127.0.0.1:0"),
            ListenSettings("inet:[::1]:0"),
            ListenSettings(f"unix:{path}", mode=0o620, owner=str(os.getuid()), group=str(os.getgid())),
        ],
    )
    await server.start()
    for address in server.addresses[:2]:
        assert isinstance(address, InetAddress)
        assert await answers(address)
    assert await answers(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o620
    await server.close()
    assert not path.exists()


async def test_a_stale_socket_file_is_replaced_and_a_live_one_refused(service_home: Path) -> None:
    path = service_home / "stale"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    first, second = new_server(f"unix:{path}"), new_server("inet:127.0.0.1:0", f"unix:{path}")
    await first.start()
    with pytest.raises(OSError, match="another process"):
        await second.start()
    assert await answers(str(path)), "the live one stays"
    free = second.addresses[0]
    assert isinstance(free, InetAddress)
    with pytest.raises(ConnectionRefusedError):
        await answers(free)
    await first.close()


async def test_inherited_sockets_are_used_and_left_in_place(service_home: Path) -> None:
    path = service_home / "inherited"
    (inet,) = bind_inet(InetAddress("127.0.0.1", 0))
    held = inet.dup()
    unix, foreign = bind_unix(str(path)), bind_inet(InetAddress("127.0.0.1", 0))[0]
    held_unix = unix.dup()
    port = inet.getsockname()[1]
    server = new_server(f"inet:127.0.0.1:{port}", f"unix:{path}")
    inherited = [inet, unix, foreign]
    await server.start(inherited)
    assert inherited == [foreign]
    assert await answers(InetAddress("127.0.0.1", port))
    assert await answers(str(path))
    await server.close()
    assert path.exists()
    # Who holds the sockets keeps them open: a client that connects now waits for the next daemon.
    server = new_server(f"inet:127.0.0.1:{port}")
    waiting = asyncio.create_task(answers(InetAddress("127.0.0.1", port)))
    await asyncio.sleep(0.05)
    await server.start([held])
    assert await waiting
    await server.close()
    for sock in (foreign, held_unix):
        sock.close()


async def test_drain_answers_what_is_in_flight_and_closes_the_idle(site: Any) -> None:
    idle, busy, cached = await site.client(), await site.client(), await site.client(2)
    await idle.ask(ask(b"a"), ok(b"v:a"))
    busy.send(ask(b"slow") + ask(b"b"))
    await cached.ask(b"get a\n", b"200 v:a\n")
    await until(lambda: len(site.lookups.asked) == 4)
    draining = asyncio.create_task(site.server.drain(5))
    assert await idle.rest() == b""
    assert await cached.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await site.client()
    assert not site.path.exists()
    assert not draining.done()
    site.lookups.gate(b"slow").set()
    assert await busy.rest() == ok(b"v:slow") + ok(b"v:b")
    await asyncio.wait_for(draining, 5)
    assert site.server.connections == 0


async def test_drain_ends_in_bounded_time_and_says_what_it_left(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = await site.client()
    client.send(ask(b"slow"))
    await until(lambda: len(site.lookups.asked) == 1)
    await asyncio.wait_for(site.server.drain(0.1), 5)
    assert await client.closed()
    assert "unanswered" in caplog.text
    site.lookups.gate(b"slow").set()
    await until(lambda: site.server.connections == 0)


async def test_drain_without_connections_ends_at_once() -> None:
    server = new_server("inet:127.0.0.1:0")
    await server.start()
    await asyncio.wait_for(server.drain(60), 5)


async def test_hundreds_of_connections_at_once_are_all_answered(site: Any) -> None:
    clients = await asyncio.gather(*(site.client(n % 2) for n in range(400)))
    await asyncio.gather(*(client.ask(ask(b"a"), ok(b"v:a")) for client in clients))
    assert site.server.counters.accepted == 400
