"""Forgetting records. In fake time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account, alias, role
from tests.maps.site import ALIAS, MAILBOX, Site
from tests.maps.test_serving import KEY, NEW, OLD, said, site_with
from vmaild.cache import Answer
from vmaild.lookup import NODATA, NOT_FOUND, found

UID = b"virtual_uid_maps"


async def filled() -> Site:
    site = Site()
    site.directory.entries = [account("x@d.example", "d.example/x/"), alias("z@d.example", "x@d.example")]
    for key in ("x@d.example", "y@d.example", "z@d.example"):
        await site.find(key)
        await site.find(key, UID)
    return site


def left(site: Site) -> set[str]:
    keys = [(name, f"{letter}@d.example") for name in (MAILBOX, ALIAS, UID) for letter in "xyz"]
    return {f"{name.decode()} {key[0]}" for name, key in keys if site.cached(key, name) is not None}


MAILS = {f"virtual_{name}_maps {letter}" for name in ("mailbox", "alias") for letter in "xyz"}
UIDS = {f"virtual_uid_maps {letter}" for letter in "xyz"}


@pytest.mark.parametrize(
    ("flush", "gone", "count"),
    [
        ((), MAILS | UIDS, 6),
        ((MAILBOX,), MAILS, 3),
        ((b"Virtual_Alias_Maps", b"X@d.example"), {"virtual_mailbox_maps x", "virtual_alias_maps x"}, 1),
        ((UID, b"x@d.example"), {"virtual_uid_maps x"}, 1),
        ((MAILBOX, b"q@d.example"), set(), 0),
        ((b"unknown",), set(), 0),
        ((MAILBOX, b"\xff"), set(), 0),
    ],
)
@in_fake_time
async def test_flush_forgets_the_records_that_it_names_for_all_their_maps_and_counts_them(
    flush: Any, gone: Any, count: int
) -> None:
    site = await filled()
    everything, records = left(site), len(site.cache)
    assert everything >= MAILS
    assert site.maps.flush(*flush) == count
    assert left(site) == everything - gone
    assert len(site.cache) == sum(site.cache.counts.values()) == records - count


@pytest.mark.parametrize("flush", [(), (MAILBOX,), (MAILBOX, KEY.encode()), (ALIAS, KEY.encode())])
@in_fake_time
async def test_an_answer_that_was_asked_for_before_the_flush_is_not_stored_after_it(flush: Any) -> None:
    site = Site()
    site.directory.entries, site.directory.takes = said(OLD), 2
    asking = asyncio.ensure_future(site.find(KEY))
    await asyncio.sleep(1)
    site.maps.flush(*flush)
    await asyncio.sleep(0.1)
    site.directory.entries = said(NEW)
    after = asyncio.ensure_future(site.find(KEY))
    assert await asking == OLD
    assert len(site.cache) == 0
    assert await site.find(KEY) == await after == NEW
    assert site.directory.asked == 2, "who came after the flush shares the search that began after it"
    assert site.cached(KEY) == NEW


@in_fake_time
async def test_a_lookup_that_a_flush_overtook_and_that_ends_last_replaces_nothing() -> None:
    site = Site()
    site.directory.entries, site.directory.takes = said(OLD), 2
    asking = asyncio.ensure_future(site.find(KEY))
    await asyncio.sleep(1)
    site.maps.flush()
    site.directory.entries, site.directory.takes = said(NEW), 0.1
    assert await site.find(KEY) == NEW
    assert await asking == NEW
    assert site.cached(KEY) == NEW


@in_fake_time
async def test_a_stale_answer_that_is_flushed_while_the_directory_is_slow_is_not_given() -> None:
    site = await site_with(OLD, age=301)
    site.directory.takes = 2.9
    asking = asyncio.ensure_future(site.find(KEY))
    await asyncio.sleep(1)
    site.maps.flush()
    assert await asking == NEW


@pytest.mark.parametrize("flush", [(), (MAILBOX,), (MAILBOX, KEY.encode())])
@in_fake_time
async def test_a_flushed_answer_that_is_still_held_no_longer_serves(flush: Any) -> None:
    site = await site_with(OLD)
    answer = site.maps.seek(MAILBOX, KEY.encode(), lambda _: b"wire")
    assert isinstance(answer, Answer)
    site.maps.flush(*flush)
    assert answer.record.retired


@in_fake_time
async def test_the_role_applies_in_both_maps_after_the_account_is_gone_and_one_map_is_flushed() -> None:
    """In the field: both NOTFOUND for ``ttl``, since each map's answer was cached by itself."""
    site = Site()
    ann, postmaster = account("ann@d.example", "d.example/ann/"), account("postmaster@d.example", "d.example/p/")
    site.directory.entries = [ann, postmaster, role("d.example", ann.dn)]
    assert await site.find("postmaster@d.example", ALIAS) == NODATA
    site.directory.entries.remove(postmaster)
    site.maps.flush(MAILBOX, b"postmaster@d.example")
    assert await site.find("postmaster@d.example") == NOT_FOUND
    assert await site.find("postmaster@d.example", ALIAS) == found(b"ann@d.example")
