"""What of the records stays when other maps take over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.maps.fake_directory import FakeDirectory
from vmaild.cache import Cache, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.lookup import Request
from vmaild.maps import Maps

QUERY = {"query_filter": "(mail=%s)", "result_attribute": ["mailbox"], "search_base": "o=x"}


def groups(**maps: dict[str, object]) -> Any:
    problems = Problems("test")
    found = read_maps("", maps, Common("o=x"), problems)
    assert problems.found == []
    return found.groups


def make(cache: Cache, before: Maps | None = None, *, keep: bool = True, **maps: dict[str, object]) -> Maps:
    return Maps(groups(**maps), cache, FakeDirectory(), timeout=1.0, before=before, keep_records=keep)


def store(maps: Maps, cache: Cache, name: bytes) -> None:
    cache.store(maps._maps[name].prefix + b"a@b.example", [b"value"], None)


async def known(maps: Maps, name: bytes) -> bool:
    got = maps.seek(name, b"a@b.example", lambda reply: reply.text)
    return getattr(got, "wire", b"") == b"value"


async def test_records_stay_where_the_meaning_does_whatever_the_order() -> None:
    cache = Cache()
    old = make(cache, one=QUERY, two=QUERY | {"result_attribute": ["mail"]})
    store(old, cache, b"one")
    store(old, cache, b"two")
    new = make(cache, old, two=QUERY | {"result_attribute": ["maildrop"]}, one=QUERY)
    assert new.take_over(old) == 1
    assert await known(new, b"one")
    assert not await known(new, b"two")


@pytest.mark.parametrize(
    "change",
    [
        {"query_filter": "(cn=%s)"},
        {"result_attribute": ["cn"]},
        {"search_base": "o=y"},
        {"scope": "one"},
        {"result_format": "x%s"},
        {"unique": True},
        {"domain": ["b.example"]},
        {"require_result": True},
        {"keys": "exact"},
    ],
)
async def test_whatever_changes_an_answer_is_another_meaning(change: dict[str, object]) -> None:
    cache = Cache()
    old = make(cache, one=QUERY)
    store(old, cache, b"one")
    new = make(cache, old, one=QUERY | change)
    assert new.take_over(old) == 1
    assert not await known(new, b"one")


async def test_no_record_stays_of_another_directory() -> None:
    cache = Cache()
    old = make(cache, one=QUERY)
    store(old, cache, b"one")
    new = make(cache, old, keep=False, one=QUERY)
    assert new.take_over(old) == 1
    assert len(cache) == 0


async def test_no_later_meaning_gets_a_number_that_was_in_use() -> None:
    cache = Cache()
    first = make(cache, one=QUERY)
    second = make(cache, first, one=QUERY | {"unique": True})
    third = make(cache, second, one=QUERY)
    prefixes = {maps._maps[b"one"].prefix for maps in (first, second, third)}
    assert len(prefixes) == 3


async def test_what_was_counted_by_name_goes_on() -> None:
    cache = Cache()
    old = make(cache, one=QUERY)
    old.counters["one"].found = 7
    await old.find(Request(b"nosuchmap", b"x"))
    new = make(cache, old, one=QUERY | {"unique": True}, two=QUERY)
    assert (new.counters["one"].found, new.unknown.permanent) == (7, 1)


def test_a_lower_bound_and_a_shorter_life_are_heeded() -> None:
    now = 0.0
    cache = Cache(CacheSettings(max_entries=100, ttl=300), clock=lambda: now, jitter=lambda: 0.0)
    for number in range(100):
        old = cache.store(b"1 %d" % number, [b"value"], None)
    cache.use(CacheSettings(max_entries=10, ttl=60))
    new = cache.store(b"1 new", [b"value"], None)
    assert len(cache) <= 10
    assert (old.expires_at > 60) or old.retired
    assert new.expires_at <= 60
