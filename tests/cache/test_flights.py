"""One search at a time for the same key, whoever is cancelled. In fake time."""

from __future__ import annotations

import asyncio

import pytest

from tests.cache.fake_time import in_fake_time
from tests.cache.test_ages import DOWN, KEY, NEW, OLD, Directory, cache_with, new_cache
from vmaild.cache import flights
from vmaild.errors import DataError, DirectoryFailure
from vmaild.lookup import found


@in_fake_time
async def test_many_who_ask_at_once_share_one_search():
    cache, directory = new_cache(), Directory(takes=1)
    replies = await asyncio.gather(*(cache.answer(KEY, directory) for _ in range(100)))
    assert replies == [NEW] * 100
    assert directory.asked == 1
    assert (cache.counters.misses, cache.counters.shared, cache.searches) == (100, 99, 0)


@in_fake_time
async def test_different_keys_are_searched_at_the_same_time():
    cache, directory = new_cache(), Directory(takes=1)
    start = asyncio.get_running_loop().time()
    await asyncio.gather(*(cache.answer(b"map %d" % n, directory) for n in range(10)))
    assert asyncio.get_running_loop().time() - start == pytest.approx(1)
    assert directory.asked == 10


@pytest.mark.parametrize("failure", [DOWN, DataError("two"), RuntimeError("bug")])
@in_fake_time
async def test_a_failure_reaches_all_who_wait(failure):
    cache, directory = new_cache(), Directory(failure, takes=1)
    asking = (cache.answer(KEY, directory) for _ in range(3))
    assert await asyncio.gather(*asking, return_exceptions=True) == [failure] * 3
    assert (directory.asked, cache.searches) == (1, 0)


@in_fake_time
async def test_a_miss_costs_no_task():
    cache = new_cache()
    tasks = []

    async def search():
        tasks.append(asyncio.current_task())
        return NEW

    await cache.answer(KEY, search)
    assert tasks == [asyncio.current_task()]


@in_fake_time
async def test_when_the_first_is_cancelled_one_of_the_others_takes_over():
    cache, directory = new_cache(), Directory(takes=1)
    asking = [asyncio.create_task(cache.answer(KEY, directory)) for _ in range(5)]
    await asyncio.sleep(0.5)
    asking[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking[0]
    assert await asyncio.gather(*asking[1:]) == [NEW] * 4
    assert directory.asked == 2


@in_fake_time
async def test_one_who_waits_is_cancelled_alone():
    cache, directory = new_cache(), Directory(takes=1)
    asking = [asyncio.create_task(cache.answer(KEY, directory)) for _ in range(3)]
    await asyncio.sleep(0.5)
    asking[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking[1]
    assert await asyncio.gather(asking[0], asking[2]) == [NEW] * 2
    assert directory.asked == 1


@in_fake_time
async def test_all_are_cancelled_and_nothing_is_left():
    cache, directory = new_cache(), Directory(takes=1)
    asking = [asyncio.create_task(cache.answer(KEY, directory)) for _ in range(3)]
    await asyncio.sleep(0.5)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert (cache.searches, len(cache)) == (0, 0)


@in_fake_time
async def test_cancelling_who_waits_for_a_renewal_does_not_stop_it():
    cache, directory = await cache_with(OLD, age=301), Directory(takes=1)
    asking = asyncio.create_task(cache.answer(KEY, directory))
    await asyncio.sleep(0.5)
    asking.cancel()
    await asyncio.sleep(1)
    assert await cache.answer(KEY, directory) == NEW
    assert directory.asked == 1


@in_fake_time
async def test_many_who_find_the_answer_expired_share_one_search_and_its_failure():
    cache, directory = await cache_with(OLD, age=301), Directory(DOWN, takes=1)
    replies = await asyncio.gather(*(cache.answer(KEY, directory) for _ in range(10)))
    assert replies == [OLD] * 10
    assert directory.asked == 1
    assert cache.counters.shared == 9


@in_fake_time
async def test_searches_in_the_background_are_bounded_and_lookups_go_on_without(monkeypatch):
    monkeypatch.setattr(flights, "MAX_BACKGROUND", 2)
    cache, directory = new_cache(), Directory(takes=1)
    keys = [b"map %d" % n for n in range(5)]
    for key in keys:
        cache.learn(key, OLD)
    await asyncio.sleep(280)
    assert [await cache.answer(key, directory) for key in keys] == [OLD] * 5
    await asyncio.sleep(0)
    assert (directory.asked, cache.searches) == (2, 2)
    await asyncio.sleep(25)
    replies = await asyncio.gather(*(cache.answer(key, directory) for key in keys))
    assert replies == [NEW] * 5


@in_fake_time
async def test_past_that_bound_a_failure_still_gives_the_stale_answer(monkeypatch):
    monkeypatch.setattr(flights, "MAX_BACKGROUND", 0)
    cache = await cache_with(OLD, age=301)
    assert await cache.answer(KEY, Directory(DOWN)) == OLD
    await asyncio.sleep(6)
    start = asyncio.get_running_loop().time()
    assert await cache.answer(KEY, Directory(takes=60)) == OLD
    assert asyncio.get_running_loop().time() - start == pytest.approx(1.8)


@in_fake_time
async def test_close_ends_the_searches_in_the_background_and_who_waits_asks_for_itself():
    cache, directory = await cache_with(OLD, age=301), Directory(takes=60)
    waiting = asyncio.create_task(cache.answer(KEY, directory))
    await asyncio.sleep(0.1)
    await cache.close()
    assert await waiting == OLD
    assert (cache.searches, directory.asked) == (0, 2)


@in_fake_time
async def test_a_background_search_cancelled_before_its_first_step_leaves_nobody_waiting():
    cache = await cache_with(OLD, age=280)
    assert await cache.answer(KEY, Directory(takes=1)) == OLD
    await cache.close()
    assert cache.searches == 0
    await asyncio.sleep(21)
    assert await cache.answer(KEY, Directory()) == NEW


@in_fake_time
async def test_a_search_learns_for_other_keys():
    cache = new_cache()

    async def search():
        cache.learn(b"other key", found(b"by the way"))
        return NEW

    await cache.answer(KEY, search)
    assert await cache.answer(b"other key", Directory(DirectoryFailure("x"))) == found(b"by the way")
