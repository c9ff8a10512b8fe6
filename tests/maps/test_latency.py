"""How long answers took, and what can be read off it."""

from __future__ import annotations

import asyncio

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account
from tests.maps.site import MAILBOX, Site
from vmaild.maps import LATENCY_BOUNDS, Latency, mixed, quantile


def test_a_quantile_is_the_bound_that_so_many_stay_below() -> None:
    latency = Latency()
    for seconds in (0.0004, 0.0004, 0.0004, 0.04):
        latency.observe(seconds)
    assert [quantile(latency.counts, share) for share in (0.5, 0.75, 0.99)] == [0.0005, 0.0005, 0.05]


def test_a_quantile_of_nothing_is_none_and_past_the_last_bound_infinite() -> None:
    latency = Latency()
    assert quantile(latency.counts, 0.5) is None
    latency.observe(60.0)
    assert quantile(latency.counts, 0.5) == float("inf")


@pytest.mark.parametrize(("hits", "p50"), [(99, LATENCY_BOUNDS[1]), (0, 0.01), (1, 0.01)])
def test_cached_answers_count_as_the_sample_of_them_says(hits: int, p50: float) -> None:
    cached, looked_up = Latency(), Latency()
    cached.observe(0.00002)
    for _ in range(9):
        looked_up.observe(0.008)
    counts = mixed(hits, cached.counts, looked_up.counts)
    assert quantile(counts, 0.5) == p50
    assert sum(counts) == pytest.approx(hits + 9)


def test_cached_answers_without_a_sample_count_as_the_fastest() -> None:
    assert mixed(5, Latency().counts, Latency().counts)[0] == 5.0


@in_fake_time
async def test_a_map_times_its_lookups_and_not_what_the_cache_answers() -> None:
    site = Site()
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    await site.find("a@d.example")
    await site.find("a@d.example")
    latency = site.maps.counters[MAILBOX.decode()].latency
    assert sum(latency.counts) == 1
    assert latency.total >= 0
    assert asyncio.get_running_loop().time() >= latency.total
