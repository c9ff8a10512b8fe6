"""The garbage collector and the cache: a full pass does not go through all records."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from vmaild.cache import Cache, Record
from vmaild.process.gc_tuning import STEP, YOUNG, GcTuning


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def records_in_a_full_pass() -> int:
    return sum(isinstance(tracked, Record) for tracked in gc.get_objects())


@pytest.mark.slow
def test_a_full_pass_sees_no_more_than_the_latest_records() -> None:
    cache = Cache()
    tuning = GcTuning(lambda: cache.counters.stored)
    for number in range(3 * STEP + 10):
        cache.store(b"0 user%d@d.example" % number, [b"x"], None)
        tuning.tick()
    assert len(cache) == 3 * STEP + 10
    assert records_in_a_full_pass() <= STEP


@pytest.mark.slow
def test_what_lookups_have_under_way_brings_no_pass_about() -> None:
    GcTuning(lambda: 0).start()
    passes = sum(generation["collections"] for generation in gc.get_stats())
    under_way: list[Any] = [[] for _ in range(YOUNG // 2)]
    assert len(under_way) == YOUNG // 2
    assert sum(generation["collections"] for generation in gc.get_stats()) == passes


@pytest.mark.slow
def test_frozen_records_are_freed_when_they_are_forgotten() -> None:
    cache = Cache()
    cache.store(b"0 user@d.example", [b"x"], None)
    GcTuning(lambda: 0).freeze()
    frozen = gc.get_freeze_count()
    cache.forget_all()
    assert gc.get_freeze_count() < frozen


@pytest.mark.slow
def test_cycles_are_collected_before_anything_is_frozen() -> None:
    class Ring:
        pass

    ring = Ring()
    ring.itself = ring  # type: ignore[attr-defined]
    del ring
    GcTuning(lambda: 0).freeze()
    gc.unfreeze()
    assert not [tracked for tracked in gc.get_objects() if isinstance(tracked, Ring)]
