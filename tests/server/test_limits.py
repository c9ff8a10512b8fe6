"""What clients may hold, and for how long."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.server.conftest import ask, ok, until
from vmaild.cache import Cache
from vmaild.lookup import found
from vmaild.server import settings
from vmaild.server.recent import RecentLines, RecentNetstrings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_connections_past_the_limit_are_closed_at_once_and_counted(new_site):
    site = await new_site(max_connections=2)
    first, second = await site.client(), await site.client(1)
    await first.ask(ask(b"a"), ok(b"v:a"))
    await second.ask(ask(b"a"), ok(b"v:a"))
    assert await (await site.client()).closed()
    assert await (await site.client(2)).closed()
    assert (site.server.counters.accepted, site.server.counters.refused, site.server.connections) == (2, 2, 2)
    await first.ask(ask(b"b"), ok(b"v:b"))
    await second.close()
    await until(lambda: site.server.connections == 1)
    await (await site.client()).ask(ask(b"a"), ok(b"v:a"))


async def test_pipelined_requests_past_the_limit_are_left_unread_until_there_is_room(new_site):
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


async def test_a_client_that_floods_without_reading_is_not_read_and_gets_all_in_the_end(site):
    site.lookups.learn(b"map cached", found(b"v" * 50_000))
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


async def test_an_idle_connection_is_closed_only_after_its_time(new_site, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("vmaild.server.server.TICK", 0.01)
    site = await new_site(idle_timeout=600, sweep_interval=60, clock=clock)
    idle, half, busy, waiting = [await site.client() for _ in range(4)]
    await idle.ask(ask(b"a"), ok(b"v:a"))
    half.send(ask(b"a")[:-1])
    waiting.send(ask(b"slow"))
    site.lookups.learn(b"map cached", found(b"c"))
    await until(lambda: len(site.lookups.asked) == 2)
    for _ in range(10):
        clock.now += 59.9
        await asyncio.sleep(0.03)
        await busy.ask(ask(b"cached"), ok(b"c"))
        assert site.server.connections == 4
    clock.now += 62
    assert await idle.closed()
    assert await half.closed()
    assert site.server.counters.idle_closed == 2
    await busy.ask(ask(b"a"), ok(b"v:a"))
    site.lookups.gate(b"slow").set()
    await waiting.expect(ok(b"v:slow"))


def test_no_idle_connection_is_closed_within_six_minutes():
    assert settings.IDLE_TIMEOUT >= 360


@pytest.mark.parametrize("listener", [0, 2])
async def test_small_answers_are_not_held_back_by_the_kernel(site, listener):
    client = await site.client(listener)
    await client.ask(*((ask(b"a"), ok(b"v:a")) if listener == 0 else (b"get a\n", b"200 v:a\n")))
    (connection,) = site.server._context.connections
    sock = connection._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("recent", [RecentNetstrings, lambda known: RecentLines(known, b"map")])
def test_remembered_requests_are_bounded_and_none_is_lost_by_it(monkeypatch, recent):
    monkeypatch.setattr("vmaild.server.recent.MAX_RECENT", 3)
    cache = Cache()
    remembered = recent(cache.known)
    for n in range(10):
        cache.learn(b"map %d" % n, found(b"v%d" % n))
        request = ask(b"%d" % n) if recent is RecentNetstrings else b"get %d\n" % n
        assert remembered.get(request) is None
        assert remembered.recall(request) is remembered.get(request) is cache.known(ask(b"%d" % n))
        assert len(remembered._answers) <= 3
    assert remembered.recall(b"x" * 2000) is None
