"""Canaries by default: what was found lately is asked for again before a suspicious "not found" is trusted."""

from __future__ import annotations

import asyncio

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account
from tests.maps.site import Site
from vmaild.cache import CacheSettings
from vmaild.lookup import NOT_FOUND, Status
from vmaild.maps.samples import CONFIRM, LEAST

SETTINGS = CacheSettings(ttl=10, negative_ttl=1, stale_ttl=1000)
FOUND = [f"user{number}@d.example" for number in range(6)]


async def known() -> Site:
    site = Site(SETTINGS)
    site.directory.entries += [account(key, "d.example/x/") for key in FOUND]
    for key in FOUND:
        assert (await site.find(key)).status is Status.FOUND
    await asyncio.sleep(11)
    return site


@in_fake_time
async def test_what_was_found_serves_on_when_everything_is_hidden():
    site = await known()
    site.directory.entries.clear()
    for _ in range(30):
        for key in FOUND:
            assert (await site.find(key)).status is not Status.NOT_FOUND
        await asyncio.sleep(1)


@in_fake_time
async def test_a_minute_confirms_that_it_is_gone():
    site = await known()
    site.directory.entries.clear()
    for _ in range(int(CONFIRM) + 3):
        reply = await site.find(FOUND[0])
        await asyncio.sleep(6)
    assert reply == NOT_FOUND


@in_fake_time
async def test_an_account_that_is_deleted_alone_is_not_found():
    site = await known()
    del site.directory.entries[0]
    asked = site.directory.asked
    assert await site.find(FOUND[0]) == NOT_FOUND
    assert site.directory.asked == asked + 4, "three others were asked for"


@in_fake_time
async def test_when_not_found_rises_what_was_found_is_asked_for():
    site = await known()
    site.directory.entries.clear()
    replies = [await site.find(f"other{number}@d.example") for number in range(3 * LEAST)]
    assert replies.count(NOT_FOUND) == LEAST, "before that it is no rise"
    assert {reply.status for reply in replies[LEAST:]} == {Status.TEMPORARY}
    assert site.maps.counters["virtual_mailbox_maps"].canary_refusals == 2 * LEAST


@in_fake_time
async def test_a_flood_of_random_addresses_stays_not_found_and_costs_a_sample_a_second():
    site = await known()
    asked = site.directory.asked
    for number in range(10 * LEAST):
        assert await site.find(f"other{number}@d.example") == NOT_FOUND
    assert site.directory.asked <= asked + 10 * LEAST + 3


@in_fake_time
async def test_without_anything_found_not_found_is_what_it_is():
    site = Site(SETTINGS)
    for number in range(3 * LEAST):
        assert await site.find(f"other{number}@d.example") == NOT_FOUND
