"""Who makes room: what was asked for once does not push out what was asked for twice."""

from __future__ import annotations

import bisect
import itertools
import random

import pytest

from vmaild.cache import Cache, CacheSettings
from vmaild.cache.room import WORK
from vmaild.cache.settings import BURST, DERIVED_SHARE, MIB
from vmaild.lookup import NODATA, NOT_FOUND

OLD = b"old"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def new_cache(entries: int = 1000, **settings: float) -> Cache:
    return Cache(CacheSettings(max_entries=entries, **settings), clock=Clock())


def ask(cache: Cache, key: bytes, *, place: int = 0, derived: bool = False) -> bool:
    """Whether the cache has an answer; else one is stored."""
    record = cache.get(key)
    if record is None:
        cache.store(key, [OLD, NODATA], None, place=place, derived=derived)
        return False
    record.asked_by(place)
    return True


def held(cache: Cache, keys: list[bytes]) -> int:
    return sum(cache.get(key) is not None for key in keys)


@pytest.mark.parametrize("again", ["answered from the cache", "renewed", "came back"])
def test_a_scan_leaves_what_was_asked_for_twice(again: str) -> None:
    cache = new_cache()
    wanted = [b"0 wanted%d" % n for n in range(400)]
    for key in wanted:
        ask(cache, key)
    if again == "came back":
        for n in range(1000):
            ask(cache, b"0 other%d" % n)
        assert held(cache, wanted) == 0
    for key in wanted:
        if again == "renewed":
            cache.store(key, [OLD, NODATA], None)
        else:
            ask(cache, key)
    for n in range(20_000):
        ask(cache, b"0 scan%d" % n)
    # Some fingerprints of those that were pushed out lie upon others.
    assert held(cache, wanted) >= (240 if again == "came back" else 395)
    assert len(cache) == 1000


def test_what_is_asked_for_once_goes_first() -> None:
    cache = new_cache()
    once = [b"0 once%d" % n for n in range(400)]
    for key in once:
        ask(cache, key)
    for n in range(2000):
        ask(cache, b"0 scan%d" % n)
    assert held(cache, once) == 0
    assert +cache.counters.evictions == {("new", "entries"): 1400}


def test_the_maps_that_one_message_asks_are_one_use_of_an_address() -> None:
    """smtpd asks the alias map and the mailbox map for each RCPT TO: a scan must not pass for what is wanted."""
    cache = new_cache()
    wanted = [b"0 wanted%d" % n for n in range(400)]
    for key in wanted * 2:
        ask(cache, key)
    for n in range(20_000):
        for place in (0, 1, 2):
            ask(cache, b"0 scan%d" % n, place=place)
    assert held(cache, wanted) >= 395


def test_what_completes_a_record_is_no_second_use() -> None:
    cache = new_cache(10)
    record = cache.store(b"0 key", [OLD, None], None)
    cache.complete(record, [OLD, NODATA], None)
    for n in range(20):
        ask(cache, b"0 scan%d" % n)
    assert cache.get(b"0 key") is None


def test_what_is_not_wanted_any_more_leaves_main() -> None:
    cache = new_cache()
    before = [b"0 before%d" % n for n in range(900)]
    after = [b"0 after%d" % n for n in range(900)]
    for key in before * 2:
        ask(cache, key)
    for _ in range(40):
        for key in after:
            ask(cache, key)
    # All 900 in 58 of 60 runs; where fingerprints of evicted keys meet, which the hash seed decides, it takes longer.
    assert held(cache, after) > 500


def test_answers_by_a_catch_all_push_out_no_address() -> None:
    """In the field: 40,000 RCPT TO for a catch-all, and 1,000 of 1,000 addresses were TEMP when LDAP failed then."""
    cache = new_cache(20_000)
    real = [b"0 real%d@d.example" % n for n in range(1000)]
    for key in real:
        ask(cache, key)
    for n in range(40_000):
        ask(cache, b"0 made-up%d@d.example" % n, derived=True)
    assert held(cache, real) == 1000
    assert cache.counts[True] == 20_000, "they may use what is free"


def test_answers_by_a_catch_all_go_when_others_want_the_room() -> None:
    cache = new_cache()
    for n in range(5000):
        ask(cache, b"0 made-up%d" % n, derived=True)
    real = [b"0 real%d" % n for n in range(900)]
    for key in real:
        ask(cache, key)
    assert held(cache, real) == 900
    assert sum(cache.get(b"0 made-up%d" % n) is not None for n in range(5000)) == 1000 * DERIVED_SHARE


