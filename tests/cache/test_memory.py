"""What the cache takes is bounded by ``max_size``, and what left it is freed: measured in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from tests.cache.floods import FLOODS, MIB, SIZE
from vmaild.cache import Answer, Cache, CacheSettings, Known
from vmaild.errors import DataError
from vmaild.lookup import NODATA, Status
from vmaild.server.recent import Recent

FIXED = 24 * MIB
"""What a process takes beside the cache, and what an allocator keeps."""


def flood(*kinds: str) -> list[float]:
    """The most resident memory of each flood, and what is left after a flush, in MiB."""
    command = [sys.executable, "-m", "tests.cache.floods", *kinds]
    # `make coverage` measures processes that tests start: here that takes minutes, and memory.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    home = Path(__file__).parents[2]
    output = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=True).stdout
    return [int(line) / MIB for line in output.split()]


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_takes_no_more_memory_than_max_size_and_a_fixed_part(kind: str) -> None:
    most, left = flood(kind)
    assert most < (SIZE + FIXED) / MIB
    assert left < FIXED / MIB, "what was flushed is freed"


def test_floods_of_all_kinds_one_after_the_other_stay_bounded_too() -> None:
    """Small objects and large ones have heaps of their own, and neither gives back all that the other could use."""
    *most, _ = flood(*FLOODS, "addresses", "short_keys", "long_aliases")
    assert max(most) < (SIZE + FIXED) / MIB, "it was 110 MiB, for 64"


class Value(bytes):
    """Bytes that a weak reference can be held to."""


class Evidence:
    """A lookup that goes on."""

    weight = 100


@pytest.mark.parametrize("how", ["flushed", "forgotten", "replaced", "pushed out", "completed"])
def test_what_left_the_cache_is_freed_though_a_request_is_remembered(how: str) -> None:
    cache = Cache(CacheSettings(max_entries=1))
    recent = Recent()
    refusal, evidence = DataError("two"), Evidence()
    record = cache.store(b"0 key", [refusal, NODATA, None], evidence)
    held = [weakref.ref(refusal), weakref.ref(evidence)]
    recent.remember(b"request", Answer(record, b"wire", cache.tally("map", Status.NOT_FOUND, stale=False)))
    if how == "flushed":
        cache.forget_all()
    elif how == "forgotten":
        cache.forget(b"0 key")
    elif how == "replaced":
        cache.store(b"0 key", [b"x", NODATA, NODATA], None)
    elif how == "pushed out":
        cache.store(b"0 other", [b"x", NODATA, NODATA], None)
    else:
        cache.complete(record, [b"x", NODATA, NODATA], None)
    del refusal, evidence
    assert [reference() for reference in held] == [None, None]  # type: ignore[operator]
    assert record.retired
    assert recent.get(b"request") is not None, "it is only an empty shell"


def test_a_long_value_is_kept_once_however_many_records_have_it() -> None:
    cache = Cache()
    for n in range(100):
        cache.store(b"0 %d" % n, [b"v" * 50_000 + b"", NODATA], None, derived=True)
    values = {id(record.known[0]) for n in range(100) if (record := cache.get(b"0 %d" % n))}
    assert len(values) == 1
    assert cache.sizes["derived"] < 50_000 + 100 * 500
    for n in range(100):
        cache.forget(b"0 %d" % n)
    assert cache.sizes == {"positive": 0, "derived": 0, "negative": 0}


def test_a_record_that_is_too_large_is_not_kept_and_pushes_out_nothing() -> None:
    cache = Cache(CacheSettings(max_size=MIB))
    cache.store(b"0 small", [b"x"], None)
    cache.store(b"0 large", [b"x" * (MIB // 10)], None)
    assert cache.get(b"0 large") is None
    assert cache.get(b"0 small") is not None
    assert cache.counters.too_large == 1


@pytest.mark.parametrize("known", [b"v" * 2000, NODATA])
def test_not_found_with_long_keys_pushes_out_no_real_address(known: Known) -> None:
    cache = Cache(CacheSettings(max_size=4 * MIB))
    for n in range(1000):
        cache.store(b"0 real%d" % n, [b"d.example/%d/" % n], None)
    for n in range(2000):
        cache.store(b"0 %d" % n + b"k" * 9000, [None], None)
    assert all(cache.get(b"0 real%d" % n) for n in range(1000))
    assert sum(cache.sizes.values()) <= 4 * MIB
