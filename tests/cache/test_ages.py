"""When an answer serves, when the directory is asked, and what a failure changes. In fake time."""

from __future__ import annotations

import asyncio

import pytest

from tests.cache.fake_time import in_fake_time
from vmaild.cache import Cache, CacheSettings
from vmaild.errors import DataError, DirectoryFailure, Overloaded
from vmaild.lookup import NO_RESULT, NOT_FOUND, Reply, found, permanent, temporary

KEY = b"map user@domain.example"
OLD = found(b"old")
NEW = found(b"new")

SETTINGS = CacheSettings(ttl=300, negative_ttl=30, stale_ttl=1000, stale_answer_after=1.8, failure_recheck=5)


class Directory:
    """Gives ``reply``, or raises it, after ``takes`` seconds."""

    def __init__(self, reply: Reply | Exception = NEW, takes: float = 0.0) -> None:
        self.reply = reply
        self.takes = takes
        self.asked = 0

    async def __call__(self) -> Reply:
        self.asked += 1
        reply = self.reply
        await asyncio.sleep(self.takes)
        if isinstance(reply, Exception):
            raise reply
        return reply


def now() -> float:
    return asyncio.get_running_loop().time()


def new_cache(settings: CacheSettings = SETTINGS, jitter: float = 0.0) -> Cache:
    return Cache(settings, clock=asyncio.get_running_loop().time, jitter=lambda: jitter)


async def cache_with(reply: Reply, *, age: float, settings: CacheSettings = SETTINGS) -> Cache:
    cache = new_cache(settings)
    cache.learn(KEY, reply)
    await asyncio.sleep(age)
    return cache


DOWN = DirectoryFailure("down")


@in_fake_time
async def test_an_unknown_key_is_asked_for_and_its_answer_is_fresh():
    cache, directory = new_cache(), Directory()
    assert cache.fresh(KEY, now()) is None
    assert await cache.answer(KEY, directory) == NEW
    answer = cache.fresh(KEY, now())
    assert answer is not None
    assert answer.socketmap == b"6:OK new,"
    assert await cache.answer(KEY, directory) == NEW
    assert directory.asked == 1
    assert (cache.counters.misses, cache.counters.learnt) == (1, 1)


@pytest.mark.parametrize("reply", [OLD, NOT_FOUND, NO_RESULT])
@in_fake_time
async def test_an_answer_keeps_its_reply(reply):
    cache = await cache_with(reply, age=0)
    assert await cache.answer(KEY, Directory()) == reply


@pytest.mark.parametrize(("reply", "ttl"), [(OLD, 300), (NO_RESULT, 300), (NOT_FOUND, 30)])
@in_fake_time
async def test_an_answer_is_fresh_for_nine_tenths_of_its_life(reply, ttl):
    cache = await cache_with(reply, age=ttl * 0.9 - 0.01)
    assert cache.fresh(KEY, now()) is not None
    assert cache.fresh(KEY, now() + 0.02) is None


@in_fake_time
async def test_in_the_last_tenth_one_asker_starts_one_search_and_nobody_waits():
    cache, directory = await cache_with(OLD, age=280), Directory(takes=1)
    start = now()
    assert await cache.answer(KEY, directory) == OLD
    assert cache.fresh(KEY, now()) is not None
    assert await cache.answer(KEY, directory) == OLD
    assert now() == start
    await asyncio.sleep(1.01)
    assert directory.asked == 1
    assert cache.counters.prefetches == 1
    assert await cache.answer(KEY, directory) == NEW
    assert cache.fresh(KEY, now() + 269.9) is not None


@in_fake_time
async def test_a_prefetch_that_fails_is_tried_again_after_the_recheck_time_and_the_answer_still_serves():
    cache, directory = await cache_with(OLD, age=280), Directory(DOWN)
    assert await cache.answer(KEY, directory) == OLD
    await asyncio.sleep(4.9)
    assert await cache.answer(KEY, directory) == OLD
    assert directory.asked == 1
    await asyncio.sleep(0.2)
    assert await cache.answer(KEY, directory) == OLD
    await asyncio.sleep(0)
    assert directory.asked == 2


@in_fake_time
async def test_a_prefetch_that_fails_just_before_the_end_is_not_repeated_at_the_end():
    cache, directory = await cache_with(OLD, age=298), Directory(DOWN)
    assert await cache.answer(KEY, directory) == OLD
    await asyncio.sleep(4)
    assert cache.fresh(KEY, now()) is not None
    assert directory.asked == 1


