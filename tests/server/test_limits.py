"""What clients may hold, and for how long."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tests.server.conftest import ask, ok, until
from vmaild.lookup import found
from vmaild.server import settings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_connections_past_the_limit_wait_and_are_answered_when_there_is_room(new_site: Any) -> None:
    site = await new_site(max_connections=2)
    first, second = await site.client(), await site.client(1)
    await first.ask(ask(b"a"), ok(b"v:a"))
    second.send(ask(b"slow"))
    await until(lambda: site.server.connections == 2)
    waiting = [await site.client(listener) for listener in range(4)]
    for client, question in zip(waiting, (ask(b"b"), ask(b"b"), b"get b\n", b"get b\n"), strict=True):
        client.send(question)
    await asyncio.sleep(0.3)
    assert (site.server.counters.accepted, site.server.counters.refused, site.server.connections) == (2, 0, 2)
    for client, answer in zip(waiting, (ok(b"v:b"), ok(b"v:b"), b"200 v:b\n", b"200 v:b\n"), strict=True):
        await first.close()
        await client.expect(answer)
        first = client
    site.lookups.gate(b"slow").set()
    await second.expect(ok(b"v:slow"))


async def test_who_has_been_idle_longest_gives_up_his_place_and_never_one_with_a_lookup_in_flight(
    new_site: Any,
) -> None:
    clock = Clock()
    site = await new_site(max_connections=3, clock=clock)
    busy, older, newer = [await site.client() for _ in range(3)]
    busy.send(ask(b"slow"))
    await until(lambda: len(site.lookups.asked) == 1)
    clock.now += 5
    await older.ask(ask(b"a"), ok(b"v:a"))
    clock.now += 5
    await newer.ask(ask(b"a"), ok(b"v:a"))
    clock.now += 2
    await (await site.client()).ask(ask(b"b"), ok(b"v:b"))
    assert await older.rest() == b""
    await newer.ask(ask(b"c"), ok(b"v:c"))
    site.lookups.gate(b"slow").set()
    await busy.expect(ok(b"v:slow"))
    assert site.server.counters.closed_for_room == 1


async def test_places_dripped_on_by_slow_clients_are_no_longer_theirs(new_site: Any) -> None:
    clock = Clock()
    site = await new_site(max_connections=20, clock=clock)
    slow = [await site.client(n % 2) for n in range(20)]
    for client in slow:
        client.send(ask(b"a")[:2])
    await until(lambda: len(site.server._admission.patience._incomplete) == 20)
    for drip in range(2, 5):
        clock.now += 0.5
        for client in slow:
            client.send(ask(b"a")[drip : drip + 1])
        await asyncio.sleep(0.05)
    for _ in range(30):
        clock.now += 0.01
        client = await site.client()
        await client.ask(ask(b"b"), ok(b"v:b"))
        await client.close()
    assert site.server.counters.closed_for_room >= 1


async def test_a_request_that_stays_incomplete_is_given_up_after_ten_seconds_however_it_drips(new_site: Any) -> None:
    clock = Clock()
    site = await new_site(clock=clock)
    dripping, whole, lines = await site.client(), await site.client(), await site.client(2)
    question = ask(b"a" * 30)
    dripping.send(question[:1])
    lines.send(b"get")
    whole.send(question[:5])
    await until(lambda: len(site.server._admission.patience._incomplete) == 3)
    for drip in range(1, 10):
        clock.now += 1
        dripping.send(question[drip : drip + 1])
        await asyncio.sleep(0.01)
    whole.send(question[5:] + question[:5])
    await whole.expect(ok(b"v:" + b"a" * 30))
    clock.now += 1
    assert await dripping.closed()
    assert await lines.closed()
    whole.send(question[5:])
    await whole.expect(ok(b"v:" + b"a" * 30))
    assert site.server.counters.slow_closed == 2


async def test_a_client_that_does_not_read_is_given_up_after_thirty_seconds(new_site: Any) -> None:
    clock = Clock()
    site = await new_site(clock=clock)
    site.lookups.store(b"map cached", found(b"v" * 50_000))
    client = await site.client()
    client.send(ask(b"cached") * 1000)
    await until(lambda: len(site.server._admission.patience._not_reading) == 1)
    clock.now += 29.9
    await asyncio.sleep(0.25)
    assert site.server.connections == 1
    clock.now += 0.2
    await until(lambda: site.server.connections == 0)
    assert site.server.counters.slow_closed == 1


async def test_pipelined_requests_past_the_limit_are_left_unread_until_there_is_room(new_site: Any) -> None:
    site = await new_site(max_pipelined=4)
    client = await site.client()
    keys = [b"slow%d" % n for n in range(10)]
    client.send(b"".join(map(ask, keys)))
    await until(lambda: len(site.lookups.asked) == 4)
    client.send(b"".join(ask(b"k" * 9000) for _ in range(2000)))
    await asyncio.sleep(0.2)
    assert len(site.lookups.asked) == 4
    assert client.writer.transport.get_write_buffer_size() > 8_000_000, "it stays with the client"
    site.lookups.gate(b"slow0").set()
    await client.expect(ok(b"v:slow0"))
    await until(lambda: len(site.lookups.asked) == 5)
    for key in keys:
        site.lookups.gate(key).set()
    await client.expect(b"".join(ok(b"v:" + key) for key in keys[1:]))
    await client.expect(ok(b"v:" + b"k" * 9000) * 2000)


async def test_a_client_that_floods_without_reading_is_not_read_and_gets_all_in_the_end(site: Any) -> None:
    site.lookups.store(b"map cached", found(b"v" * 50_000))
    client = await site.client()
    client.send(ask(b"cached") * 2000)
    await asyncio.sleep(0.3)
    (hits,) = [tally.hits for tally in site.lookups.cache.tallies]
    assert 0 < hits < 1500
    other = await site.client()
    await other.ask(ask(b"a"), ok(b"v:a"))
    answer = ok(b"v" * 50_000)
    for _ in range(2000):
        await client.expect(answer)
    await client.ask(ask(b"a"), ok(b"v:a"))


async def test_an_idle_connection_is_closed_only_after_its_time(new_site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("vmaild.server.server.TICK", 0.01)
    site = await new_site(idle_timeout=600, sweep_interval=60, clock=clock)
    idle, other, busy, waiting = [await site.client() for _ in range(4)]
    await idle.ask(ask(b"a"), ok(b"v:a"))
    await other.ask(ask(b"a"), ok(b"v:a"))
    waiting.send(ask(b"slow"))
    site.lookups.store(b"map cached", found(b"c"))
    await until(lambda: len(site.lookups.asked) == 3)
    for _ in range(10):
        clock.now += 59.9
        await asyncio.sleep(0.03)
        await busy.ask(ask(b"cached"), ok(b"c"))
        assert site.server.connections == 4
    clock.now += 62
    assert await idle.closed()
    assert await other.closed()
    assert site.server.counters.idle_closed == 2
    await busy.ask(ask(b"a"), ok(b"v:a"))
    site.lookups.gate(b"slow").set()
    await waiting.expect(ok(b"v:slow"))


async def test_many_idle_connections_are_closed_a_few_in_each_turn(
    new_site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("vmaild.server.server.CLOSED_IN_A_TURN", 3)
    monkeypatch.setattr("vmaild.server.server.TICK", 0.01)
    site = await new_site(idle_timeout=600, sweep_interval=60, clock=clock)
    clients = [await site.client() for _ in range(10)]
    await until(lambda: site.server.connections == 10)
    before = []
    site.server._sweep = lambda sweep=site.server._sweep: (sweep(), before.append(site.server.counters.idle_closed))  # type: ignore[func-returns-value]
    clock.now += 700
    for client in clients:
        assert await client.closed()
    assert before[:4] == [3, 6, 9, 10]


def test_no_idle_connection_is_closed_within_six_minutes() -> None:
    assert settings.IDLE_TIMEOUT >= 360


@pytest.mark.parametrize("listener", [0, 2])
async def test_small_answers_are_not_held_back_by_the_kernel(site: Any, listener: int) -> None:
    client = await site.client(listener)
    await client.ask(*((ask(b"a"), ok(b"v:a")) if listener == 0 else (b"get a\n", b"200 v:a\n")))
    (connection,) = site.server._context.connections
    sock = connection._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
