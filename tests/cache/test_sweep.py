"""Many records are forgotten: at once for every reader, and a few in a turn of the loop."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from vmaild.cache import Cache, CacheSettings, Record
from vmaild.cache.sweep import GENERATIONS, SLICE
from vmaild.lookup import NOT_FOUND

OLD = b"old"
MANY = 5 * SLICE


def filled(count: int = MANY, **settings: int) -> Cache:
    cache = Cache(CacheSettings(**settings), clock=asyncio.get_running_loop().time)
    for n in range(count):
        cache.store(b"%d %d" % (n % 2, n), [OLD, NOT_FOUND], None)
    return cache


def numbers(cache: Cache) -> list[int]:
    return [n for n in range(MANY) if cache.get(b"%d %d" % (n % 2, n)) is not None]


async def swept(cache: Cache) -> int:
    """Let the loop turn until all is done. Returns how often it turned."""
    turns = 0
    while cache._records.sift is not None:
        turns += 1
        await asyncio.sleep(0)
    return turns


def of_one(record: Record) -> bool:
    return record.key.startswith(b"1 ")


@in_fake_time
async def test_nothing_that_was_flushed_is_served_after_the_flush_and_each_turn_does_a_part_of_the_work() -> None:
    cache = filled()
    sizes = [len(cache)]
    cache.forget_all()
    while cache._records.sift is not None:
        assert cache.get(b"0 %d" % (MANY - 2)) is None
        sizes.append(len(cache))
        await asyncio.sleep(0)
    assert len(cache) == 0
    assert max(before - after for before, after in itertools.pairwise(sizes)) <= SLICE + 1
    assert len(sizes) >= 4
    assert cache.sizes == {"positive": 0, "derived": 0, "negative": 0}


@in_fake_time
async def test_the_other_maps_keep_their_records() -> None:
    cache = filled()
    cache.forget_all(of_one)
    assert cache.get(b"1 1") is None
    assert numbers(cache) == list(range(0, MANY, 2))
    await swept(cache)
    assert numbers(cache) == list(range(0, MANY, 2))
    assert (cache.count(b"0 "), cache.count(b"1 ")) == (MANY // 2, 0)
    assert sum(map(len, cache._records.queues)) == MANY // 2


@in_fake_time
async def test_what_is_stored_while_a_flush_is_under_way_stays() -> None:
    cache = filled()
    cache.forget_all()
    for n in range(MANY):
        cache.store(b"%d %d" % (n % 2, n), [b"new"], None)
        if n % 100 == 0:
            await asyncio.sleep(0)
    await swept(cache)
    assert numbers(cache) == list(range(MANY))


@pytest.mark.parametrize("flushes", [2, GENERATIONS - 1, GENERATIONS, 3 * GENERATIONS + 1])
@in_fake_time
async def test_flushes_that_overlap_each_forget_what_was_there_before_them(flushes: Any) -> None:
    cache = filled()
    for number in range(flushes):
        cache.store(b"1 late", [OLD], None)
        cache.store(b"0 late", [OLD], None)
        cache.forget_all(of_one)
        assert cache.get(b"1 late") is None
        assert cache.get(b"0 late") is not None
        if number % 3 == 2:
            await asyncio.sleep(0)
    cache.store(b"1 late", [OLD], None)
    await swept(cache)
    assert cache.get(b"1 late") is not None
    assert numbers(cache) == list(range(0, MANY, 2))


@in_fake_time
async def test_what_is_pushed_out_or_moves_while_a_flush_is_under_way_escapes_it_not() -> None:
    cache = filled(max_entries=MANY)
    for n in range(MANY):
        record = cache.get(b"%d %d" % (n % 2, n))
        assert record is not None
        record.asked_by(0)
    held = [cache.get(b"1 %d" % n) for n in range(1, MANY, 2)]
    cache.forget_all(of_one)
    for n in range(MANY):
        cache.store(b"0 new%d" % n, [OLD], None)
        if n % 50 == 0:
            await asyncio.sleep(0)
    await swept(cache)
    assert all(record.retired for record in held if record is not None)
    assert not any(key.startswith(b"1 ") for key in cache._records.records)


@in_fake_time
async def test_what_a_record_is_replaced_by_serves_at_once() -> None:
    cache = filled()
    cache.forget_all(of_one, lambda record: record.without(1))
    record = cache.get(b"1 %d" % (MANY - 1))
    assert record is not None
    assert record.known == (OLD, None)
    await swept(cache)
    kept = [cache.get(b"%d %d" % (n % 2, n)) for n in range(MANY)]
    assert [record.known for record in kept if record is not None] == [(OLD, NOT_FOUND), (OLD, None)] * (MANY // 2)


@in_fake_time
async def test_what_remembers_answers_elsewhere_is_told_before() -> None:
    cache = filled()
    told = []
    cache.on_forget = lambda: told.append(len(cache))
    cache.forget_all(of_one)
    assert told == [MANY]


@in_fake_time
async def test_a_single_record_that_was_flushed_is_not_counted_again() -> None:
    cache = filled()
    cache.forget_all()
    assert cache.forget(b"1 %d" % (MANY - 1)) == 0
    await swept(cache)
    assert cache.counters.evictions.total() == 0


def test_without_a_loop_all_is_done_at_once() -> None:
    cache = Cache()
    for n in range(3 * SLICE):
        cache.store(b"0 %d" % n, [OLD], None)
    cache.forget_all()
    assert len(cache) == 0
    assert cache._records.sift is None


@in_fake_time
async def test_no_flush_is_forgotten_however_many_come_at_once() -> None:
    """A record's mark knows the last few only: before one would be lost, the flushes are brought to an end."""
    count = 4 * GENERATIONS * SLICE
    cache = filled(count, max_entries=count)
    cache.forget_all(of_one)
    for _ in range(2 * GENERATIONS):
        cache.forget_all(lambda record: False)
    assert [n for n in range(count) if cache.get(b"%d %d" % (n % 2, n)) is not None] == list(range(0, count, 2))


@in_fake_time
async def test_flushes_that_come_at_once_share_the_work_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    cache, call_soon = filled(), loop.call_soon
    turns: list[object] = []

    def counted(work: Any, *arguments: Any, **how: Any) -> object:
        turns.append(work)
        return call_soon(work, *arguments, **how)

    monkeypatch.setattr(loop, "call_soon", counted)
    for _ in range(GENERATIONS - 1):
        cache.forget_all(of_one)
    assert len(turns) == 1
