"""What the process holds beyond what is counted is left unused: with fakes of its memory and of its clock."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import pytest

from vmaild.cache import Answer, Cache, CacheSettings, ResidentBound
from vmaild.cache.resident import FIXED, FORGOTTEN_EVERY
from vmaild.cache.room import GROWTH, REMADE
from vmaild.cache.settings import LEAST_SHARE, NEW_SHARE
from vmaild.cache.weight import LARGE
from vmaild.lookup import NOT_FOUND, Status

MIB = 1024 * 1024
SIZE = 64 * MIB
PROGRAM = 30 * MIB


@dataclass
class Process:
    """A process with such a cache: what it holds is set by the test."""

    now: float = 1000.0
    holds: int = PROGRAM
    calls: list[str] = field(default_factory=list)
    gives_back: int = 0
    beside: int = 0
    """Bytes counted beside the records."""

    def __post_init__(self) -> None:
        settings = CacheSettings(max_size=SIZE, max_entries=10_000_000, max_negative_entries=10_000_000)
        self.cache = Cache(settings, clock=lambda: self.now)
        self.bound = ResidentBound(
            *(self.cache, lambda: self.holds),
            beside=lambda: self.beside,
            forget=lambda: self.calls.append("forget"),
            give_back=self.give_back,
        )
        self.whole = self.cache._records.size

    def give_back(self) -> None:
        self.calls.append("give back")
        self.holds -= self.gives_back
        self.gives_back = 0

    def check(self, beyond: int) -> int:
        """Check with so many bytes that are not counted. Returns how many are withheld."""
        self.holds = PROGRAM + self.cache.measure() + self.beside + beyond
        self.bound.check()
        return self.cache.withheld


def test_the_fixed_part_takes_nothing_from_the_records() -> None:
    process = Process()
    assert process.check(FIXED) == 0
    assert process.calls == []
    assert process.cache._records.size == process.whole


def test_what_is_beyond_the_fixed_part_is_left_unused_and_used_again() -> None:
    process = Process()
    assert process.check(FIXED + 10 * MIB) == 10 * MIB
    assert process.cache._records.size == process.whole - 10 * MIB
    assert process.check(FIXED + 3 * MIB) == 3 * MIB
    assert process.check(0) == 0
    assert process.cache._records.size == process.whole


def test_what_is_counted_beside_the_records_is_not_beyond() -> None:
    process = Process()
    process.beside = 100 * MIB
    assert process.check(FIXED) == 0


def test_memory_is_given_back_first() -> None:
    process = Process(gives_back=10 * MIB)
    assert process.check(FIXED + 10 * MIB) == 0
    assert process.calls == ["give back"]


def test_what_is_remembered_by_raw_request_is_forgotten_now_and_then() -> None:
    process = Process()
    for _ in range(3):
        process.check(2 * FIXED + MIB)
    assert process.calls.count("forget") == 1
    process.now += FORGOTTEN_EVERY
    process.check(2 * FIXED + MIB)
    assert process.calls.count("forget") == 2


def test_in_the_midst_of_a_flood_nothing_is_forgotten() -> None:
    process = Process()
    process.holds += 2 * FIXED + MIB
    process.bound.grown()
    assert process.calls == ["give back"]
    assert process.cache.withheld == FIXED + MIB


def test_the_records_keep_their_least_share_whatever_the_process_holds() -> None:
    process = Process()
    process.check(10 * SIZE)
    assert process.cache._records.size == pytest.approx(process.whole * LEAST_SHARE, abs=1)
    for n in range(100):
        process.cache.store(b"0 %d" % n, [b"x"], None)
    assert len(process.cache) == 100


def test_memory_that_cannot_be_read_changes_nothing() -> None:
    process = Process()
    process.check(FIXED + 10 * MIB)

    def unreadable() -> int:
        raise OSError(24, "Too many open files")

    process.bound._resident = unreadable
    process.bound.check()
    assert process.cache.withheld == 10 * MIB


def test_other_settings_keep_what_is_withheld() -> None:
    process = Process()
    process.check(FIXED + 10 * MIB)
    process.cache.use(CacheSettings(max_size=2 * SIZE))
    assert process.cache._records.size > process.whole + 40 * MIB
    process.check(0)
    assert process.cache._records.size > process.whole + 50 * MIB


def test_large_values_have_memory_checked_as_they_come() -> None:
    """Between two ticks of a timer the whole cache may be replaced by long answers."""
    process = Process()
    checks: list[float] = []
    process.cache.on_growth(lambda: checks.append(process.now))
    for n in range(1000):
        process.cache.store(b"0 small%d" % n, [b"x" * (LARGE // 4)], None)
    assert checks == []
    value = 50_000
    count = 10 * GROWTH // value
    for n in range(count):
        process.cache.store(b"0 large%d" % n, [b"%08d" % n * (value // 8)], None)
    assert 8 <= len(checks) <= 11


def test_one_long_value_that_many_have_is_not_growth() -> None:
    process = Process()
    checks: list[float] = []
    process.cache.on_growth(lambda: checks.append(process.now))
    for n in range(1000):
        process.cache.store(b"0 %d" % n, [b"v" * 50_000], None, derived=True)
    assert checks == []


def test_a_dict_that_was_large_is_made_again_and_found_in() -> None:
    process = Process()
    cache = process.cache
    for n in range(REMADE * 3):
        cache.store(b"0 %d" % n, [NOT_FOUND], None)
    process.check(0)
    full = sys.getsizeof(cache._records.records)
    for n in range(REMADE * 3 - 10):
        cache.forget(b"0 %d" % n)
    assert sys.getsizeof(cache._records.records) == full
    process.check(0)
    assert sys.getsizeof(cache._records.records) < full / 100
    last = b"0 %d" % (REMADE * 3 - 1)
    assert cache.get(last) is not None
    cache.store(b"0 new", [b"x"], None)
    assert cache.get(b"0 new") is not None, "it is the new dict that is asked"


def test_a_dict_is_made_again_during_a_flush() -> None:
    process = Process()
    cache = process.cache
    for n in range(REMADE * 3):
        cache.store(b"0 %d" % n, [NOT_FOUND], None)
    for n in range(REMADE * 3 - 10):
        cache.forget(b"0 %d" % n)
    cache._records.sift = lambda record: record
    sifting = cache.get = cache._records.get = lambda key: cache._records.records.get(key)
    process.check(0)
    assert cache.get is sifting, "whoever gets a record during a flush has it checked"


def test_the_room_of_the_dict_is_counted() -> None:
    process = Process()
    cache = process.cache
    before = cache.measure()
    for n in range(180_000):
        cache.store(b"0 %d" % n, [NOT_FOUND], None)
    spare = sys.getsizeof(cache._records.records) - 48 * len(cache)
    assert cache.measure() - before == cache._records.weight + spare
    assert cache._records.size == process.whole - spare


class Heap:
    """Memory as two allocators keep it: only small objects fill holes of small ones, and no such hole is given back."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._arenas = 0

    def read(self) -> int:
        small = large = 0
        for record in self._process.cache.all():
            value = len(record.known[0])
            large += value if value >= LARGE else 0
            small += 0 if value >= LARGE else value
            small += 300
        self._arenas = max(self._arenas, small)
        return PROGRAM + self._arenas + large


