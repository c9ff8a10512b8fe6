"""The bounds, and who makes room."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.cache import Cache, CacheSettings, Known, Record
from vmaild.cache.record import ASKED, QUEUE
from vmaild.cache.room import WORK
from vmaild.cache.store import INSTANTS
from vmaild.cache.weight import LARGE
from vmaild.errors import DataError
from vmaild.lookup import NODATA, NOT_FOUND

OLD = b"old"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def new_cache(clock: Clock, **settings: float) -> Cache:
    return Cache(CacheSettings(**settings), clock=clock, jitter=lambda: 0.0)


def store(cache: Cache, key: bytes, *known: Known) -> None:
    cache.store(key, known, None)


def numbers(cache: Cache, prefix: bytes) -> list[int]:
    return [n for n in range(1000) if cache.get(prefix + b"%d" % n) is not None]


def test_a_flood_of_random_addresses_pushes_out_no_real_one() -> None:
    cache = new_cache(Clock(), max_entries=10, max_negative_entries=5)
    for n in range(5):
        store(cache, b"0 found%d" % n, OLD)
        store(cache, b"0 nodata%d" % n, NODATA)
    for n in range(500):
        store(cache, b"0 random%d" % n, NOT_FOUND)
    assert numbers(cache, b"0 found") == numbers(cache, b"0 nodata") == [0, 1, 2, 3, 4]
    assert cache.counts == {True: 10, False: 5}
    assert +cache.counters.evictions == {("negative", "entries"): 495}


@pytest.mark.parametrize(
    ("known", "positive"),
    [
        ((NOT_FOUND, NOT_FOUND), False),
        ((NOT_FOUND, None), False),
        ((None, None), False),
        ((NOT_FOUND, OLD), True),
        ((NODATA, NOT_FOUND), True),
        ((DataError("two"), NOT_FOUND), True),
    ],
)
def test_a_record_is_positive_when_one_of_its_maps_found_an_entry(known: Any, positive: bool) -> None:
    cache = new_cache(Clock())
    store(cache, b"0 key", *known)
    assert cache.counts == {positive: 1, not positive: 0}


def test_the_oldest_expired_record_makes_room() -> None:
    clock = Clock()
    cache = new_cache(clock, max_entries=3, ttl=300)
    for n in range(3):
        store(cache, b"0 %d" % n, OLD)
        clock.now += 1
    clock.now = 1000
    store(cache, b"0 3", OLD)
    assert numbers(cache, b"0 ") == [1, 2, 3]
    assert cache.forgot_at == 1000


def test_a_record_that_was_renewed_stays_longer_than_an_expired_one() -> None:
    clock = Clock()
    cache = new_cache(clock, max_entries=3, ttl=300)
    for n in range(3):
        store(cache, b"0 %d" % n, OLD)
    clock.now = 301
    store(cache, b"0 0", OLD)
    store(cache, b"0 3", OLD)
    assert numbers(cache, b"0 ") == [0, 2, 3]


def test_when_all_are_good_one_goes_without_a_look_at_all() -> None:
    cache = new_cache(Clock(), max_entries=100)
    for n in range(101):
        store(cache, b"0 %d" % n, OLD)
    assert len(numbers(cache, b"0 ")) == 100
    assert cache.counters.evicted == 1


@pytest.mark.parametrize("known", [OLD, NOT_FOUND])
def test_a_bound_of_none_stores_nothing(known: Any) -> None:
    cache = new_cache(Clock(), max_entries=0, max_negative_entries=0)
    store(cache, b"0 key", known)
    assert len(cache) == 0


def test_a_forgotten_record_leaves_its_place_to_another() -> None:
    cache = new_cache(Clock(), max_entries=3)
    for n in range(3):
        store(cache, b"0 %d" % n, OLD)
    cache.forget(b"0 0")
    store(cache, b"0 0", OLD)
    store(cache, b"0 1", OLD)
    assert numbers(cache, b"0 ") == [0, 1, 2]
    assert cache.counters.evicted == 0


def test_a_record_stored_again_after_it_was_forgotten_is_as_young_as_it_looks() -> None:
    cache = new_cache(Clock(), max_entries=3)
    store(cache, b"0 0", OLD)
    cache.forget(b"0 0")
    for n in range(3):
        store(cache, b"0 %d" % n, OLD)
    assert numbers(cache, b"0 ") == [0, 1, 2]


def test_the_moments_that_records_share_are_bounded_and_a_little_early() -> None:
    clock = Clock()
    cache = new_cache(clock, ttl=1000)
    for n in range(3 * INSTANTS):
        clock.now = n * 0.3
        store(cache, b"0 %d" % n, OLD)
        record = cache.get(b"0 %d" % n)
        assert record is not None
        assert clock.now + 999.8 < record.expires_at <= clock.now + 1000
    assert 0 < len(cache._records.shared_instants) <= INSTANTS


def check_accounts(cache: Cache, records: list[Record]) -> None:
    """What is counted in passing is what one finds by looking."""
    store = cache._records
    by_queue = [[one for one in records if one.marks & QUEUE == number] for number in range(4)]
    assert store.counts == [len(some) for some in by_queue]
    assert +Counter(store.groups) == Counter(one.key.split(b" ")[0] for one in records)
    large = {one for record in records for one in record.known if isinstance(one, bytes) and len(one) >= LARGE}
    every = [len(one) for record in records for one in record.known if isinstance(one, bytes) and len(one) >= LARGE]
    assert store.weight == sum(store.weights) == sum(map(store._weigh, records)) - sum(every) + sum(map(len, large))
    for number, queue in enumerate(store.queues):
        standing = [key for key in queue if store.standing(key, number) is not None]
        assert len(standing) == store.counts[number]
        assert len(queue) <= 2 * store.counts[number] + WORK


steps = st.lists(
    st.tuples(
        st.sampled_from(["store", "store", "store", "ask", "complete", "forget", "forget group", "forget all", "wait"]),
        st.sampled_from([b"0", b"1"]),
        st.integers(0, 8),
        st.tuples(*[st.sampled_from([OLD, OLD * LARGE, OLD * 2 * LARGE, NODATA, NOT_FOUND, None])] * 2),
    ),
    max_size=80,
)


def take(cache: Cache, what: str, name: bytes, n: int, known: tuple[Known, ...]) -> None:
    key = name + b" %d" % n
    if what == "store":
        store(cache, key, *known)
        assert cache.get(key) is not None
    elif what == "complete":
        if record := cache.get(key):
            cache.complete(record, known, None)
            assert record.retired
    elif what == "ask":
        if record := cache.get(key):
            record.marks |= ASKED
    elif what == "forget":
        cache.forget(key)
    elif what == "forget group":
        cache.forget_all(lambda record: record.key.startswith(name))
    else:
        cache.forget_all()


@given(steps=steps)
def test_whatever_happens_the_bounds_hold_and_the_counts_are_right(steps: Any) -> None:
    clock = Clock()
    cache = new_cache(clock, ttl=5, negative_ttl=3, max_entries=4, max_negative_entries=3)
    for what, name, n, known in steps:
        if what == "wait":
            clock.now += n
        else:
            take(cache, what, name, n, known)
        records = [record for key in (b"0", b"1") for n in range(9) if (record := cache.get(key + b" %d" % n))]
        positive = sum(record.positive for record in records)
        assert cache.counts == {True: positive, False: len(records) - positive}
        assert len(cache) == len(records)
        if what in ("forget all", "forget group"):
            assert sum(map(len, cache._records.queues)) == len(records), "nothing forgotten is still held"
        assert cache.counts[True] <= 4
        assert cache.counts[False] <= 3
        check_accounts(cache, records)


def test_a_record_of_two_large_values_gives_both_back() -> None:
    cache = new_cache(Clock())
    store(cache, b"0 1", b"x" * LARGE, b"y" * LARGE)
    store(cache, b"0 2", b"y" * LARGE, b"x" * LARGE)
    weight = cache._records.weight
    cache.forget(b"0 1")
    assert weight > cache._records.weight > 2 * LARGE
    cache.forget(b"0 2")
    assert cache._records.weight == 0


def test_a_record_that_grows_pushes_out_others_and_stays() -> None:
    cache = new_cache(Clock(), max_size=10_000_000)
    cache._records.size = 100_000
    for n in range(180):
        store(cache, b"0 %d" % n, b"x" * 200)
    assert len(cache) == 180
    for n in range(100, 180):
        store(cache, b"0 %d" % n, b"x" * (LARGE - 1))
        assert cache.get(b"0 %d" % n) is not None
    assert cache._records.weight <= 100_000
    assert len(cache) < 180


def test_what_was_not_found_and_is_found_now_has_to_be_asked_for_again() -> None:
    cache = new_cache(Clock())
    store(cache, b"0 key", NOT_FOUND, None)
    before = cache.get(b"0 key")
    assert before is not None
    before.marks |= ASKED
    cache.complete(before, (NOT_FOUND, OLD), None)
    record = cache.get(b"0 key")
    assert record is not None
    assert not record.marks & ASKED


def test_what_is_stored_is_counted() -> None:
    cache = new_cache(Clock())
    for n in range(3):
        store(cache, b"0 %d" % (n % 2), OLD)
    assert cache.counters.stored == 3


def test_what_comes_back_after_it_was_pushed_out_is_counted_and_stays() -> None:
    cache = new_cache(Clock(), max_entries=10)
    for n in range(11):
        store(cache, b"0 %d" % n, OLD)
    assert cache.get(b"0 0") is None
    store(cache, b"0 0", OLD)
    assert cache.counters.returned == 1
    for n in range(100, 140):
        store(cache, b"0 %d" % n, OLD)
    assert cache.get(b"0 0") is not None
