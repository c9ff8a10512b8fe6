"""Records whose maps need searches of their own, since no schema tells which entry answers which."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmaild.cache import Cache, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.directory import Ended, Found
from vmaild.lookup import NOT_FOUND, Entry, Request, Search, found
from vmaild.maps import Maps

CUSTOM = {
    "boxes": {
        "record": "address",
        "query_filter": "(&(mail=%s)(objectClass=account))",
        "result_attribute": ["mailbox"],
    },
    "aliases": {
        "record": "address",
        "query_filter": "(&(mail=%s)(objectClass=alias))",
        "result_attribute": ["maildrop"],
    },
}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class NoSchema:
    """A directory that shows no schema, with one account."""

    schema = None
    search_time = 0.0

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.searches = 0

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> None:
        self.searches += 1
        hit = "(mail=user@d.example)" in search.filter and "=account)" in search.filter
        shown = {"mail": (b"user@d.example",), "objectclass": (b"account",), "mailbox": (b"d.example/user/",)}
        done(Found([Entry("mail=user@d.example,o=x", shown)] if hit else [], self.clock(), None))


class Site:
    def __init__(self) -> None:
        problems = Problems("v.toml")
        groups = read_maps("", CUSTOM, Common("o=x"), problems).groups
        assert not problems.found
        self.clock = Clock()
        self.directory = NoSchema(self.clock)
        settings = CacheSettings(ttl=300.0, negative_ttl=30.0, max_entries=5, max_negative_entries=5)
        self.cache = Cache(settings, clock=self.clock, jitter=lambda: 0.0)
        self.maps = Maps(groups, self.cache, self.directory, timeout=1.0, clock=self.clock)

    async def find(self, name: str, key: str) -> object:
        return await self.maps.find(Request(name.encode(), key.encode()))


@pytest.fixture
def site() -> Site:
    return Site()


async def test_a_not_found_that_completes_a_record_lives_no_longer_than_any_other(site: Site) -> None:
    """It lived as long as what had been found before: NOTFOUND for up to ttl, not negative_ttl."""
    assert await site.find("boxes", "user@d.example") == found(b"d.example/user/")
    site.clock.now += 100
    assert await site.find("aliases", "user@d.example") == NOT_FOUND
    site.clock.now += 26
    before = site.directory.searches
    assert await site.find("aliases", "user@d.example") == NOT_FOUND
    assert site.directory.searches == before
    site.clock.now += 4
    assert await site.find("aliases", "user@d.example") == NOT_FOUND
    assert site.directory.searches > before


async def test_what_completes_a_record_does_not_lengthen_its_life(site: Site) -> None:
    assert await site.find("aliases", "user@d.example") == NOT_FOUND
    site.clock.now += 20
    assert await site.find("boxes", "user@d.example") == found(b"d.example/user/")
    before = site.directory.searches
    site.clock.now += 10
    assert await site.find("aliases", "user@d.example") == NOT_FOUND
    assert site.directory.searches > before


async def test_a_flood_of_unknown_addresses_pushes_out_no_record_with_an_entry(site: Site) -> None:
    """A record that knew "not found" for one map and nothing yet for the other counted as one with an entry."""
    assert await site.find("boxes", "user@d.example") == found(b"d.example/user/")
    for number in range(50):
        assert await site.find("boxes", f"nobody{number}@d.example") == NOT_FOUND
    assert site.cache.counts == {True: 1, False: 5}
    before = site.directory.searches
    assert await site.find("boxes", "user@d.example") == found(b"d.example/user/")
    assert site.directory.searches == before
