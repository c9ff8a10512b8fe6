"""One lookup at a time for the same key, and what may be stored of it. In fake time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account, alias, role
from tests.maps.site import ALIAS, LOGIN, MAILBOX, Site, now
from tests.maps.test_serving import DOWN, KEY, NEW, OLD, SETTINGS, TEMP, UNUSABLE, said, site_with
from vmaild.cache import CacheSettings
from vmaild.directory import Found
from vmaild.lookup import NODATA, NOT_FOUND, found, temporary


@in_fake_time
async def test_many_who_ask_at_once_share_one_search() -> None:
    site = await site_with(None)
    site.directory.takes = 1
    replies = await asyncio.gather(*(site.find(KEY) for _ in range(100)))
    assert replies == [NEW] * 100
    assert site.directory.asked == 1
    assert (site.cache.counters.misses, site.cache.counters.shared, site.maps.in_flight) == (100, 99, 0)


@in_fake_time
async def test_all_maps_of_a_record_share_one_search() -> None:
    site = await site_with(None)
    site.directory.takes = 1
    replies = await asyncio.gather(*(site.find(KEY, name) for name in (MAILBOX, ALIAS, LOGIN)))
    assert replies == [NEW, NODATA, found(KEY.encode())]
    assert site.directory.asked == 1


@in_fake_time
async def test_different_keys_are_searched_at_the_same_time() -> None:
    site = Site()
    site.directory.takes = 1
    start = now()
    await asyncio.gather(*(site.find(f"{n}@d.example") for n in range(10)))
    assert now() - start == pytest.approx(1)
    assert site.directory.asked == 10


@pytest.mark.parametrize("wrong", ["failure", "data", "bug"])
@in_fake_time
async def test_a_failure_reaches_all_who_wait(wrong: str) -> None:
    site = await site_with(None)
    site.directory.takes = 1
    if wrong == "failure":
        site.directory.failure, reply = DOWN, TEMP
    elif wrong == "data":
        site.directory.entries, reply = [account(KEY, "/etc/")], UNUSABLE
    else:
        site.directory.schema, reply = object(), temporary("internal error")  # type: ignore[assignment]
    assert await asyncio.gather(*(site.find(KEY) for _ in range(3))) == [reply] * 3
    assert site.maps.in_flight == 0


@in_fake_time
async def test_a_miss_costs_no_task_and_no_turn_of_the_loop() -> None:
    site = await site_with(None)
    replies: list[Any] = []
    before = asyncio.all_tasks()
    wanted = site.maps.seek(MAILBOX, KEY.encode(), lambda _: b"")
    site.maps.look_up(wanted, replies.append)
    assert replies == [NEW]
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1, 2]])
@in_fake_time
async def test_whoever_is_cancelled_the_others_get_the_one_answer(cancelled: Any) -> None:
    site = await site_with(None)
    site.directory.takes = 1
    asking = [asyncio.ensure_future(site.find(KEY)) for _ in range(3)]
    await asyncio.sleep(0.5)
    for number in cancelled:
        asking[number].cancel()
    replies = await asyncio.gather(*asking, return_exceptions=True)
    await asyncio.sleep(1)
    assert [reply for reply in replies if not isinstance(reply, asyncio.CancelledError)] == [NEW] * (3 - len(cancelled))
    assert site.directory.asked == 1
    assert (site.maps.in_flight, site.cached(KEY)) == (0, NEW)


@in_fake_time
async def test_cancelling_who_waits_for_a_renewal_does_not_stop_it() -> None:
    site = await site_with(OLD, age=301)
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find(KEY))
    await asyncio.sleep(0.5)
    asking.cancel()
    await asyncio.sleep(1)
    assert await site.find(KEY) == NEW
    assert site.directory.asked == 1


@in_fake_time
async def test_many_who_find_the_answer_expired_share_one_search_and_its_failure() -> None:
    site = await site_with(OLD, age=301)
    site.directory.failure, site.directory.takes = DOWN, 1
    assert await asyncio.gather(*(site.find(KEY) for _ in range(10))) == [OLD] * 10
    assert site.directory.asked == 1
    assert site.cache.counters.shared == 9


# --- a newer search found something in between ----------------------------------------------------------------------

ANN = "ann@d.example"


@in_fake_time
async def test_an_older_search_does_not_replace_what_a_newer_one_found_and_tells_the_newer_answer() -> None:
    site = Site()
    site.directory.takes = 3
    slow = asyncio.ensure_future(site.find(ANN))
    await asyncio.sleep(1)
    ann = account(ANN, "d.example/ann/")
    site.directory.entries += [role("d.example", ann.dn), ann]
    site.directory.takes = 0.5
    assert await site.find("postmaster@d.example", ALIAS) == found(ANN.encode())
    assert site.cached(ANN) == found(b"d.example/ann/")
    assert await slow == found(b"d.example/ann/")
    assert site.cached(ANN) == found(b"d.example/ann/")
    assert site.cache.counters.outdated == 1


@in_fake_time
async def test_a_newer_search_replaces_what_an_older_one_found_that_was_stored_meanwhile() -> None:
    site = Site()
    ann = account(ANN, "d.example/ann/")
    site.directory.entries += [role("d.example", ann.dn), ann]
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find("postmaster@d.example", ALIAS))
    await asyncio.sleep(1.5)
    site.directory.takes = 1
    site.directory.entries[1] = account(ANN, "d.example/new/")
    newer = asyncio.ensure_future(site.find(ANN))
    await asking
    assert site.cached(ANN) == found(b"d.example/ann/")
    assert await newer == found(b"d.example/new/")
    assert site.cached(ANN) == found(b"d.example/new/")


@in_fake_time
async def test_what_a_search_says_of_another_key_does_not_come_after_a_newer_record_that_made_room() -> None:
    site = Site(CacheSettings(max_entries=1))
    ann = account(ANN, "d.example/ann/")
    site.directory.entries += [role("d.example", ann.dn), ann, account("b@d.example", "d.example/b/")]
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find("postmaster@d.example", ALIAS))
    await asyncio.sleep(1.1)
    site.directory.takes = 0.1
    site.directory.entries[1] = account(ANN, "d.example/new/")
    assert await site.find(ANN) == found(b"d.example/new/")
    await site.find("b@d.example")
    assert site.record(ANN) is None
    await asking
    assert site.record(ANN) is None


# --- records that a further search completes ------------------------------------------------------------------------


async def with_role(settings: CacheSettings = SETTINGS) -> Site:
    """A site that knows that postmaster has no mailbox, and not yet who occupies the role."""
    site = Site(settings)
    ann = account(ANN, "d.example/ann/")
    site.directory.entries += [role("d.example", ann.dn), ann]
    assert await site.find("postmaster@d.example") == NOT_FOUND
    assert site.directory.asked == 1
    return site


@in_fake_time
async def test_a_map_that_needs_a_further_search_gets_it_when_asked_and_the_others_stay() -> None:
    site = await with_role()
    assert site.cached("postmaster@d.example", ALIAS) is None
    assert await site.find("postmaster@d.example", ALIAS) == found(ANN.encode())
    assert site.directory.asked == 2
    assert site.cached("postmaster@d.example") == NOT_FOUND
    assert site.cached("postmaster@d.example", ALIAS) == found(ANN.encode())


@in_fake_time
async def test_a_further_search_is_never_left_to_a_record_that_expired_meanwhile() -> None:
    site = await with_role()
    await asyncio.sleep(28)
    site.directory.takes = 2.5
    further = asyncio.ensure_future(site.find("postmaster@d.example", ALIAS))
    await asyncio.sleep(2.1)
    site.directory.takes = 0
    site.directory.entries.append(account("postmaster@d.example", "d.example/postmaster/"))
    assert await site.find("postmaster@d.example") == found(b"d.example/postmaster/")
    assert await further == NODATA, "as the record says that was stored in between"
    assert site.cached("postmaster@d.example", ALIAS) == NODATA


@in_fake_time
async def test_a_further_search_that_fails_is_temporary_and_tried_again() -> None:
    site = await with_role()
    site.directory.failure = DOWN
    assert await site.find("postmaster@d.example", ALIAS) == TEMP
    assert site.cached("postmaster@d.example") == NOT_FOUND
    site.directory.failure = None
    assert await site.find("postmaster@d.example", ALIAS) == found(ANN.encode())


@in_fake_time
async def test_a_record_flushed_during_its_further_search_is_not_completed() -> None:
    site = await with_role()
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find("postmaster@d.example", ALIAS))
    await asyncio.sleep(0.5)
    assert site.maps.flush(MAILBOX, b"postmaster@d.example") == 1
    assert await asking == found(ANN.encode())
    assert site.record("postmaster@d.example") is None


@in_fake_time
async def test_a_bound_of_none_still_answers_every_map() -> None:
    site = Site(CacheSettings(max_entries=0, max_negative_entries=0))
    ann = account(ANN, "d.example/ann/")
    site.directory.entries += [role("d.example", ann.dn), ann]
    site.directory.takes = 0.1
    names = (MAILBOX, ALIAS, LOGIN)
    replies = await asyncio.gather(*(site.find("postmaster@d.example", name) for name in names))
    assert replies == [NOT_FOUND, found(ANN.encode()), found(ANN.encode())]
    assert len(site.cache) == 0


@in_fake_time
async def test_who_joins_an_outdated_lookup_is_not_told_what_is_older_than_the_record() -> None:
    """In the field: postmaster NOTFOUND in both maps, from the account that was and the role that is."""
    site = Site()
    site.directory.entries = said(NEW)
    landings = []
    site.directory.begin = lambda search, end, done: landings.append((search, done, now()))
    replies: list[Any] = []
    site.maps.look_up(site.maps.seek(ALIAS, KEY.encode(), lambda _: b""), replies.append)
    began = landings[0][2]
    await asyncio.sleep(1)
    prefix = site.maps._maps[MAILBOX].prefix
    site.cache.store(prefix + KEY.encode(), (NOT_FOUND, None, None), None)
    site.maps._flights.stored(prefix + KEY.encode(), now())
    landings[0][1](Found(said(NEW), began, site.directory.schema))
    assert replies == [], "the newer record does not know: it is asked again"
    landings[1][1](Found([alias(KEY, "b@d.example")], now(), site.directory.schema))
    assert replies == [found(b"b@d.example")]
