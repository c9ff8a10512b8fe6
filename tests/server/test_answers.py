"""What clients get: each request answered, in order, whatever comes before, after or instead of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.server.conftest import ask, ok, until
from vmaild.lookup import NOT_FOUND, Request, Status, found, permanent, temporary

SOCKETMAP = [pytest.param(0, id="tcp"), pytest.param(1, id="unix")]
TCP_TABLE = [pytest.param(2, id="tcp"), pytest.param(3, id="unix")]


def get(key: bytes) -> bytes:
    return b"get %b\n" % key


def ok_line(value: bytes) -> bytes:
    return b"200 %b\n" % value


EITHER = [pytest.param(0, ask, ok, id="socketmap"), pytest.param(2, get, ok_line, id="tcp_table")]


@pytest.mark.parametrize("listener", SOCKETMAP)
async def test_socketmap_answers_each_kind_of_reply(site: Any, listener: Any) -> None:
    site.lookups.replies = {b"n": NOT_FOUND, b"t": temporary("try later"), b"p": permanent("unknown map")}
    client = await site.client(listener)
    await client.ask(ask(b"user@Domain"), ok(b"v:user@Domain"))
    await client.ask(ask(b"n"), b"9:NOTFOUND ,")
    await client.ask(ask(b"t"), b"14:TEMP try later,")
    await client.ask(ask(b"p"), b"16:PERM unknown map,")
    assert site.lookups.asked[0] == Request(b"map", b"user@Domain")


@pytest.mark.parametrize("listener", TCP_TABLE)
async def test_tcp_table_answers_each_kind_of_reply(site: Any, listener: Any) -> None:
    site.lookups.replies = {b"n": NOT_FOUND, b"t": temporary("try later"), b"p": permanent("unknown map")}
    client = await site.client(listener)
    await client.ask(b"get a%20b\n", b"200 v:a%20b\n")
    await client.ask(b"get n\n", b"500 not%20found\n")
    await client.ask(b"get t\n", b"400 try%20later\n")
    await client.ask(b"get p\n", b"400 unknown%20map\n")
    assert site.lookups.asked[0] == Request(b"Map", b"a b")


async def test_put_is_rejected_and_the_connection_goes_on(site: Any) -> None:
    client = await site.client(2)
    await client.ask(b"put a b\nget a\n", b"500 the%20table%20is%20read-only\n200 v:a\n")


@pytest.mark.parametrize(("listener", "question", "answer"), EITHER)
async def test_a_cached_answer_is_given_without_a_lookup(site: Any, listener: Any, question: Any, answer: Any) -> None:
    client = await site.client(listener)
    for _ in range(5):
        await client.ask(question(b"cached@d.example"), answer(b"v:cached@d.example"))
    assert len(site.lookups.asked) == 1
    (tally,) = site.lookups.cache.tallies
    assert (tally.map_name, tally.status, tally.stale, tally.hits) == ("map", Status.FOUND, False, 4)
    assert site.lookups.sought == 2, "on the hot path from the third on"


@pytest.mark.parametrize(("listener", "question", "answer"), EITHER)
async def test_letter_case_makes_no_difference_to_a_cached_answer(
    site: Any, listener: Any, question: Any, answer: Any
) -> None:
    client = await site.client(listener)
    await client.ask(question(b"cached@d.example"), answer(b"v:cached@d.example"))
    for _ in range(2):
        await client.ask(question(b"Cached@D.Example"), answer(b"v:cached@d.example"))
    assert len(site.lookups.asked) == 1
    assert site.lookups.sought == 2, "each spelling is remembered"


async def test_both_protocols_share_the_cache(site: Any) -> None:
    socketmap, tcp_table = await site.client(0), await site.client(2)
    await socketmap.ask(ask(b"cached", b"MAP"), ok(b"v:cached"))
    await tcp_table.ask(b"get cached\n", b"200 v:cached\n")
    await tcp_table.ask(b"get %43ached\n", b"200 v:cached\n")
    assert len(site.lookups.asked) == 1


@pytest.mark.parametrize(("listener", "question", "answer"), EITHER)
async def test_a_cached_answer_that_changes_is_given_anew(site: Any, listener: Any, question: Any, answer: Any) -> None:
    client = await site.client(listener)
    key = b"cached@d.example"
    await client.ask(question(key), answer(b"v:" + key))
    await client.ask(question(key), answer(b"v:" + key))
    for value in (b"first", b"second"):
        site.lookups.store(b"map " + key, NOT_FOUND)
        site.lookups.store(b"map " + key, found(value))
        for _ in range(2):
            await client.ask(question(key), answer(value))
    assert site.lookups.sought == 4, "on the hot path again after the first"
    site.lookups.cache.forget_all()
    await client.ask(question(key), answer(b"v:" + key))
    assert len(site.lookups.asked) == 2


@pytest.mark.parametrize(("listener", "question", "answer"), EITHER)
async def test_an_answer_past_its_time_is_looked_up(site: Any, listener: Any, question: Any, answer: Any) -> None:
    client = await site.client(listener)
    for end in (-1.0, 60.0):
        record = site.lookups.store(b"map cached", found(b"known"))
        await client.ask(question(b"cached"), answer(b"known"))
        record.refresh_at = time.monotonic() + end
        expected = answer(b"v:cached") if end < 0 else answer(b"known")
        await client.ask(question(b"cached"), expected)
        record = site.lookups.store(b"map cached", found(b"known"))
        record.refresh_at = time.monotonic() + end
        await client.ask(question(b"cached") * 2, expected * 2)


async def test_a_segment_that_looks_like_a_cached_request_may_be_the_rest_of_another(site: Any) -> None:
    site.lookups.store(b"map cached", found(b"known"))
    client, inner = await site.client(), ask(b"cached")
    whole = ask(b"outer " + inner)
    client.send(whole[: -len(inner) - 1])
    await client.writer.drain()
    await until(lambda: bool(site.server._context.connections))
    await asyncio.sleep(0.05)
    client.send(inner)
    await asyncio.sleep(0.05)
    client.send(b",")
    await client.expect(ok(b"v:outer " + inner))


@pytest.mark.parametrize(("listener", "question", "answer"), EITHER)
async def test_a_value_stored_for_a_key_does_not_answer_bytes_that_only_look_like_it(
    site: Any, listener: Any, question: Any, answer: Any
) -> None:
    # Keys that, written raw into a line or a segment, would read as something else.
    for key in (b"a\nget b", b"a b", b"a%20b", b"a\n", b"a,5:map b", b""):
        site.lookups.store(b"map " + key, found(b"wrong"))
    client = await site.client(listener)
    await client.ask(question(b"a") + question(b"b"), answer(b"v:a") + answer(b"v:b"))
    if listener == 2:
        await client.ask(b"get a%20b\nget a%2520b\n", b"200 wrong\n200 wrong\n")
        client.send(b"get a b\n")
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "command", [b"put cached\n", b"xget cached\n", b"get cached", b"get cached\n\n", b"get cached\r"]
)
async def test_only_the_exact_line_gets_the_cached_answer(site: Any, command: bytes) -> None:
    site.lookups.store(b"map cached", found(b"value"))
    client = await site.client(2)
    await client.ask(b"get cached\n", b"200 value\n")
    client.send(command)
    client.writer.write_eof()
    rest = {b"put cached\n": b"500 the%20table%20is%20read-only\n", b"get cached\n\n": b"200 value\n"}
    assert await client.rest() == rest.get(command, b"")


@pytest.mark.parametrize(("listener", "question", "answer"), EITHER)
async def test_requests_in_one_segment_are_all_answered_in_order(
    site: Any, listener: Any, question: Any, answer: Any
) -> None:
    client = await site.client(listener)
    keys = [b"k%d" % n if n % 3 else b"cached%d" % (n % 2) for n in range(200)]
    await client.ask(b"".join(map(question, keys)), b"".join(answer(b"v:" + key) for key in keys))


@pytest.mark.parametrize(("listener", "question", "answer"), EITHER)
async def test_a_request_byte_by_byte_is_answered(site: Any, listener: Any, question: Any, answer: Any) -> None:
    client = await site.client(listener)
    for byte in question(b"key"):
        client.send(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    await client.expect(answer(b"v:key"))


@pytest.mark.parametrize(("listener", "question", "answer"), EITHER)
async def test_a_cached_answer_waits_for_the_slow_one_asked_before_it(
    site: Any, listener: Any, question: Any, answer: Any
) -> None:
    client = await site.client(listener)
    await client.ask(question(b"cached"), answer(b"v:cached"))
    client.send(question(b"slow"))
    await until(lambda: len(site.lookups.asked) == 2)
    client.send(question(b"cached"))
    await until(lambda: site.server.counters.pipelined == 1)
    client.send(question(b"quick"))
    await until(lambda: len(site.lookups.asked) == 3)
    site.lookups.gate(b"slow").set()
    await client.expect(answer(b"v:slow") + answer(b"v:cached") + answer(b"v:quick"))
    await client.ask(question(b"cached"), answer(b"v:cached"))


async def test_a_slow_lookup_does_not_hold_up_other_connections(site: Any) -> None:
    slow, quick = await site.client(), await site.client()
    slow.send(ask(b"slow"))
    await until(lambda: len(site.lookups.asked) == 1)
    await quick.ask(ask(b"quick"), ok(b"v:quick"))
    site.lookups.gate(b"slow").set()
    await slow.expect(ok(b"v:slow"))


@pytest.mark.parametrize("size", [255, 1024, 9000])
async def test_long_keys_are_answered_cached_or_not(site: Any, size: int) -> None:
    client, key = await site.client(), b"cached" + b"k" * size
    for _ in range(2):
        await client.ask(ask(key), ok(b"v:" + key))
    assert len(site.lookups.asked) == 1


async def test_a_reply_of_the_largest_size_arrives_whole(site: Any) -> None:
    value = b"v" * 99_997
    site.lookups.replies[b"cached"] = found(value)
    client = await site.client()
    for _ in range(2):
        await client.ask(ask(b"cached"), b"100000:OK " + value + b",")


async def test_a_value_too_long_for_tcp_table_is_400_cached_or_not(site: Any) -> None:
    site.lookups.replies[b"cached"] = found(b"v" * 4092)
    client = await site.client(2)
    for _ in range(2):
        await client.ask(b"get cached\n", b"400 the%20value%20is%20too%20long%20for%20tcp_table\n")


@pytest.mark.parametrize(("listener", "question", "answer"), EITHER)
async def test_a_client_that_says_it_is_done_gets_its_answers_first(
    site: Any, listener: Any, question: Any, answer: Any
) -> None:
    client = await site.client(listener)
    client.send(question(b"a") + question(b"slow") + question(b"b"))
    client.writer.write_eof()
    await until(lambda: len(site.lookups.asked) == 3)
    site.lookups.gate(b"slow").set()
    assert await client.rest() == answer(b"v:a") + answer(b"v:slow") + answer(b"v:b")


MALFORMED = [
    pytest.param(0, ask, ok, b"hello", id="socketmap"),
    pytest.param(0, ask, ok, b"3:map,", id="socketmap without space"),
    pytest.param(0, ask, ok, b"7:map key;", id="socketmap terminator"),
    pytest.param(0, ask, ok, b"10257:", id="socketmap too long"),
    pytest.param(2, get, ok_line, b"GET / HTTP/1.1\r\n", id="tcp_table command"),
    pytest.param(2, get, ok_line, b"get %4\n", id="tcp_table quoting"),
    pytest.param(2, get, ok_line, b"x" * 30_005, id="tcp_table too long"),
]


@pytest.mark.parametrize(("listener", "question", "answer", "bad"), MALFORMED)
async def test_malformed_input_ends_that_connection_after_the_answers_due(
    site: Any, listener: Any, question: Any, answer: Any, bad: Any
) -> None:
    client, other = await site.client(listener), await site.client(listener)
    client.send(question(b"a") + question(b"slow") + question(b"b") + bad + question(b"never"))
    await until(lambda: len(site.lookups.asked) == 3)
    await other.ask(question(b"x"), answer(b"v:x"))
    site.lookups.gate(b"slow").set()
    assert await client.rest() == answer(b"v:a") + answer(b"v:slow") + answer(b"v:b")
    await other.ask(question(b"y"), answer(b"v:y"))
    assert site.server.counters.protocol_errors == 1
    assert b"never" not in {request.key for request in site.lookups.asked}


async def test_malformed_input_is_logged_now_and_then_and_always_counted(
    site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        client = await site.client()
        client.send(b"hello")
        assert await client.rest() == b""
    assert site.server.counters.protocol_errors == 5
    assert len(caplog.records) == 1
    assert "not a number" in caplog.text
    assert "hello" not in caplog.text


async def test_malformed_input_on_a_quiet_connection_closes_it_without_a_word(site: Any) -> None:
    client = await site.client()
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert await client.rest() == b""


async def test_a_client_that_vanishes_does_not_stop_its_search(site: Any) -> None:
    client = await site.client()
    client.send(ask(b"slow1") + ask(b"slow2"))
    await until(lambda: len(site.lookups.asked) == 2)
    client.reset()
    await asyncio.sleep(0.05)
    assert site.server.connections == 1, "it keeps its place until its lookups end"
    site.lookups.gate(b"slow1").set()
    site.lookups.gate(b"slow2").set()
    await until(lambda: site.server.connections == 0)
    await (await site.client()).ask(ask(b"next"), ok(b"v:next"))


async def test_nothing_is_sent_that_nobody_asked_for(site: Any) -> None:
    client = await site.client()
    await client.ask(ask(b"a"), ok(b"v:a"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.read(1), 0.2)


async def test_cached_answers_are_timed_by_sample_and_lookups_each(site: Any) -> None:
    client = await site.client()
    await client.ask(ask(b"cached"), ok(b"v:cached"))

    async def sampled() -> bool:
        await client.ask(ask(b"cached"), ok(b"v:cached"))
        await asyncio.sleep(0.02)
        return sum(site.server.cached_latency.counts) > 0  # type: ignore[no-any-return]

    async with asyncio.timeout(10):
        while not await sampled():
            pass
    assert sum(site.server.lookup_latency.counts) == 1
    assert site.server.cached_latency.total > 0