def test_a_flood_of_long_answers_after_short_ones_stays_bounded_and_what_was_asked_twice_stays() -> None:
    process = Process()
    cache, heap = process.cache, Heap(process)

    def check() -> None:
        process.holds = heap.read()
        process.bound.check()

    def grown() -> None:
        process.holds = heap.read()
        process.bound.grown()

    cache.on_growth(grown)
    for n in range(2000):
        cache.store(b"0 hot%d" % n, [b"x" * 400], None).asked_by(0)
    for n in range(80_000):
        cache.store(b"0 short%d" % n, [b"x" * 400], None)
    check()
    assert cache.withheld == 0
    kept = []
    for n in range(3000):
        cache.store(b"0 long%d" % n, [b"%08d" % n * 6000], None)
        if n % 100 == 0:
            process.holds = heap.read()
            kept.append(process.holds)
    assert max(kept) < PROGRAM + SIZE + FIXED + 2 * GROWTH
    assert sum(cache.get(b"0 hot%d" % n) is not None for n in range(2000)) == 2000
    settled = kept[len(kept) // 2 :]
    assert max(settled) - min(settled) < 2 * GROWTH, "it comes to rest"
    assert cache.sizes["positive"] > SIZE / 4
    for n in range(80_000):
        cache.store(b"0 again%d" % n, [b"x" * 400], None)
        if n % 10_000 == 0:
            check()
    check()
    assert cache.withheld == 0, "the holes are filled"


def test_an_answer_whose_record_stays_serves_on_when_less_room_is_used() -> None:
    process = Process()
    record = process.cache.store(b"0 key", [b"x"], None)
    answer = Answer(record, b"wire", process.cache.tally("map", Status.FOUND, stale=False))
    process.check(10 * SIZE)
    assert process.now < answer.record.refresh_at


def test_the_shares_of_the_queues_shrink_with_the_room() -> None:
    """Else new records could take all of a small room."""
    process = Process()
    process.check(10 * SIZE)
    records = process.cache._records
    for n in range(200):
        process.cache.store(b"0 hot%d" % n, [b"%08d" % n * 2000], None).asked_by(0)
    for n in range(4000):
        process.cache.store(b"0 new%d" % n, [b"%08d" % n * 2000], None)
    assert sum(process.cache.get(b"0 hot%d" % n) is not None for n in range(200)) == 200
    assert records.weights[1] > records.size * NEW_SHARE
