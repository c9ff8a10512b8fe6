"""How long a record serves, by what it knows. In fake time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from vmaild.cache import Cache, CacheSettings, Known, Record, reply_of
from vmaild.errors import DataError
from vmaild.lookup import NODATA, NOT_FOUND, Status, found

KEY = b"0 user@domain.example"
OLD = b"old"
BAD = DataError("two mailboxes")

SETTINGS = CacheSettings(ttl=300, negative_ttl=30, stale_ttl=1000, stale_answer_after=1.8, failure_recheck=5)


def now() -> float:
    return asyncio.get_running_loop().time()


def new_cache(settings: CacheSettings = SETTINGS, jitter: float = 0.0) -> Cache:
    return Cache(settings, clock=asyncio.get_running_loop().time, jitter=lambda: jitter)


def serves(cache: Cache, record: Record, later: float) -> list[bool]:
    return [cache.serves(record, known, now() + later) for known in record.known]


@pytest.mark.parametrize(
    ("known", "life"),
    [
        ((OLD,), 300),
        ((NODATA,), 300),
        ((NOT_FOUND,), 30),
        ((BAD,), 5),
        ((OLD, NODATA), 300),
        ((OLD, NOT_FOUND), 30),
        ((OLD, None), 300),
        ((BAD, OLD), 5),
        ((BAD, NOT_FOUND), 5),
    ],
)
@in_fake_time
async def test_a_record_is_good_for_as_long_as_the_least_certain_of_its_answers(known: Any, life: int) -> None:
    record = new_cache().store(KEY, known, None)
    assert record.expires_at - now() == pytest.approx(life, abs=0.13)
    assert record.refresh_at - now() == pytest.approx(life * 0.9, abs=0.13)


@in_fake_time
async def test_data_errors_are_never_remembered_for_longer_than_a_not_found() -> None:
    record = new_cache(CacheSettings(negative_ttl=2, failure_recheck=5)).store(KEY, (BAD, NOT_FOUND), None)
    assert record.expires_at - now() == pytest.approx(2, abs=0.13)


@in_fake_time
async def test_all_maps_of_a_record_serve_up_to_the_same_moment() -> None:
    cache = new_cache()
    record = cache.store(KEY, (OLD, NOT_FOUND, NODATA), None)
    assert serves(cache, record, 26.8) == [True] * 3
    assert serves(cache, record, 27.1) == [False] * 3


@pytest.mark.parametrize(("known", "life", "stale"), [(OLD, 300, 1000), (NODATA, 300, 1000), (NOT_FOUND, 30, 30)])
@in_fake_time
async def test_a_stale_answer_is_usable_for_its_time_and_not_longer(known: Known, life: float, stale: float) -> None:
    cache = new_cache()
    record = cache.store(KEY, (known,), None)
    assert cache.usable(record, known, now() + life + stale - 0.2)
    assert not cache.usable(record, known, now() + life + stale + 0.2)


@pytest.mark.parametrize("known", [BAD, None])
@in_fake_time
async def test_what_could_not_be_used_is_no_stale_answer(known: Any) -> None:
    cache = new_cache()
    record = cache.store(KEY, (known, OLD), None)
    assert not cache.usable(record, known, now() + 400)
    cache.put_off(record)
    assert cache.serves(record, OLD, now() + 4.9) == cache.usable(record, OLD, now() + 4.9)


@in_fake_time
async def test_stale_ttl_bounds_a_stale_not_found_too() -> None:
    cache = new_cache(CacheSettings(negative_ttl=30, stale_ttl=0))
    record = cache.store(KEY, (NOT_FOUND,), None)
    assert not cache.usable(record, NOT_FOUND, now() + 30.1)


@in_fake_time
async def test_a_record_that_is_put_off_serves_for_the_recheck_time() -> None:
    cache = new_cache()
    record = cache.store(KEY, (OLD,), None)
    await asyncio.sleep(301)
    cache.put_off(record)
    assert serves(cache, record, 4.9) == [True]
    assert serves(cache, record, 5.1) == [False]


@in_fake_time
async def test_a_record_that_left_the_cache_is_not_brought_back_by_a_failure() -> None:
    cache = new_cache()
    record = cache.store(KEY, (OLD,), None)
    cache.forget(KEY)
    cache.put_off(record)
    assert not cache.serves(record, OLD, now())


@pytest.mark.parametrize(("jitter", "life"), [(0.0, 300), (0.5, 285), (0.9999, 270)])
@in_fake_time
async def test_lives_are_shortened_by_up_to_a_tenth(jitter: float, life: int) -> None:
    record = new_cache(jitter=jitter).store(KEY, (OLD,), None)
    assert record.expires_at - now() == pytest.approx(life, abs=0.13)
    assert record.refresh_at - now() == pytest.approx(life * 0.9, abs=0.13)


@in_fake_time
async def test_records_stored_together_expire_apart() -> None:
    cache = Cache(SETTINGS, clock=asyncio.get_running_loop().time)
    ends = [cache.store(b"0 %d" % n, (OLD,), None).expires_at - now() for n in range(100)]
    assert 270 <= min(ends) < 280 < 290 < max(ends) <= 300


@pytest.mark.parametrize(("known", "left"), [((OLD, NODATA), 200), ((OLD, NOT_FOUND), 30), ((OLD, BAD), 5)])
@in_fake_time
async def test_a_completed_record_keeps_its_age_and_lasts_no_longer_than_what_it_now_knows(
    known: Any, left: int
) -> None:
    cache = new_cache()
    record = cache.store(KEY, (OLD, None), "more")
    await asyncio.sleep(100)
    cache.complete(record, known, None)
    completed = cache.get(KEY)
    assert completed is not None
    assert record.retired
    assert (completed.known, completed.more) == (known, None)
    assert completed.expires_at - now() == pytest.approx(left, abs=0.13)
    assert completed.refresh_at <= completed.expires_at


@in_fake_time
async def test_a_forgotten_record_no_longer_serves_wherever_it_is_held() -> None:
    cache = new_cache()
    records = [cache.store(b"0 %d" % n, (OLD,), None) for n in range(3)]
    cache.forget(b"0 0")
    cache.forget_all(lambda record: record.key == b"0 1")
    cache.forget_all()
    assert [cache.serves(record, OLD, now()) for record in records] == [False] * 3
    assert [(record.key, record.known) for record in records] == [(b"", ())] * 3, "they keep nothing alive"


@in_fake_time
async def test_a_replaced_record_no_longer_serves() -> None:
    cache = new_cache()
    before = cache.store(KEY, (OLD,), None)
    after = cache.store(KEY, (b"new",), None)
    assert not cache.serves(before, OLD, now())
    assert cache.get(KEY) is after


@in_fake_time
async def test_a_map_that_a_record_forgets_is_asked_anew_and_the_others_still_serve() -> None:
    cache = new_cache()
    record = cache.store(KEY, (OLD, NOT_FOUND), "more").without(1)
    assert (record.known, record.more) == ((OLD, None), None)
    assert serves(cache, record, 20)[0]


def test_a_reply_is_what_the_record_knows() -> None:
    assert reply_of(OLD) == found(b"old")
    assert reply_of(NODATA) is NODATA
    assert reply_of(BAD).status is Status.TEMPORARY


def test_answers_are_counted_by_map_status_and_staleness() -> None:
    cache = Cache()
    cache.tally("a", Status.FOUND, stale=False).hits += 1
    cache.tally("a", Status.FOUND, stale=True).hits += 1
    cache.tally("a", Status.FOUND, stale=True).hits += 1
    cache.tally("b", Status.NOT_FOUND, stale=False).hits += 1
    assert {(t.map_name, t.status.name, t.stale): t.hits for t in cache.tallies} == {
        ("a", "FOUND", False): 1,
        ("a", "FOUND", True): 2,
        ("b", "NOT_FOUND", False): 1,
    }


@pytest.mark.parametrize(("known", "stale"), [((OLD,), 1000), ((NOT_FOUND,), 30)])
@in_fake_time
async def test_the_end_of_stale_ttl_is_an_end(known: Any, stale: int) -> None:
    cache = new_cache()
    record = cache.store(KEY, known, None)
    assert cache.usable(record, known[0], record.expires_at + stale - 0.5)
    assert not cache.usable(record, known[0], record.expires_at + stale)


@pytest.mark.parametrize(("heard", "left"), [(True, 900), (False, 30)])
@in_fake_time
async def test_a_record_that_is_completed_while_changes_are_heard_lasts_until_they_come(heard: bool, left: int) -> None:
    cache = new_cache(CacheSettings(ttl=300, negative_ttl=30, heard_ttl=1000, heard_negative_ttl=1000))
    record = cache.store(KEY, (OLD, None), "more", heard=True)
    await asyncio.sleep(100)
    cache.complete(record, (OLD, NOT_FOUND), None, heard=heard)
    completed = cache.get(KEY)
    assert completed is not None
    assert completed.expires_at - now() == pytest.approx(left, abs=0.13)


@in_fake_time
async def test_a_record_that_is_completed_in_part_goes_on() -> None:
    cache = new_cache()
    cache.complete(cache.store(KEY, (OLD, None, None), "more"), (OLD, OLD, None), "the rest")
    completed = cache.get(KEY)
    assert completed is not None
    assert (completed.known, completed.more) == ((OLD, OLD, None), "the rest")
