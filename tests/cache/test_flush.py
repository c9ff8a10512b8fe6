"""Forgetting answers. In fake time."""

from __future__ import annotations

import asyncio

import pytest

from tests.cache.fake_time import in_fake_time
from tests.cache.test_ages import KEY, NEW, OLD, Directory, cache_with, new_cache, now
from vmaild.cache import Cache
from vmaild.lookup import NO_RESULT, NOT_FOUND, Reply


def filled() -> Cache:
    cache = new_cache()
    for key, reply in ((b"a x", OLD), (b"a y", NOT_FOUND), (b"a z", NO_RESULT), (b"ab x", OLD), (b"b y", NOT_FOUND)):
        cache.learn(key, reply)
    return cache


def left(cache: Cache) -> set[bytes]:
    return {key for key in (b"a x", b"a y", b"a z", b"ab x", b"b y") if cache.fresh(key, now())}


@pytest.mark.parametrize(
    ("map_name", "key", "gone"),
    [
        (None, None, {b"a x", b"a y", b"a z", b"ab x", b"b y"}),
        (b"a", None, {b"a x", b"a y", b"a z"}),
        (b"A", b"X", {b"a x"}),
        (b"a", b"q", set()),
        (b"q", None, set()),
    ],
)
@in_fake_time
async def test_flush_forgets_what_it_names_and_counts_it(map_name, key, gone):
    cache = filled()
    everything = left(cache)
    assert cache.flush(map_name, key) == len(gone)
    assert left(cache) == everything - gone
    assert len(cache) == sum(cache.entries.values()) == 5 - len(gone)


@in_fake_time
async def test_forget_not_found_leaves_what_an_entry_stands_behind():
    cache = filled()
    assert cache.forget_not_found(b"A") == 1
    assert left(cache) == {b"a x", b"a z", b"ab x", b"b y"}


@pytest.mark.parametrize("flush", [(None, None), (b"map", None), (b"map", b"user@domain.example")])
@in_fake_time
async def test_an_answer_that_was_asked_for_before_the_flush_is_not_stored_after_it(flush):
    cache, before, after = new_cache(), Directory(OLD, takes=2), Directory(NEW, takes=2)
    asking = asyncio.create_task(cache.answer(KEY, before))
    await asyncio.sleep(1)
    asked_at = now()
    cache.flush(*flush)
    await asyncio.sleep(0.1)
    cache.learn(b"map other", OLD, asked_at)
    asking_after = asyncio.create_task(cache.answer(KEY, after))
    assert await asking == OLD
    assert len(cache) == 0
    assert await cache.answer(KEY, after) == await asking_after == NEW
    assert after.asked == 1, "who came after the flush shares the search that began after it"
    assert await cache.answer(KEY, before) == NEW


@in_fake_time
async def test_a_stale_answer_that_is_flushed_while_the_directory_is_slow_is_not_given():
    cache = await cache_with(OLD, age=301)
    asking = asyncio.create_task(cache.answer(KEY, Directory(takes=3)))
    await asyncio.sleep(1)
    cache.flush()
    assert await asking == NEW


@pytest.mark.parametrize("flush", [(None, None), (b"map", None), (b"map", b"user@domain.example")])
@in_fake_time
async def test_a_flushed_answer_that_is_still_held_no_longer_serves(flush):
    cache = await cache_with(OLD, age=0)
    answer = cache.fresh(KEY, now())
    assert answer is not None
    cache.flush(*flush)
    assert answer.refresh_at < now()


@in_fake_time
async def test_an_answer_is_renewed_in_place_with_the_bytes_of_both_protocols():
    cache = await cache_with(OLD, age=0)
    answer = cache.fresh(KEY, now())
    assert answer is not None
    assert answer.line() == b"200 old\n"
    cache.learn(KEY, Reply(NEW.status, b"new one", backed=True))
    assert cache.fresh(KEY, now()) is answer
    assert (answer.socketmap, answer.tcp_table) == (b"10:OK new one,", b"200 new%20one\n")
