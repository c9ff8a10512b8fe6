"""When the directory is asked, when an answer serves, and what a failure changes. In fake time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account, alias
from tests.maps.site import ALIAS, MAILBOX, Site, now
from vmaild.cache import CacheSettings
from vmaild.errors import DirectoryFailure, Overloaded
from vmaild.lookup import NODATA, NOT_FOUND, Entry, Reply, Status, found, temporary

KEY = "a@d.example"
OLD, NEW = found(b"d.example/old/"), found(b"d.example/new/")
DOWN = DirectoryFailure("down")
TEMP = temporary("directory unavailable")
UNUSABLE = temporary("directory data is not usable for this key")

SETTINGS = CacheSettings(ttl=300, negative_ttl=30, stale_ttl=1000, stale_answer_after=1.8, failure_recheck=5)


def said(reply: Reply) -> list[Entry]:
    """Entries that make the mailbox map give ``reply``."""
    if reply is NODATA:
        return [alias(KEY, "b@d.example")]
    return [] if reply is NOT_FOUND else [account(KEY, reply.text.decode())]


async def site_with(reply: Reply | None, *, age: float = 0.0, settings: CacheSettings = SETTINGS) -> Site:
    """A site that has stored ``reply`` that long ago, over a directory that now says NEW."""
    site = Site(settings)
    if reply is not None:
        site.directory.entries = said(reply)
        assert await site.find(KEY) == reply
        site.directory.searches.clear()
    site.directory.entries = said(NEW)
    await asyncio.sleep(age)
    return site


@in_fake_time
async def test_an_unknown_key_is_asked_for_and_its_answer_is_fresh() -> None:
    site = await site_with(None)
    assert site.cached(KEY) is None
    assert await site.find(KEY) == NEW
    assert site.cached(KEY) == NEW
    assert await site.find(KEY) == NEW
    assert site.directory.asked == 1
    assert (site.cache.counters.misses, site.cache.counters.stored) == (1, 1)


@pytest.mark.parametrize("reply", [OLD, NOT_FOUND, NODATA])
@in_fake_time
async def test_an_answer_keeps_its_reply(reply: Any) -> None:
    site = await site_with(reply)
    assert await site.find(KEY) == reply


@pytest.mark.parametrize(("reply", "ttl"), [(OLD, 300), (NODATA, 300), (NOT_FOUND, 30)])
@in_fake_time
async def test_an_answer_is_fresh_for_nine_tenths_of_its_life(reply: Any, ttl: int) -> None:
    site = await site_with(reply, age=ttl * 0.9 - 0.2)
    assert site.cached(KEY) == reply
    await asyncio.sleep(0.25)
    assert site.cached(KEY) is None


@in_fake_time
async def test_in_the_last_tenth_one_asker_starts_one_search_and_nobody_waits() -> None:
    site = await site_with(OLD, age=280)
    site.directory.takes = 1
    start = now()
    assert await site.find(KEY) == OLD
    assert site.cached(KEY) == OLD
    assert await site.find(KEY) == OLD
    assert now() == start
    await asyncio.sleep(1.01)
    assert site.directory.asked == 1
    assert site.cache.counters.prefetches == 1
    assert await site.find(KEY) == NEW
    await asyncio.sleep(268)
    assert site.cached(KEY) == NEW


@in_fake_time
async def test_a_prefetch_renews_all_maps_of_the_record_together() -> None:
    site = await site_with(OLD, age=280)
    site.directory.entries = [alias(KEY, "b@d.example")]
    assert await site.find(KEY) == OLD
    await asyncio.sleep(0)
    assert (site.cached(KEY), site.cached(KEY, ALIAS)) == (NODATA, found(b"b@d.example"))


@in_fake_time
async def test_a_prefetch_that_fails_is_tried_again_after_the_recheck_time_and_the_answer_still_serves() -> None:
    site = await site_with(OLD, age=280)
    site.directory.failure = DOWN
    assert await site.find(KEY) == OLD
    await asyncio.sleep(4.9)
    assert await site.find(KEY) == OLD
    assert site.directory.asked == 1
    await asyncio.sleep(0.2)
    assert await site.find(KEY) == OLD
    assert site.directory.asked == 2


@in_fake_time
async def test_a_prefetch_that_fails_just_before_the_end_is_not_repeated_at_the_end() -> None:
    site = await site_with(OLD, age=298)
    site.directory.failure = DOWN
    assert await site.find(KEY) == OLD
    await asyncio.sleep(4)
    assert site.cached(KEY) == OLD
    assert site.directory.asked == 1


@in_fake_time
async def test_an_expired_answer_is_not_given_while_the_directory_answers_in_time() -> None:
    site = await site_with(OLD, age=301)
    site.directory.takes = 1.7
    assert await site.find(KEY) == NEW
    assert (site.directory.asked, site.cache.counters.expired, site.cache.counters.slow) == (1, 1, 0)


@pytest.mark.parametrize("failure", [DOWN, Overloaded("full")])
@in_fake_time
async def test_a_stale_answer_serves_when_the_directory_fails(failure: Any) -> None:
    site = await site_with(OLD, age=301)
    site.directory.failure = failure
    assert await site.find(KEY) == OLD
    assert site.cache.counters.failures == 1


@in_fake_time
async def test_a_stale_answer_serves_after_1_8_seconds_and_the_search_goes_on() -> None:
    site = await site_with(OLD, age=301)
    site.directory.takes = 2.5
    start = now()
    assert await site.find(KEY) == OLD
    assert now() - start == pytest.approx(1.8)
    assert site.cache.counters.slow == 1
    assert site.cached(KEY) == OLD, "the next one does not wait again"
    await asyncio.sleep(1)
    assert await site.find(KEY) == NEW
    assert site.directory.asked == 1


@in_fake_time
async def test_a_failed_key_is_not_asked_again_for_the_recheck_time_while_a_stale_answer_serves() -> None:
    site = await site_with(OLD, age=301)
    site.directory.failure = DOWN
    await site.find(KEY)
    for _ in range(49):
        await asyncio.sleep(0.1)
        assert site.cached(KEY) == OLD
    await asyncio.sleep(0.2)
    assert site.cached(KEY) is None
    site.directory.failure = None
    assert await site.find(KEY) == NEW
    assert site.directory.asked == 2


@in_fake_time
async def test_a_key_without_a_stale_answer_is_asked_again_at_once_after_a_failure() -> None:
    site = await site_with(None)
    site.directory.failure = DOWN
    for asked in (1, 2):
        assert await site.find(KEY) == TEMP
        assert site.directory.asked == asked
    assert len(site.cache) == 0


@pytest.mark.parametrize(("reply", "life", "stale"), [(OLD, 300, 1000), (NODATA, 300, 1000), (NOT_FOUND, 30, 30)])
@in_fake_time
async def test_a_stale_answer_serves_for_its_time_and_not_longer(reply: Any, life: int, stale: int) -> None:
    site = await site_with(reply, age=life + stale - 1)
    site.directory.failure = DOWN
    assert await site.find(KEY) == reply
    await asyncio.sleep(0.8)
    assert site.cached(KEY) == reply
    await asyncio.sleep(0.3)
    assert site.cached(KEY) is None
    assert await site.find(KEY) == TEMP


@in_fake_time
async def test_a_stale_answer_that_runs_out_while_the_directory_is_slow_is_not_given() -> None:
    site = await site_with(NOT_FOUND, age=59)
    site.directory.takes = 60
    assert await site.find(KEY) == TEMP
    assert site.directory.asked == 1


@in_fake_time
async def test_who_has_no_stale_answer_waits_on_where_others_have_one() -> None:
    site = await site_with(NOT_FOUND, age=40)
    record = _record(site)
    record.known = (record.known[0], None, *record.known[2:])  # the alias map's answer could not be had
    site.directory.takes = 2.5
    start = now()
    mailbox, other = asyncio.ensure_future(site.find(KEY)), asyncio.ensure_future(site.find(KEY, ALIAS))
    assert (await mailbox, now() - start) == (NOT_FOUND, pytest.approx(1.8))
    assert (await other, now() - start) == (NODATA, pytest.approx(2.5))
    assert site.directory.asked == 1


@in_fake_time
async def test_a_failure_is_never_cached() -> None:
    site = await site_with(None)
    site.directory.failure = DOWN
    assert await site.find(KEY) == TEMP
    assert len(site.cache) == 0
    assert site.cached(KEY) is None


@in_fake_time
async def test_a_failure_does_not_shorten_what_was_stored_meanwhile() -> None:
    site = await site_with(OLD, age=301)
    site.directory.failure, site.directory.takes = DOWN, 1
    asking = asyncio.ensure_future(site.find(KEY))
    await asyncio.sleep(0.5)
    record = _record(site)
    site.cache.store(record.key, (NEW.text, *record.known[1:]), None)
    assert await asking == NEW
    await asyncio.sleep(260)
    assert site.cached(KEY) == NEW


def _record(site: Site) -> Any:
    record = site.record(KEY)
    assert record is not None
    return record


@pytest.mark.parametrize("age", [280, 301])
@in_fake_time
async def test_unusable_data_takes_the_old_answer_away_instead_of_serving_it(age: int) -> None:
    site = await site_with(OLD, age=age)
    site.directory.entries = [account(KEY, "/etc/")]
    if age == 280:
        assert await site.find(KEY) == OLD
    assert await site.find(KEY) == UNUSABLE
    site.directory.failure = DOWN
    assert await site.find(KEY) == UNUSABLE
    await asyncio.sleep(6)
    assert await site.find(KEY) == TEMP


@pytest.mark.parametrize("bug", [RuntimeError("bug"), TimeoutError()])
@in_fake_time
async def test_a_bug_is_told_as_such_and_no_stale_answer_hides_it(bug: Any) -> None:
    site = await site_with(OLD, age=301)
    site.directory.bug = bug
    assert await site.find(KEY) == temporary("internal error")


@in_fake_time
async def test_a_bug_in_a_prefetch_is_logged_and_the_answer_serves(caplog: pytest.LogCaptureFixture) -> None:
    site = await site_with(OLD, age=280)
    site.directory.bug = RuntimeError("bug")
    assert await site.find(KEY) == OLD
    await asyncio.sleep(1)
    assert "RuntimeError: bug" in caplog.text
    assert await site.find(KEY) == OLD


@in_fake_time
async def test_the_directory_changing_its_mind_replaces_the_answer() -> None:
    site = await site_with(OLD, age=301)
    site.directory.entries = []
    assert await site.find(KEY) == NOT_FOUND
    assert site.cache.counts == {True: 0, False: 1}
    await asyncio.sleep(31)
    site.directory.entries = said(NEW)
    assert await site.find(KEY) == NEW
    assert site.cache.counts == {True: 1, False: 0}


@in_fake_time
async def test_a_life_of_nothing_asks_each_time_and_still_serves_stale() -> None:
    site = await site_with(None, settings=CacheSettings(ttl=0))
    for asked in (1, 2):
        assert await site.find(KEY) == NEW
        assert site.directory.asked == asked
    site.directory.failure = DOWN
    assert await site.find(KEY) == NEW


@in_fake_time
async def test_a_value_that_no_reply_can_carry_is_unusable() -> None:
    site = await site_with(None)
    site.directory.entries = [alias(KEY, "v" * 100_000)]
    reply = await site.find(KEY, ALIAS)
    assert reply.status is Status.TEMPORARY


@in_fake_time
async def test_answers_are_counted_by_map_status_and_staleness() -> None:
    site = await site_with(OLD)
    await site.find("other@d.example")
    await site.find(KEY)
    await site.find("other@d.example", ALIAS)
    await asyncio.sleep(301)
    site.directory.failure = DOWN
    await site.find(KEY)
    await site.find(KEY)
    assert {(t.map_name, t.status.name, t.stale): t.hits for t in site.cache.tallies if t.hits} == {
        (MAILBOX.decode(), "FOUND", False): 1,
        (MAILBOX.decode(), "FOUND", True): 2,
        (ALIAS.decode(), "NOT_FOUND", False): 1,
    }
