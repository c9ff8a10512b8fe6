"""Other listen tables taken over while serving."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.maps.fake_directory import FakeDirectory
from tests.server.conftest import Client, FakeLookups, ask, ok, until
from vmaild.cache import Cache
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.directory import Ended
from vmaild.listening import InetAddress
from vmaild.listening.access import Access
from vmaild.lookup import Search
from vmaild.maps import Limits, Maps
from vmaild.server import ListenSettings, Server
from vmaild.server.context import Lookups

TCP = ListenSettings("inet:127.0.0.1:0", protocol="tcp_table", map="one")


async def follow(server: Server, *listens: ListenSettings, lookups: Lookups | None = None) -> None:
    change = await server.plan(listens, [])
    await server.follow(change, lookups or FakeLookups(), 100)


@pytest.fixture
async def connect() -> AsyncIterator[Any]:
    """Connects to a server's address with that number; whatever is open at the end is closed."""
    clients = []

    async def connect_to(server: Server, number: int = 0) -> Client:
        address = server.addresses[number]
        assert isinstance(address, InetAddress)
        clients.append(Client(*await asyncio.open_connection(address.host, address.port)))
        return clients[-1]

    yield connect_to
    for client in clients:
        client.writer.close()
        with contextlib.suppress(ConnectionError):
            await client.writer.wait_closed()


async def test_other_lookups_answer_on_connections_that_stay(connect: Any) -> None:
    listen = ListenSettings("inet:127.0.0.1:0")
    server = Server(FakeLookups(), [listen])
    await server.start()
    client = await connect(server)
    await client.ask(ask(b"a"), ok(b"v:a"))
    before = server.addresses
    lookups = FakeLookups()
    await follow(server, listen, lookups=lookups)
    assert server.addresses == before
    await client.ask(ask(b"b"), ok(b"v:b"))
    assert [request.key for request in lookups.asked] == [b"b"]
    await server.close()


class HeldDirectory(FakeDirectory):
    """Answers nothing before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Search, float, Callable[[Ended], None]]] | None = []

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> None:
        if self.held is None:
            super().begin(search, end, done)
        else:
            self.held.append((search, end, done))

    def let_go(self) -> None:
        held, self.held = self.held or [], None
        for search, end, done in held:
            super().begin(search, end, done)


async def test_what_waits_for_the_old_directory_is_answered_and_so_is_what_comes_next(connect: Any) -> None:
    query = {"query_filter": "(mail=%s)", "result_attribute": ["mailbox"], "search_base": "o=x"}
    groups = read_maps("", {"one": query}, Common("o=x"), Problems("test")).groups
    cache, limits = Cache(), Limits(2, 100, 100)
    first, second = HeldDirectory(), HeldDirectory()
    old = Maps(groups, cache, first, timeout=10.0, limits=limits)
    listen = ListenSettings("inet:127.0.0.1:0")
    server = Server(old, [listen])
    await server.start()
    client = await connect(server)
    client.send(b"".join(ask(b"old%d@d.example" % number, b"one") for number in range(10)))
    await until(lambda: old.in_flight == 10)
    assert len(first.held or ()) == 2, "the others wait for their turn"
    new = Maps(groups, cache, second, timeout=10.0, limits=limits, before=old)
    new.take_over(old)
    await follow(server, listen, lookups=new)
    client.send(b"".join(ask(b"new%d@d.example" % number, b"one") for number in range(10)))
    await until(lambda: new.in_flight == 10)
    assert len(second.held or ()) == 2
    second.let_go()
    first.let_go()
    await client.expect(b"9:NOTFOUND ," * 20)
    assert (old.in_flight, new.in_flight) == (0, 0)
    await server.close()


async def test_a_listener_of_another_map_answers_what_it_was_asked_and_then_ends_its_connections(connect: Any) -> None:
    lookups = FakeLookups()
    server = Server(lookups, [TCP])
    await server.start()
    old = await connect(server)
    old.send(b"get slow\n")
    await until(lambda: lookups.asked)  # type: ignore[return-value]
    after = FakeLookups()
    await follow(server, replace(TCP, map="two"), lookups=after)
    lookups.gate(b"slow").set()
    assert await old.rest() == b"200 v:slow\n"
    new = await connect(server)
    await new.ask(b"get x\n", b"200 v:x\n")
    assert after.asked[-1].map_name == b"two"
    await server.close()


async def test_mode_and_access_follow(service_home: Path) -> None:
    path = service_home / "followed"
    listen = ListenSettings(f"unix:{path}", mode=0o600)
    server = Server(FakeLookups(), [listen])
    await server.start()
    await follow(server, replace(listen, mode=0o660, access=Access(uids=frozenset({12345}))))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    await follow(server)
    assert not path.exists()
    await server.close()


async def test_a_plan_that_cannot_be_leaves_all_as_it_was(service_home: Path, connect: Any) -> None:
    listen = ListenSettings("inet:127.0.0.1:0")
    server = Server(FakeLookups(), [listen])
    await server.start()
    fresh = service_home / "fresh"
    with pytest.raises(OSError, match="nowhere"):
        await server.plan([ListenSettings(f"unix:{fresh}"), ListenSettings(f"unix:{service_home}/nowhere/x")], [])
    assert not fresh.exists()
    client = await connect(server)
    await client.ask(ask(b"a"), ok(b"v:a"))
    await server.close()


async def test_of_two_listeners_on_any_port_one_may_go(connect: Any) -> None:
    listen = ListenSettings("inet:127.0.0.1:0")
    server = Server(FakeLookups(), [listen, listen])
    await server.start()
    staying, going = await connect(server), await connect(server, 1)
    for client in (staying, going):
        await client.ask(ask(b"a"), ok(b"v:a"))
    await follow(server, listen)
    assert await going.closed()
    await staying.ask(ask(b"a"), ok(b"v:a"))
    assert len(server.addresses) == 1
    await server.close()