def test_a_catch_all_s_answers_have_their_share_of_the_bytes_too() -> None:
    cache = new_cache(10_000_000, max_size=4 * MIB)
    real = [b"0 real%d" % n for n in range(5000)]
    for key in real:
        ask(cache, key)
    for n in range(20_000):
        cache.store(b"0 %d@d.example" % n, [b"%d," % n * 300, NODATA], None, derived=True)
    assert held(cache, real) == 5000
    sizes = cache.sizes
    for n in range(3000):
        cache.store(b"0 long%d" % n, [b"%d," % n * 100, NODATA], None)
    assert cache.sizes["derived"] < 4 * MIB * DERIVED_SHARE < sizes["derived"]


def test_asked_for_again_a_made_up_address_stays_longer_than_the_others() -> None:
    cache = new_cache(100)
    for _ in range(2):
        ask(cache, b"0 list+tag@d.example", derived=True)
    for n in range(150):
        ask(cache, b"0 %d@d.example" % n, derived=True)
    assert cache.get(b"0 list+tag@d.example") is not None


def test_room_is_made_with_a_bounded_amount_of_work() -> None:
    """All were asked for twice: what comes then is not kept until they have been moved, some with each."""
    cache = new_cache(10 * WORK)
    for _ in range(2):
        for n in range(10 * WORK):
            ask(cache, b"0 %d" % n)
    moved = []
    for n in range(30):
        before = cache.counters.admitted
        ask(cache, b"0 late%d" % n)
        moved.append(cache.counters.admitted - before)
    assert max(moved) <= WORK
    assert sum(moved) >= 8 * WORK
    assert cache.counters.too_large < 20
    assert cache.counts[True] == 10 * WORK


@pytest.mark.slow
def test_the_hit_ratio_of_real_addresses_under_a_scan_is_that_without() -> None:
    rng = random.Random(1)
    weights = list(itertools.accumulate(1 / (n + 1) ** 0.9 for n in range(20_000)))

    def ratio(scanned: float) -> float:
        cache, hits, asked = new_cache(2000), 0, 0
        for n in range(60_000):
            if rng.random() < scanned:
                ask(cache, b"0 scan%d" % n)
                continue
            asked += 1
            hits += ask(cache, b"0 %d" % bisect.bisect(weights, rng.random() * weights[-1]))
        return hits / asked

    # A queue by age has 0.52 and 0.40.
    assert ratio(0.0) > 0.58
    assert ratio(0.5) > 0.53


def test_ten_thousand_answers_of_one_second_are_renewed_at_twice_the_mean_rate_at_most() -> None:
    """All are asked for all the time, so that each is searched for again when its time comes."""
    rng, ttl, count = random.Random(1), 300.0, 10_000
    clock = Clock()
    cache = Cache(CacheSettings(ttl=ttl), clock=clock, jitter=rng.random)
    due: dict[int, list[bytes]] = {}
    searches: dict[int, int] = {}

    def search(key: bytes) -> None:
        record = cache.store(key, [OLD], None)
        due.setdefault(int(record.refresh_at) + 1, []).append(key)

    clock.now = 1000.0
    for n in range(count):
        clock.now = 1000.0 + n / count
        search(b"0 %d" % n)
    for second in range(1001, 1001 + 4 * int(ttl)):
        clock.now = float(second)
        keys = due.pop(second, [])
        searches[second // 5] = searches.get(second // 5, 0) + len(keys)
        for key in keys:
            search(key)
    mean = sum(searches.values()) / len(searches)
    assert mean / 5 < 1.5 * count / ttl
    assert max(searches.values()) <= 2 * mean


def test_few_answers_of_one_second_keep_their_life() -> None:
    cache = Cache(CacheSettings(ttl=300), clock=Clock())
    records = [cache.store(b"0 %d" % n, [OLD], None) for n in range(BURST)]
    assert min(record.expires_at for record in records) >= 269


def test_negative_records_that_are_asked_for_again_outlive_a_flood() -> None:
    cache = new_cache(max_negative_entries=100)
    for _ in range(2):
        for n in range(20):
            if (record := cache.get(b"0 old%d" % n)) is None:
                cache.store(b"0 old%d" % n, [NOT_FOUND], None)
            else:
                record.asked_by(0)
    for n in range(150):
        cache.store(b"0 %d" % n, [NOT_FOUND], None)
    assert held(cache, [b"0 old%d" % n for n in range(20)]) == 20
