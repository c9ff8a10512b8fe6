"""The hosted domains as a set: what it answers, and when a reading does not count. In fake time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import BASE, account, entry
from tests.maps.site import ALIAS, MAILBOX, Site, now
from tests.maps.test_serving import DOWN
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.errors import DataError
from vmaild.feed import HostedDomains
from vmaild.feed.domains import CONFIRM, INTERVAL
from vmaild.lookup import NOT_FOUND, Entry, Search, found
from vmaild.tables.hosted import hosted_domains

DOMAINS = b"virtual_mailbox_domains"
ANN = "ann@d.example"


def domain(name: str) -> Entry:
    return entry(f"o={name},{BASE}", "organization", o=(name,))


class Hosting(Site):
    def __init__(self, *domains: str, stale: float = 1000.0, canaries: tuple[str, ...] = ()) -> None:
        super().__init__()
        hosted = hosted_domains([group for _, group in self.maps.groups])
        assert hosted is not None
        self.reads: list[Entry] = [domain(name) for name in domains]
        self.directory.entries += [*self.reads, account(ANN, "d.example/ann/")]
        self.domains = HostedDomains(
            hosted, self.maps, self.hear(), self._read, stale=stale, canaries=canaries, clock=now
        )

    async def _read(self, search: Search) -> AsyncIterator[Entry]:
        assert search.base == BASE
        if self.directory.failure is not None:
            raise self.directory.failure
        for one in self.reads:
            yield one


def groups(preset: str = "courier", **maps: object) -> Any:
    problems = Problems("test")
    read = read_maps(preset, maps, Common(BASE), problems)
    assert problems.found == []
    return read.groups


def test_the_preset_allows_it_for_all_of_its_maps() -> None:
    hosted = hosted_domains(groups())
    assert hosted is not None
    assert (hosted.base, len(hosted.groups)) == (BASE, len(groups()))


@pytest.mark.parametrize(
    ("name", "changed", "count"),
    [
        ("virtual_alias_maps", {"search_base": BASE, "query_filter": "(mail=%s)", "record": "own"}, 3),
        ("virtual_mailbox_domains", {"query_filter": "(associatedDomain=%s)", "search_base": BASE, "scope": "one"}, 0),
        ("own", {"query_filter": "(cn=%s)", "keys": "exact"}, 3),
    ],
)
def test_maps_that_look_elsewhere_are_left_out(name: str, changed: Any, count: int) -> None:
    hosted = hosted_domains(groups(**{name: changed}))
    assert (0 if hosted is None else len(hosted.groups)) == count


@in_fake_time
async def test_an_address_of_no_hosted_domain_costs_no_search_and_no_place() -> None:
    site = Hosting("d.example")
    await site.domains.once()
    for name in (MAILBOX, ALIAS):
        assert await site.find("x@foreign.example", name) == NOT_FOUND
    assert await site.find("foreign.example", DOMAINS) == NOT_FOUND
    assert (site.directory.asked, len(site.cache)) == (0, 0)
    assert site.maps.counters["virtual_mailbox_maps"].not_found == 1
    assert await site.find("no@d.example") == NOT_FOUND
    assert await site.find(ANN) == found(b"d.example/ann/")
    assert site.directory.asked == 2


@in_fake_time
async def test_before_the_set_is_known_everything_is_looked_for() -> None:
    site = Hosting("d.example")
    assert await site.find("x@foreign.example") == NOT_FOUND
    assert site.directory.asked == 1


@in_fake_time
async def test_a_key_beyond_ascii_is_left_to_the_server() -> None:
    site = Hosting("d.example")
    await site.domains.once()
    await site.find("x@bücher.example")
    assert site.directory.asked == 1


@in_fake_time
async def test_a_domain_is_hosted_in_both_forms_of_its_labels() -> None:
    """Seen by reading: what the directory has in U-labels was not found at once when it was asked for in A-labels."""
    site = Hosting("b\u00fccher.example")
    site.directory.entries.append(account("x@b\u00fccher.example", "b\u00fccher.example/x/"))
    await site.domains.once()
    assert (await site.find("x@xn--bcher-kva.example")).authoritative
    assert site.directory.asked >= 1
    asked = site.directory.asked
    assert await site.find("x@xn--other-kva.example") == NOT_FOUND
    assert site.directory.asked == asked


@in_fake_time
async def test_in_an_outage_the_set_serves_for_stale_domains() -> None:
    site = Hosting("d.example", stale=100)
    task = asyncio.ensure_future(site.domains.run())
    await asyncio.sleep(1)
    site.directory.failure = DOWN
    await asyncio.sleep(100)
    assert await site.find("x@foreign.example") == NOT_FOUND
    await asyncio.sleep(60)
    assert (await site.find("x@foreign.example")).authoritative is False
    task.cancel()


@in_fake_time
async def test_a_domain_that_the_feed_tells_of_is_hosted_at_once() -> None:
    site = Hosting("d.example")
    await site.domains.once()
    site.freshness.changed(f"o=new.example,{BASE}", bytes(16), {"o": (b"new.example",)}, added=True)
    await site.find("x@new.example")
    assert site.directory.asked == 1


@in_fake_time
async def test_domains_that_vanish_are_looked_for_until_that_is_confirmed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    site = Hosting("d.example", "e.example")
    await site.domains.once()
    site.reads = []
    await asyncio.sleep(1)
    await site.domains.once()
    assert "2 of 2 hosted domains are missing" in caplog.text
    assert await site.find(ANN) == found(b"d.example/ann/")
    await asyncio.sleep(CONFIRM - 1)
    await site.domains.once()
    assert set(site.domains.names) == {"d.example", "e.example"}
    site.reads = [domain("d.example")]
    await asyncio.sleep(1)
    await site.domains.once()
    assert set(site.domains.names) == {"d.example"}


@in_fake_time
async def test_a_reading_without_the_canary_is_not_used() -> None:
    site = Hosting("d.example", "e.example", canaries=("d.example",))
    await site.domains.once()
    site.reads = [domain("e.example")]
    for _ in range(3):
        await asyncio.sleep(CONFIRM)
        await site.domains.once()
    assert set(site.domains.names) == {"d.example", "e.example"}


@in_fake_time
async def test_an_administrator_says_that_missing_domains_are_hosted_no_more() -> None:
    site = Hosting("d.example", "e.example")
    await site.domains.once()
    site.reads = [domain("d.example")]
    await site.domains.once()
    await asyncio.sleep(5)
    assert site.domains.missing == {"e.example": 5.0}
    assert site.domains.confirm() == ["e.example"]
    assert (set(site.domains.names), site.domains.missing) == ({"d.example"}, {})
    asked = site.directory.asked
    assert await site.find("x@e.example") == NOT_FOUND
    assert site.directory.asked == asked


@in_fake_time
async def test_an_administrator_says_that_a_reading_without_the_canary_is_right() -> None:
    site = Hosting("d.example", "e.example", canaries=("d.example",))
    await site.domains.once()
    site.reads = [domain("f.example")]
    await site.domains.once()
    assert site.domains.not_believed == {"f.example"}
    assert site.domains.confirm() == ["d.example", "e.example"]
    assert set(site.domains.names) == {"f.example"}
    assert site.domains.not_believed is None


@in_fake_time
async def test_an_empty_set_tells_nothing() -> None:
    site = Hosting()
    await site.domains.once()
    assert not site.domains.known
    await site.find("x@foreign.example")
    assert site.directory.asked == 1


@in_fake_time
async def test_domains_that_only_the_snapshot_has_are_looked_for_until_that_is_confirmed() -> None:
    site = Hosting("d.example")
    await site.domains.once()
    site.domains.restore(["d.example", "e.example"], 10.0)
    await site.find("x@e.example")
    assert site.directory.asked == 1
    await asyncio.sleep(CONFIRM)
    await site.domains.once()
    assert set(site.domains.names) == {"d.example"}


@in_fake_time
async def test_a_set_that_is_too_large_to_be_read_is_not_used() -> None:
    site = Hosting("d.example")
    site.directory.failure = DataError("11000 values")  # type: ignore[assignment]
    assert await site.domains.once() == INTERVAL
    assert not site.domains.known


@in_fake_time
async def test_while_a_canary_of_the_map_is_missing_nothing_is_not_found_for_its_domain() -> None:
    site = Hosting("d.example")
    await site.domains.once()
    site.maps.canaries.missing["virtual_mailbox_maps"] = ("x@d.example",)
    await site.find("x@foreign.example")
    assert site.directory.asked == 1