@in_fake_time
async def test_an_expired_answer_is_not_given_while_the_directory_answers_in_time():
    cache, directory = await cache_with(OLD, age=301), Directory(takes=1.7)
    assert await cache.answer(KEY, directory) == NEW
    assert (directory.asked, cache.counters.expired, cache.counters.slow) == (1, 1, 0)


@pytest.mark.parametrize("failure", [DOWN, Overloaded("full")])
@in_fake_time
async def test_a_stale_answer_serves_when_the_directory_fails(failure):
    cache, directory = await cache_with(OLD, age=301), Directory(failure)
    assert await cache.answer(KEY, directory) == OLD
    assert cache.counters.failures == 1


@in_fake_time
async def test_a_stale_answer_serves_after_1_8_seconds_and_the_search_goes_on():
    cache, directory = await cache_with(OLD, age=301), Directory(takes=2.5)
    start = now()
    assert await cache.answer(KEY, directory) == OLD
    assert now() - start == pytest.approx(1.8)
    assert cache.counters.slow == 1
    assert cache.fresh(KEY, now()) is not None, "the next one does not wait again"
    await asyncio.sleep(1)
    assert await cache.answer(KEY, directory) == NEW
    assert directory.asked == 1


@in_fake_time
async def test_a_failed_key_is_not_asked_again_for_the_recheck_time_while_a_stale_answer_serves():
    cache, directory = await cache_with(OLD, age=301), Directory(DOWN)
    await cache.answer(KEY, directory)
    for _ in range(49):
        await asyncio.sleep(0.1)
        assert cache.fresh(KEY, now()) is not None
    await asyncio.sleep(0.2)
    assert cache.fresh(KEY, now()) is None
    directory.reply = NEW
    assert await cache.answer(KEY, directory) == NEW
    assert directory.asked == 2


@in_fake_time
async def test_a_key_without_a_stale_answer_is_asked_again_at_once_after_a_failure():
    cache, directory = new_cache(), Directory(DOWN)
    for asked in (1, 2):
        with pytest.raises(DirectoryFailure):
            await cache.answer(KEY, directory)
        assert directory.asked == asked
    assert len(cache) == 0


@pytest.mark.parametrize(("reply", "life", "stale"), [(OLD, 300, 1000), (NO_RESULT, 300, 1000), (NOT_FOUND, 30, 30)])
@in_fake_time
async def test_a_stale_answer_serves_for_its_time_and_not_longer(reply, life, stale):
    cache, directory = await cache_with(reply, age=life + stale - 1), Directory(DOWN)
    assert await cache.answer(KEY, directory) == reply
    assert cache.fresh(KEY, now() + 0.99) is not None
    assert cache.fresh(KEY, now() + 1.01) is None
    await asyncio.sleep(1.01)
    with pytest.raises(DirectoryFailure):
        await cache.answer(KEY, directory)


@in_fake_time
async def test_a_stale_answer_that_runs_out_while_the_directory_is_slow_is_not_given():
    cache, directory = await cache_with(NOT_FOUND, age=59), Directory(DOWN, takes=2.5)
    with pytest.raises(DirectoryFailure):
        await cache.answer(KEY, directory)
    assert directory.asked == 1


@in_fake_time
async def test_stale_ttl_bounds_a_stale_not_found_too():
    cache = await cache_with(NOT_FOUND, age=31, settings=CacheSettings(negative_ttl=30, stale_ttl=0))
    with pytest.raises(DirectoryFailure):
        await cache.answer(KEY, Directory(DOWN))


@pytest.mark.parametrize("reply", [temporary("no"), permanent("no")])
@in_fake_time
async def test_temporary_failure_is_never_cached(reply):
    cache, directory = new_cache(), Directory(reply)
    assert await cache.answer(KEY, directory) == reply
    cache.learn(KEY, reply)
    assert len(cache) == 0
    assert cache.fresh(KEY, now()) is None


@in_fake_time
async def test_a_failure_does_not_shorten_what_was_learnt_meanwhile_by_another_search():
    cache = await cache_with(OLD, age=301)
    asking = asyncio.create_task(cache.answer(KEY, Directory(DOWN, takes=1)))
    await asyncio.sleep(0.5)
    cache.learn(KEY, NEW)
    assert await asking == NEW
    answer = cache.fresh(KEY, now() + 260)
    assert answer is not None
    assert not answer.tally.stale


