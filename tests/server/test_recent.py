"""What the hot path remembers: bounded, forgotten by a flush, and never an answer that no longer serves."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import ask, ok, until
from tests.server.paper import PaperTransport
from vmaild.cache import NEVER, Answer, Cache
from vmaild.config import load
from vmaild.daemon import Daemon
from vmaild.lookup import NODATA, NOT_FOUND, Status, found
from vmaild.server import recent as module
from vmaild.server.recent import MAX_SIZE, OVERHEAD, Recent
from vmaild.wire import socketmap


@pytest.fixture
def cache() -> Cache:
    return Cache()


def answer(cache: Cache, value: bytes = b"value") -> Answer:
    record = cache.store(b"0 key", [value], None)
    return Answer(record, socketmap.encode_reply(found(value)), cache.tally("map", Status.FOUND, stale=False))


def held(recent: Recent) -> int:
    """Bytes of what is remembered, counted one by one."""
    return sum(len(data) + len(answer.wire) + OVERHEAD for data, answer in recent._answers.items())


def test_a_request_is_found_by_its_very_bytes(cache: Cache) -> None:
    recent = Recent()
    known = answer(cache)
    recent.remember(ask(b"key"), known)
    assert recent.get(ask(b"key")) is known
    assert recent.get(ask(b"KEY")) is None


def test_what_is_remembered_is_bounded_in_bytes(cache: Cache) -> None:
    recent = Recent(5000)
    known = answer(cache)
    most = 0
    for number in range(1000):
        data = ask(b"key%d" % number)
        recent.remember(data, known)
        assert recent.get(data) is known, "the latest is always there"
        assert held(recent) <= 5000
        most = max(most, held(recent))
    assert most > 4000


def test_a_request_that_is_remembered_again_is_counted_once(cache: Cache) -> None:
    recent = Recent(5000)
    recent.remember(ask(b"other"), answer(cache))
    for number in range(1000):
        latest = answer(cache, b"v" * (number % 100 + 1))
        recent.remember(ask(b"key"), latest)
    assert recent.get(ask(b"key")) is latest
    assert recent.get(ask(b"other")) is not None, "a renewed answer pushes out nothing"
    assert recent._bytes == held(recent)


def test_a_long_request_or_reply_is_not_remembered(cache: Cache) -> None:
    recent = Recent()
    recent.remember(ask(b"k" * MAX_SIZE), answer(cache))
    recent.remember(ask(b"key"), answer(cache, b"v" * MAX_SIZE))
    assert not recent._answers
    assert recent._bytes == 0


def test_an_answer_of_a_record_that_has_gone_meanwhile_never_serves(cache: Cache) -> None:
    recent, late = Recent(), answer(cache)
    cache.forget(b"0 key")
    recent.remember(ask(b"key"), late)
    assert late.refresh_at == late.record.lease == NEVER


def test_clearing_forgets_all(cache: Cache) -> None:
    recent = Recent()
    recent.remember(ask(b"key"), answer(cache))
    get = recent.get
    recent.clear()
    assert get(ask(b"key")) is None
    recent.remember(ask(b"key"), answer(cache))
    assert get(ask(b"key")) is not None, "the hot path holds the same get"
    assert recent._bytes == held(recent)


@pytest.mark.parametrize("listener", [0, 2])
async def test_the_server_forgets_what_every_listener_remembers(site: Any, listener: int) -> None:
    question = ask(b"cached") if listener == 0 else b"get cached\n"
    expected = ok(b"v:cached") if listener == 0 else b"200 v:cached\n"
    client = await site.client(listener)
    for _ in range(3):
        await client.ask(question, expected)
    recents = site.server._context.recents
    assert sum(len(recent._answers) for recent in recents) == 1
    site.server.forget_recent()
    assert not any(recent._answers for recent in recents)
    await client.ask(question, expected)
    assert site.lookups.sought == 3


async def test_a_flushed_answer_is_not_given_on_the_hot_path(site: Any) -> None:
    client = await site.client()
    for _ in range(3):
        await client.ask(ask(b"cached"), ok(b"v:cached"))
    site.lookups.cache.forget(b"map cached")
    site.lookups.replies[b"cached"] = NOT_FOUND
    await client.ask(ask(b"cached"), b"9:NOTFOUND ,")


async def test_a_stale_answer_is_given_and_not_remembered(site: Any) -> None:
    record = site.lookups.store(b"map cached", found(b"old"))
    now = site.lookups.cache.clock()
    record.refresh_at = record.expires_at = now - 1
    record.retry_at = now + 3600
    client = await site.client()
    for asked in range(1, 4):
        await client.ask(ask(b"cached"), ok(b"old"))
        assert site.lookups.sought == asked
    assert not any(recent._answers for recent in site.server._context.recents)
    (tally,) = site.lookups.cache.tallies
    assert (tally.stale, tally.hits) == (True, 3)


async def test_an_answer_that_came_in_pieces_or_with_others_is_not_remembered(site: Any) -> None:
    site.lookups.store(b"map cached", found(b"c"))
    client = await site.client()
    await client.ask(ask(b"cached") * 2, ok(b"c") * 2)
    await until(lambda: site.server.counters.pipelined == 2)
    assert not any(recent._answers for recent in site.server._context.recents)


async def test_flushing_the_daemon_forgets_what_is_remembered_of_every_listener(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.write_text(
        'preset = "courier"\n[directory]\nuri = "ldap://127.0.0.1:1"\nsearch_base = "o=x"\n'
        '[[listen]]\naddress = "inet:127.0.0.1:0"\n'
        '[[listen]]\naddress = "inet:127.0.0.1:0"\nprotocol = "tcp_table"\nmap = "virtual_mailbox_maps"\n'
    )
    config = load(path, {})
    daemon = Daemon(config, {})
    name, key = b"virtual_mailbox_maps", b"user@domain.example"
    record = daemon.cache.store(
        daemon.maps._maps[name].prefix + key, [b"domain.example/user/", NODATA, NOT_FOUND], None
    )
    questions = [ask(key, name), b"get %b\n" % key]
    await daemon.server.start()
    for listener, question in zip(daemon.server._listeners, questions, strict=True):
        connection, transport = listener._factory(daemon.server._context)(), PaperTransport()
        connection.connection_made(transport)
        for _ in range(2):
            connection.data_received(question)
        assert transport.sent.count(b"domain.example/user/") == 2
    recents = daemon.server._context.recents
    assert [recent.get(question) is not None for recent, question in zip(recents, questions, strict=True)] == [True] * 2
    assert daemon.flush(name, b"other@domain.example") == 0
    assert not any(recent._answers for recent in recents)
    assert not record.retired
    assert daemon.flush(None, None) == 1
    assert record.retired
    await daemon.server.close()


def test_a_listener_remembers_no_more_than_it_may(cache: Cache) -> None:
    recent = Recent(3000)
    for number in range(100):
        recent.remember(ask(b"key%d" % number), answer(cache))
        assert 0 < recent.size == held(recent) <= 3000


async def test_what_is_forgotten_is_freed_a_part_at_a_time(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 10)
    recent = Recent()
    known = answer(cache)
    before = sys.getrefcount(known)
    for number in range(35):
        recent.remember(ask(b"key%d" % number), known)
    recent.clear()
    assert not recent._answers
    left: list[Any] = []
    while not left or left[-1]:
        left.append(sys.getrefcount(known) - before)
        await asyncio.sleep(0)
    assert left == [25, 15, 5, 0]


async def test_a_missing_canary_takes_not_found_back_on_the_hot_path_too(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.write_text(
        'preset = "courier"\n[directory]\nuri = "ldap://127.0.0.1:1"\nsearch_base = "o=x"\n'
        '[[listen]]\naddress = "inet:127.0.0.1:0"\n'
    )
    config = load(path, {})
    daemon = Daemon(config, {})
    name, key = b"virtual_mailbox_maps", b"user@domain.example"
    prefix = daemon.maps._maps[name].prefix
    for number in range(5000):
        daemon.cache.store(prefix + b"%d@domain.example" % number, [NOT_FOUND] * 3, None)
    record = daemon.cache.store(prefix + key, [NOT_FOUND] * 3, None)
    await daemon.server.start()
    (listener,) = daemon.server._listeners
    connection, transport = listener._factory(daemon.server._context)(), PaperTransport()
    connection.connection_made(transport)
    connection.data_received(ask(key, name))
    assert transport.sent == b"9:NOTFOUND ,"
    recent = listener.recent
    assert recent.get(ask(key, name)) is not None
    daemon.maps._forget_not_found(name.decode())
    assert recent.get(ask(key, name)) is None
    assert daemon.cache.get(prefix + key) is None
    assert record.retired
    await daemon.server.close()
