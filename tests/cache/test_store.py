"""The bounds, and who makes room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.cache import Cache, CacheSettings
from vmaild.cache.cache import INSTANTS
from vmaild.lookup import NO_RESULT, NOT_FOUND, found

OLD = found(b"old")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def new_cache(clock: Clock, **settings: float) -> Cache:
    return Cache(CacheSettings(**settings), clock=clock, jitter=lambda: 0.0)  # type: ignore[arg-type]


def known(cache: Cache, prefix: bytes) -> list[int]:
    return [n for n in range(1000) if cache._answer(prefix + b"%d" % n) is not None]


def test_a_flood_of_random_addresses_pushes_out_no_real_one():
    cache = new_cache(Clock(), max_entries=10, max_negative_entries=5)
    for n in range(5):
        cache.learn(b"map found%d" % n, OLD)
        cache.learn(b"map backed%d" % n, NO_RESULT)
    for n in range(500):
        cache.learn(b"map random%d" % n, NOT_FOUND)
    assert known(cache, b"map found") == known(cache, b"map backed") == [0, 1, 2, 3, 4]
    assert cache.entries == {True: 10, False: 5}
    assert (cache.counters.evicted, cache.counters.evicted_not_found) == (0, 495)


def test_the_oldest_expired_answer_makes_room():
    clock = Clock()
    cache = new_cache(clock, max_entries=3, ttl=300)
    for n in range(3):
        cache.learn(b"map %d" % n, OLD)
        clock.now += 1
    clock.now = 1000
    cache.learn(b"map 3", OLD)
    assert known(cache, b"map ") == [1, 2, 3]


def test_an_answer_that_was_renewed_stays_longer_than_an_expired_one():
    clock = Clock()
    cache = new_cache(clock, max_entries=3, ttl=300)
    for n in range(3):
        cache.learn(b"map %d" % n, OLD)
    clock.now = 301
    cache.learn(b"map 0", OLD)
    cache.learn(b"map 3", OLD)
    assert known(cache, b"map ") == [0, 2, 3]


def test_when_all_are_good_one_goes_without_a_look_at_all():
    cache = new_cache(Clock(), max_entries=100)
    for n in range(101):
        cache.learn(b"map %d" % n, OLD)
    assert len(known(cache, b"map ")) == 100
    assert cache.counters.evicted == 1


@pytest.mark.parametrize("reply", [OLD, NOT_FOUND])
def test_a_bound_of_none_stores_nothing(reply):
    cache = new_cache(Clock(), max_entries=0, max_negative_entries=0)
    cache.learn(b"map key", reply)
    assert len(cache) == 0


def test_a_flushed_answer_leaves_its_place_to_another():
    cache = new_cache(Clock(), max_entries=3)
    for n in range(3):
        cache.learn(b"map %d" % n, OLD)
    cache.flush(b"map", b"0")
    cache.learn(b"map 0", OLD)
    cache.learn(b"map 1", OLD)
    assert known(cache, b"map ") == [0, 1, 2]
    assert cache.counters.evicted == 0


def test_an_answer_learnt_again_after_a_flush_is_as_young_as_it_looks():
    cache = new_cache(Clock(), max_entries=3)
    cache.learn(b"map 0", OLD)
    cache.flush(b"map", b"0")
    for n in range(3):
        cache.learn(b"map %d" % n, OLD)
    assert known(cache, b"map ") == [0, 1, 2]


def test_the_moments_that_answers_share_are_bounded_and_a_little_early():
    clock = Clock()
    cache = new_cache(clock, ttl=1000)
    for n in range(3 * INSTANTS):
        clock.now = n * 0.3
        cache.learn(b"map %d" % n, OLD)
        answer = cache._answer(b"map %d" % n)
        assert answer is not None
        assert clock.now + 999.8 < answer.expires_at <= clock.now + 1000
    assert len(cache._instants) <= INSTANTS


steps = st.lists(
    st.tuples(
        st.sampled_from(["learn", "learn", "learn", "flush key", "flush map", "flush", "forget", "wait"]),
        st.sampled_from([b"a", b"b"]),
        st.integers(0, 8),
        st.sampled_from([OLD, NO_RESULT, NOT_FOUND]),
    ),
    max_size=80,
)


@given(steps=steps)
def test_whatever_happens_the_bounds_hold_and_the_counts_are_right(steps):
    clock = Clock()
    cache = new_cache(clock, ttl=5, negative_ttl=3, max_entries=4, max_negative_entries=3)
    for what, name, n, reply in steps:
        if what == "learn":
            cache.learn(name + b" %d" % n, reply)
            assert cache._answer(name + b" %d" % n) is not None
        elif what == "flush key":
            cache.flush(name, b"%d" % n)
        elif what == "flush map":
            cache.flush(name)
        elif what == "flush":
            cache.flush()
        elif what == "forget":
            cache.forget_not_found(name)
        else:
            clock.now += n
        answers = [answer for key in (b"a", b"b") for n in range(9) if (answer := cache._answer(key + b" %d" % n))]
        backed = sum(answer.tally.backed for answer in answers)
        assert cache.entries == {True: backed, False: len(answers) - backed}
        assert len(cache) == len(answers)
        if what in ("flush", "flush map", "forget"):
            assert sum(map(len, cache._answers._queues.values())) == len(answers), "nothing forgotten is still held"
        assert cache.entries[True] <= 4
        assert cache.entries[False] <= 3
        assert all(len(cache._answers._queues[kind]) <= bound for kind, bound in ((True, 4), (False, 3)))