@in_fake_time
async def test_a_failure_does_not_take_a_good_answer_away():
    cache = await cache_with(OLD, age=301)
    await cache.answer(KEY, Directory(temporary("no")))
    assert await cache.answer(KEY, Directory(DOWN)) == OLD


@pytest.mark.parametrize("age", [280, 301])
@in_fake_time
async def test_unusable_data_takes_the_old_answer_away_instead_of_serving_it(age):
    cache, directory = await cache_with(OLD, age=age), Directory(DataError("two mailboxes"))
    if age == 280:
        assert await cache.answer(KEY, directory) == OLD
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with pytest.raises(DataError):
        await cache.answer(KEY, directory)
    assert len(cache) == 0
    with pytest.raises(DirectoryFailure):
        await cache.answer(KEY, Directory(DOWN))


@pytest.mark.parametrize("bug", [RuntimeError("bug"), TimeoutError()])
@in_fake_time
async def test_a_bug_in_a_search_is_raised_and_no_stale_answer_hides_it(bug):
    cache = await cache_with(OLD, age=301)
    with pytest.raises(type(bug)):
        await cache.answer(KEY, Directory(bug))


@in_fake_time
async def test_a_bug_in_a_prefetch_is_logged_and_the_answer_serves(caplog):
    cache = await cache_with(OLD, age=280)
    assert await cache.answer(KEY, Directory(RuntimeError("bug"))) == OLD
    await asyncio.sleep(1)
    assert "RuntimeError: bug" in caplog.text
    assert await cache.answer(KEY, Directory()) == OLD


@in_fake_time
async def test_the_directory_changing_its_mind_replaces_the_answer():
    cache = await cache_with(OLD, age=301)
    assert await cache.answer(KEY, Directory(NOT_FOUND)) == NOT_FOUND
    assert cache.entries == {True: 0, False: 1}
    await asyncio.sleep(31)
    assert await cache.answer(KEY, Directory(NEW)) == NEW
    assert cache.entries == {True: 1, False: 0}


@pytest.mark.parametrize(("jitter", "life"), [(0.0, 300), (0.5, 285), (0.9999, 270)])
@in_fake_time
async def test_lives_are_shortened_by_up_to_a_tenth(jitter, life):
    cache = new_cache(jitter=jitter)
    cache.learn(KEY, OLD)
    answer = cache.fresh(KEY, now())
    assert answer is not None
    assert answer.expires_at - now() == pytest.approx(life, abs=0.1)
    assert answer.refresh_at - now() == pytest.approx(life * 0.9, abs=0.1)


@in_fake_time
async def test_answers_learnt_together_expire_apart():
    cache = Cache(SETTINGS, clock=asyncio.get_running_loop().time)
    for n in range(100):
        cache.learn(b"map %d" % n, OLD)
    ends = [cache.fresh(b"map %d" % n, now()).expires_at - now() for n in range(100)]
    assert 270 <= min(ends) < 280 < 290 < max(ends) <= 300


@in_fake_time
async def test_a_life_of_nothing_asks_each_time_and_still_serves_stale():
    cache, directory = new_cache(CacheSettings(ttl=0)), Directory()
    for asked in (1, 2):
        assert await cache.answer(KEY, directory) == NEW
        assert directory.asked == asked
    directory.reply = DOWN
    assert await cache.answer(KEY, directory) == NEW


@in_fake_time
async def test_a_value_that_no_reply_can_carry_is_not_stored():
    cache = await cache_with(OLD, age=301)
    too_long = found(b"v" * 100_000)
    assert await cache.answer(KEY, Directory(too_long)) == too_long
    assert len(cache) == 0


@in_fake_time
async def test_answers_are_counted_by_map_status_and_staleness():
    cache = await cache_with(OLD, age=0)
    cache.learn(b"other key", NOT_FOUND)
    await cache.answer(KEY, Directory())
    await cache.answer(b"other key", Directory())
    await asyncio.sleep(301)
    await cache.answer(KEY, Directory(DOWN))
    answer = cache.fresh(KEY, now())
    assert answer is not None
    answer.tally.hits += 1
    assert {(t.map_name, t.status.name, t.stale): t.hits for t in cache.tallies} == {
        (b"map", "FOUND", False): 1,
        (b"map", "FOUND", True): 2,
        (b"other", "NOT_FOUND", False): 1,
    }
