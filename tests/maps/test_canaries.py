"""While a canary is missing no "not found" is trusted. In fake time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account, alias, role
from tests.maps.site import ALIAS, MAILBOX, Site
from vmaild.cache import CacheSettings
from vmaild.directory import RENEWAL, TRUST
from vmaild.errors import DirectoryFailure
from vmaild.lookup import NODATA, NOT_FOUND, Status, found
from vmaild.maps import canaries


def guarded(settings: CacheSettings | None = None) -> Site:
    site = Site(settings, virtual_mailbox_maps={"canary": "Always@d.example"})
    site.directory.entries.append(account("always@d.example", "d.example/always/"))
    return site


def probes(site: Site) -> int:
    return sum("always" in search.filter for search in site.directory.searches)


@in_fake_time
async def test_not_found_is_trusted_when_the_canary_is_there() -> None:
    site = guarded()
    assert await site.find("b@d.example") == NOT_FOUND
    assert await site.find(b"\xff") == NOT_FOUND


@in_fake_time
async def test_an_emptied_directory_makes_not_found_temporary_within_a_second(caplog: pytest.LogCaptureFixture) -> None:
    site = guarded()
    assert await site.find("b@d.example") == NOT_FOUND
    site.directory.entries.clear()
    await asyncio.sleep(TRUST + 0.1)
    assert (await site.find("c@d.example")).status is Status.TEMPORARY
    assert (await site.find(b"\xff")).status is Status.TEMPORARY
    assert site.maps.canaries.missing == {"virtual_mailbox_maps": ("always@d.example",)}
    assert site.maps.counters["virtual_mailbox_maps"].canary_refusals == 2
    assert caplog.text.count("canary 'always@d.example' not found") == 1


@in_fake_time
async def test_not_found_answers_kept_before_are_forgotten_when_a_canary_is_missing() -> None:
    site = guarded()
    assert await site.find("b@d.example") == NOT_FOUND
    site.directory.entries.clear()
    await site.maps.canaries.check()
    assert site.cached("b@d.example") is None
    assert (await site.find("b@d.example")).status is Status.TEMPORARY


@in_fake_time
async def test_forgetting_not_found_leaves_what_an_entry_stands_behind_and_what_other_maps_know() -> None:
    site = guarded()
    ann = account("ann@d.example", "d.example/ann/")
    site.directory.entries += [ann, alias("x@d.example", "y@d.example"), role("d.example", ann.dn)]
    for key in ("ann@d.example", "x@d.example", "postmaster@d.example"):
        await site.find(key, ALIAS)
        await site.find(key)
    site.directory.entries.clear()
    await site.maps.canaries.check()
    assert site.cached("ann@d.example") == found(b"d.example/ann/")
    assert site.cached("x@d.example") == NODATA
    assert site.cached("postmaster@d.example") is None
    assert site.cached("postmaster@d.example", ALIAS) == found(b"ann@d.example")


@in_fake_time
async def test_a_not_found_from_before_the_canary_was_missed_does_not_come_back_with_it() -> None:
    site = guarded()
    ann = account("ann@d.example", "d.example/ann/")
    entries = [*site.directory.entries, ann, role("d.example", ann.dn)]
    site.directory.entries[:] = entries
    assert await site.find("postmaster@d.example") == NOT_FOUND, "who occupies the role is not asked for yet"
    site.directory.entries.clear()
    await site.maps.canaries.check()
    site.directory.entries[:] = [*entries, account("postmaster@d.example", "d.example/postmaster/")]
    await site.maps.canaries.check()
    assert await site.find("postmaster@d.example") == found(b"d.example/postmaster/")


@in_fake_time
async def test_random_addresses_push_out_no_real_one_while_a_canary_is_missing() -> None:
    site = guarded(CacheSettings(max_entries=2, max_negative_entries=2))
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    assert await site.find("a@d.example") == found(b"d.example/a/")
    del site.directory.entries[0]
    await site.maps.canaries.check()
    for number in range(20):
        await site.find(f"random{number}@d.example", ALIAS)
    assert site.cached("a@d.example") == found(b"d.example/a/")


@in_fake_time
async def test_within_a_second_one_probe_is_enough_for_all() -> None:
    site = guarded()
    for number in range(5):
        assert await site.find(f"b{number}@d.example") == NOT_FOUND
    assert probes(site) == 1


@in_fake_time
async def test_a_probe_is_renewed_before_anybody_has_to_wait_for_it() -> None:
    site = guarded()
    await site.maps.canaries.check()
    await asyncio.sleep(RENEWAL + 0.01)
    begin = site.directory.begin

    def slow_probe(search: Any, end: Any, done: Any) -> None:
        site.directory.takes = 0.1 if "always" in search.filter else 0
        begin(search, end, done)

    site.directory.begin = slow_probe
    for number in range(3):
        assert await site.find(f"b{number}@d.example") == NOT_FOUND
        await asyncio.sleep(0)
    assert probes(site) == 2
    await asyncio.sleep(RENEWAL - 0.02)
    assert await site.find("c@d.example") == NOT_FOUND
    assert probes(site) == 2


@in_fake_time
async def test_lookups_at_the_same_time_share_one_probe_and_outlive_each_other() -> None:
    site = guarded()
    site.directory.takes = 0.1
    tasks = [asyncio.ensure_future(site.find(f"b{number}@d.example")) for number in range(3)]
    await asyncio.sleep(0.15)
    tasks[0].cancel()
    assert await asyncio.gather(*tasks[1:]) == [NOT_FOUND, NOT_FOUND]
    assert probes(site) == 1


@in_fake_time
async def test_a_stale_mailbox_serves_while_the_canary_is_missing() -> None:
    site = guarded()
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    await site.find("a@d.example")
    site.directory.entries.clear()
    await asyncio.sleep(400)
    assert await site.find("a@d.example") == found(b"d.example/a/")


@in_fake_time
async def test_other_maps_are_not_touched_and_store_no_not_found_for_the_guarded_one() -> None:
    site = guarded()
    site.directory.entries[:] = [alias("sales@d.example", "x@y.example")]
    assert await site.find("sales@d.example", ALIAS) == found(b"x@y.example")
    assert await site.find("b@d.example", ALIAS) == NOT_FOUND
    assert (await site.find("b@d.example")).status is Status.TEMPORARY
    assert await site.find("b@d.example", ALIAS) == NOT_FOUND
    assert site.cached("sales@d.example", MAILBOX) == NODATA


@in_fake_time
async def test_not_found_is_trusted_again_when_the_canary_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site = guarded()
    entries = site.directory.entries[:]
    site.directory.entries.clear()
    await site.maps.canaries.check()
    site.directory.entries[:] = entries
    await site.maps.canaries.check()
    assert await site.find("b@d.example") == NOT_FOUND
    assert "every canary is found" in caplog.text


@in_fake_time
async def test_a_canary_that_cannot_be_probed_makes_not_found_temporary() -> None:
    site = guarded()
    await site.maps.canaries.check()
    await asyncio.sleep(TRUST + 0.1)
    begin = site.directory.begin

    def all_but_the_canary(search: Any, end: Any, done: Any) -> None:
        if "always" in search.filter:
            done(DirectoryFailure("down"))
        else:
            begin(search, end, done)

    site.directory.begin = all_but_the_canary
    await site.maps.canaries.check()
    assert site.maps.canaries.missing == {}
    assert (await site.find("b@d.example")).status is Status.TEMPORARY


@in_fake_time
async def test_close_ends_what_waits_for_a_canary() -> None:
    site = guarded()
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find("b@d.example"))
    await asyncio.sleep(1.5)
    await site.maps.close()
    assert asyncio.all_tasks() == {asyncio.current_task(), asking}
    asking.cancel()


@in_fake_time
async def test_canaries_are_asked_side_by_side_and_a_lookup_waits_no_longer_than_its_own_deadline() -> None:
    """Five of them made one lookup wait for five times the timeout."""
    names = [f"always{number}@d.example" for number in range(5)]
    site = Site(virtual_mailbox_maps={"canary": names})
    site.directory.entries += [account(name, f"d.example/{name}/") for name in names]
    site.directory.takes = 1.0
    began = asyncio.get_running_loop().time()
    assert await site.find("b@d.example") == NOT_FOUND
    assert asyncio.get_running_loop().time() - began <= 2.0 + 0.1
    await asyncio.sleep(TRUST + 0.1)
    site.directory.takes = 2.0
    began = asyncio.get_running_loop().time()
    assert (await site.find("c@d.example")).status is Status.TEMPORARY
    assert asyncio.get_running_loop().time() - began <= 3.0 + 0.1


@in_fake_time
async def test_a_canary_that_cannot_be_asked_for_leaves_no_other_in_flight() -> None:
    """What asks for several has its own end: what goes on after it would have nobody to tell."""
    ended = []

    async def fails() -> None:
        raise DirectoryFailure("down", "down")

    async def takes_long() -> None:
        await asyncio.sleep(1)
        ended.append("takes long")

    with pytest.raises(DirectoryFailure):
        await canaries._all([fails(), takes_long()])
    assert ended == ["takes long"]
