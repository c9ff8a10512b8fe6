"""Canaries by default: what was found lately is asked for again before a "not found" is trusted."""

from __future__ import annotations

import asyncio

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import BASE, account
from tests.maps.site import Site
from vmaild.cache import CacheSettings
from vmaild.directory.shared_probe import RENEWAL, TRUST
from vmaild.lookup import NOT_FOUND, Status
from vmaild.maps.samples import CONFIRM

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
async def test_what_was_found_serves_on_when_everything_is_hidden() -> None:
    site = await known()
    site.directory.entries.clear()
    for _ in range(30):
        for key in FOUND:
            assert (await site.find(key)).status is not Status.NOT_FOUND
        await asyncio.sleep(1)


@in_fake_time
async def test_a_minute_confirms_that_it_is_gone() -> None:
    site = await known()
    site.directory.entries.clear()
    for _ in range(int(CONFIRM) + 3):
        reply = await site.find(FOUND[0])
        await asyncio.sleep(6)
    assert reply == NOT_FOUND


@in_fake_time
async def test_an_account_that_is_deleted_alone_is_not_found() -> None:
    site = await known()
    del site.directory.entries[0]
    asked = site.directory.asked
    assert await site.find(FOUND[0]) == NOT_FOUND
    assert site.directory.asked == asked + 4, "three others were asked for"


@in_fake_time
async def test_when_everything_is_hidden_what_was_never_asked_is_not_found_for_a_second_at_most() -> None:
    site = await known()
    assert await site.find("other@d.example") == NOT_FOUND
    site.directory.entries.clear()
    replies = []
    for number in range(40):
        replies.append((await site.find(f"other{number}@d.example")).status)
        await asyncio.sleep(0.1)
    trusted = round(TRUST / 0.1) + 1
    assert set(replies[trusted:]) == {Status.TEMPORARY}
    assert site.maps.counters["virtual_mailbox_maps"].canary_refusals >= 40 - trusted


@in_fake_time
async def test_when_it_is_found_again_not_found_is_trusted_again() -> None:
    site = await known()
    entries, site.directory.entries = site.directory.entries, []
    assert (await site.find("other@d.example")).status is Status.TEMPORARY
    site.directory.entries = entries
    await asyncio.sleep(TRUST)
    await site.find("other@d.example")
    await asyncio.sleep(0.01)
    assert await site.find("other@d.example") == NOT_FOUND


@in_fake_time
async def test_what_a_change_has_dropped_is_no_sample() -> None:
    site = await known()
    freshness = site.hear()
    for number, key in enumerate(FOUND):
        site.directory.entries.pop()
        dn, named = f"mail={key},o=d.example,{BASE}", {"mail": (key.encode(),)}
        freshness.changed(dn, bytes([number]) * 16, named, added=False)
    assert await site.find("other@d.example") == NOT_FOUND


@in_fake_time
async def test_a_domain_that_is_deleted_with_all_that_is_in_it_leaves_the_samples_of_others() -> None:
    site = Site(SETTINGS)
    others = [f"user@d{number}.example" for number in range(3)]
    for key in (*others, *FOUND):
        site.directory.entries.append(account(key, "x.example/x/"))
        await site.find(key)
    site.directory.entries = site.directory.entries[:3]
    assert await site.find("other@d.example") == NOT_FOUND


@in_fake_time
async def test_a_flood_of_random_addresses_stays_not_found_and_costs_a_sample_a_second() -> None:
    site = await known()
    asked = site.directory.asked
    for number in range(200):
        assert await site.find(f"other{number}@d.example") == NOT_FOUND
    assert site.directory.asked <= asked + 200 + 3


@in_fake_time
async def test_without_anything_found_not_found_is_what_it_is() -> None:
    site = Site(SETTINGS)
    for number in range(60):
        assert await site.find(f"other{number}@d.example") == NOT_FOUND


@in_fake_time
async def test_samples_are_asked_again_before_anybody_has_to_wait_for_them() -> None:
    site = await known()
    assert await site.find("first@d.example") == NOT_FOUND
    asked = site.directory.asked
    assert await site.find("second@d.example") == NOT_FOUND
    assert site.directory.asked == asked + 1, "they are trusted, and it is not time yet"
    await asyncio.sleep(RENEWAL + 0.01)
    assert await site.find("third@d.example") == NOT_FOUND
    await asyncio.sleep(0.01)
    assert site.directory.asked == asked + 2 + 3
