"""Changes with a great many records, values or domains: the loop has its turns, and nothing grows without a bound.

Seen by reading: each of these held the loop for 0.1 to 8 seconds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import BASE, account, alias, entry, role
from tests.maps.site import ALIAS, now
from tests.maps.test_freshness import ANN, BOB, Heard, domain
from vmaild.cache import CacheSettings
from vmaild.cache.crowd import FIRST_PART, Crowd
from vmaild.cache.dependents import Dependents, of_address, of_domain, of_entry
from vmaild.feed import HostedDomains
from vmaild.feed.domains import TOGETHER
from vmaild.lookup import NOT_FOUND, Entry, found
from vmaild.maps.freshness import COMPARED, MANY_VALUES
from vmaild.maps.origins import LONGEST_KEY, NOTED
from vmaild.maps.walk import DROPPED, SLICE
from vmaild.tables.hosted import hosted_domains

MANY = CacheSettings(max_negative_entries=100_000)


async def one_by_one(entries: list[Entry]) -> AsyncIterator[Entry]:
    for one in entries:
        yield one


async def turns_during(work: Awaitable[None]) -> int:
    """How many turns the loop has had until ``work`` was done."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    await work
    counting.cancel()
    return turns


def store_not_found(site: Heard, count: int) -> list[bytes]:
    keys = [b"0 %d@d.example" % number for number in range(count)]
    for key in keys:
        site.cache.store(key, (NOT_FOUND, NOT_FOUND, NOT_FOUND), None)
        site.freshness._dependents.add(of_domain("d.example"), key, 0)
    return keys


@in_fake_time
async def test_many_not_found_of_one_domain_are_dropped_in_several_turns() -> None:
    site = Heard(MANY)
    keys = store_not_found(site, 10 * DROPPED)
    site.put("ann", account(ANN, "d.example/ann/"))
    assert sum(site.cache.get(key) is not None for key in keys) == 9 * DROPPED
    assert await turns_during(site.freshness.finish()) >= 9
    assert not any(site.cache.get(key) for key in keys)
    assert site.freshness.counters.dropped == len(keys)


@in_fake_time
async def test_all_entries_are_compared_with_those_that_are_there_in_several_turns() -> None:
    site = Heard()
    for number in range(5 * COMPARED):
        site.freshness._dependents.add(of_entry(number.to_bytes(16)), b"0 x", 1)
    assert await turns_during(site.freshness.present(lambda _: False)) >= 5
    assert not any(site.freshness._dependents.entries())


@in_fake_time
async def test_what_is_remembered_of_many_deletions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmaild.maps.recent_changes.MOST", 2 * COMPARED)
    site = Heard()
    for number in range(10 * COMPARED):
        site.freshness._dependents.add(of_entry(number.to_bytes(16)), b"0 x", 1)
    await site.freshness.present(lambda _: False)
    recent = site.freshness._recent
    assert len(recent._now) + len(recent._before) <= 6 * COMPARED


@in_fake_time
async def test_however_often_everything_is_aged_there_is_one_walk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Heard(MANY)
    store_not_found(site, 3 * SLICE)
    lists = []
    every = site.cache.all
    monkeypatch.setattr(site.cache, "all", lambda: lists.append(1) or every())  # type: ignore[func-returns-value]
    for number in range(100):
        site.freshness.age_all()
        site.freshness.drop_domain(f"{number}.example")
        site.cache.store(b"0 %d@new.example" % number, (NOT_FOUND, NOT_FOUND, NOT_FOUND), None)
        site.cache.store(b"0 x@%d.example" % number, (NOT_FOUND, NOT_FOUND, NOT_FOUND), None)
    site.freshness.drop_domain("99.example")
    await site.freshness.finish()
    assert len(lists) == 2, "the one that goes on, and the next, which does what all others were to do"
    assert all(record.refresh_at <= now() for record in site.cache.all() if b"@d." in record.key)
    assert site.record("x@99.example") is None
    assert site.record("x@0.example") is None


@in_fake_time
async def test_what_was_aged_and_not_renewed_since_is_not_gone_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Heard()
    await site.find(ANN)
    walks: list[Any] = []
    monkeypatch.setattr(site.freshness._walk, "through", walks.append)
    for _ in range(50):
        site.freshness.age_all()
    assert len(walks) == 1
    await site.find(BOB)
    site.freshness.age_all()
    assert len(walks) == 2
    assert site.freshness.counters.aged == 51


@in_fake_time
async def test_an_entry_of_many_addresses_drops_its_domain_and_no_other() -> None:
    site = Heard()
    site.plant("other", account("x@e.example", "e.example/x/"))
    for key in (ANN, "v7@d.example", "x@e.example"):
        await site.find(key)
    many = account(ANN, "d.example/ann/")
    values = (b"ann@d.example", *(b"v%d@d.example" % number for number in range(MANY_VALUES)))
    site.put("ann", Entry(many.dn, {**many.attributes, "mail": values}))
    assert site.record(ANN) is None
    assert site.record("v7@d.example") is None
    assert await site.find("v7@d.example") == found(b"d.example/ann/")
    assert site.cached("x@e.example") == found(b"e.example/x/")
    assert site.freshness.counters.aged == 0


@in_fake_time
async def test_a_search_that_an_entry_of_many_addresses_overtook_is_not_stored() -> None:
    site = Heard()
    site.directory.takes = 1
    asking = [asyncio.ensure_future(site.find(key)) for key in ("v7@d.example", "x@e.example")]
    await asyncio.sleep(0.5)
    one = account(ANN, "d.example/ann/")
    values = (b"ann@d.example", *(b"v%d@d.example" % number for number in range(MANY_VALUES)))
    site.put("ann", Entry(one.dn, {**one.attributes, "mail": values}))
    await asyncio.gather(*asking)
    assert site.record("v7@d.example") is None
    assert site.cached("x@e.example") == NOT_FOUND


def test_a_crowd_loses_those_that_have_gone_part_by_part() -> None:
    alive = {b"%d" % number for number in range(3 * FIRST_PART)}
    crowd = Crowd([], 1)
    asked: list[int] = []
    for key in sorted(alive):
        before = len(asked)
        crowd.add(key, lambda one: asked.append(1) or one in alive)  # type: ignore[func-returns-value]
        assert len(asked) - before <= FIRST_PART
    assert set(crowd) == alive
    assert len(crowd) == len(alive)
    assert all(key in crowd for key in alive)
    gone, alive = alive, {b"n%d" % number for number in range(8 * FIRST_PART)}
    for key in sorted(alive):
        crowd.add(key, alive.__contains__)
    assert alive <= set(crowd)
    assert len(crowd) < len(alive) + len(gone) / 2


def test_of_a_large_crowd_only_others_than_those_that_are_right_are_taken() -> None:
    dependents = Dependents(lambda key: True)
    entry, address = of_entry(os.urandom(16)), of_address("@d.example")
    keys = [b"0 %d@d.example" % number for number in range(5000)]
    for key in keys[1:]:
        dependents.add(entry, key, 7)
    for key in keys:
        dependents.add(address, key)
    right = dependents.seen(entry, 7)
    assert len(dependents.take(entry, 7)) == 0
    assert list(dependents.take(address, but=right)) == keys[:1]
    assert set(dependents.take(entry, 8)) == set(keys[1:])
    assert len(dependents.take(entry, 9)) == 0


@in_fake_time
async def test_many_hosted_domains_leave_the_loop_its_turns_and_are_worked_out_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Heard()
    hosted = hosted_domains([group for _, group in site.maps.groups])
    assert hosted is not None
    domains = HostedDomains(hosted, site.maps, site.freshness, None, stale=100.0, clock=now)
    many = [
        Entry(one.dn, {"entryuuid": (b"%032x" % number,)})
        for number, one in enumerate(domain(f"d{number}.example") for number in range(3 * TOGETHER))
    ]
    assert await turns_during(domains.take(one_by_one(many), now())) >= 3
    assert len(domains.names) == len(many)
    monkeypatch.setattr(type(hosted), "domain", None)
    await domains.take(one_by_one(many), now())
    assert await site.find("x@other.example") == NOT_FOUND
    assert site.directory.asked == 0
    domains.add("other.example")
    await site.find("x@other.example")
    assert site.directory.asked == 1
    assert len(site.freshness._containers) == len(many)


@in_fake_time
async def test_names_of_one_form_are_one_as_long_as_one_of_them_is_there() -> None:
    site = Heard()
    hosted = hosted_domains([group for _, group in site.maps.groups])
    assert hosted is not None
    domains = HostedDomains(hosted, site.maps, site.freshness, None, stale=1000.0, clock=now)
    composed, apart = "b\u00fccher.example", "bu\u0308cher.example"
    await domains.take(one_by_one([domain(composed), domain(apart)]), now())
    await domains.take(one_by_one([domain(composed)]), now() + 1)
    await domains.take(one_by_one([domain(composed)]), now() + 62)
    assert set(domains.names) == {composed}
    assert set(domains._forms) == {composed.encode(), b"xn--bcher-kva.example"}


@in_fake_time
async def test_the_entries_of_a_group_are_noted_at_once_and_not_kept_for_later() -> None:
    site = Heard()
    ann = account(ANN, "d.example/ann/")
    site.plant("ann", ann)
    site.plant("role", role("d.example", ann.dn))
    await site.find("postmaster@d.example", ALIAS)
    assert site.freshness.made == []
    await site.find(BOB)
    assert len(site.freshness.made) == 1


@in_fake_time
async def test_what_another_server_said_before_the_feed_went_over_to_it_lives_as_without_a_feed() -> None:
    """Seen by reading: what was noted late was taken for heard, since by then that server was the one in use."""
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.freshness.heard("ldap://first.example")
    await site.find(ANN)  # answered by another
    site.freshness.heard("")
    await asyncio.sleep(301)
    assert site.cached(ANN) is None


@pytest.mark.slow
@in_fake_time
async def test_a_catch_all_that_changes_drops_all_that_it_answered_in_several_turns() -> None:
    site = Heard(CacheSettings(max_entries=100_000))
    site.plant("all", alias("@d.example", "all@x.example"))
    keys = [f"u{number}@d.example" for number in range(3 * DROPPED)]
    for key in keys:
        await site.find(key, ALIAS)
    site.put("all", alias("@d.example", "other@x.example"))
    await site.freshness.finish()
    assert not any(site.record(key) for key in keys)
    assert await site.find(keys[0], ALIAS) == found(b"other@x.example")
    assert f"@d.example,o=d.example,{BASE}" in site.tree["all"].dn


MEMBERS = 5 * NOTED


def large_group(site: Heard) -> None:
    for number in range(MEMBERS):
        site.plant(f"m{number}", account(f"m{number}@d.example", f"d.example/{number}/"))
    site.plant("role", role("d.example", *(one.dn for one in list(site.tree.values()))))


@in_fake_time
async def test_a_group_of_many_members_is_noted_in_several_turns_and_follows_each_of_them() -> None:
    """5,000 members took a tenth of a second."""
    site = Heard()
    large_group(site)
    await site.find("postmaster@d.example", ALIAS)
    assert len(site.freshness._dependents) <= NOTED + 1
    assert await turns_during(site.freshness.finish()) >= 5
    assert site.cached("postmaster@d.example", ALIAS) is not None
    site.remove(f"m{MEMBERS - 1}")
    assert site.record("postmaster@d.example") is None


@in_fake_time
async def test_a_member_that_changes_while_its_group_is_noted_is_not_missed() -> None:
    site = Heard()
    large_group(site)
    await site.find("postmaster@d.example", ALIAS)
    site.remove(f"m{MEMBERS - 1}")
    assert site.cached("postmaster@d.example", ALIAS) is not None, "for some turns of the loop"
    await site.freshness.finish()
    assert site.record("postmaster@d.example") is None
    assert site.freshness.counters.overtaken == 1


@in_fake_time
async def test_a_search_that_saw_what_was_deleted_while_nothing_was_heard_is_not_stored() -> None:
    """Seen by reading: the entry was not known yet when those that are there were compared, and served for a day."""
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find(ANN))
    await asyncio.sleep(0.5)
    del site.tree["ann"]
    await site.freshness.present(lambda _: False)
    assert await asking == found(b"d.example/ann/")
    assert site.record(ANN) is None


@in_fake_time
async def test_a_domain_that_is_renamed_takes_along_what_was_asked_for_in_its_other_form() -> None:
    site = Heard()
    prefix = next(prefix for prefix, group in site.maps.groups if len(group.tables) == 3)
    keys = [prefix + b"x@xn--bcher-kva.example", prefix + "x@b\u00fccher.example".encode(), prefix + b"x@e.example"]
    for key in keys:
        site.cache.store(key, (NOT_FOUND, NOT_FOUND, NOT_FOUND), None)
    site.freshness.drop_domain("b\u00fccher.example")
    assert [site.cache.get(key) is not None for key in keys] == [False, False, True]


@in_fake_time
async def test_logins_that_are_recorded_leave_maps_alone_whose_keys_no_entry_tells() -> None:
    """Seen by reading: with ``(uid=%u)`` each login aged everything."""
    site = Heard(maps={"people": {"search_base": BASE, "query_filter": "(cn=%u)", "keys": "exact"}})
    ann = account(ANN, "d.example/ann/")
    site.put("ann", ann)
    await asyncio.sleep(0.01)
    await site.find(ANN)
    await site.find(BOB, b"people")
    aged = site.freshness.counters.aged
    for number in range(50):
        site.put("ann", Entry(ann.dn, {**ann.attributes, "authtimestamp": (b"%d" % number,)}))
    assert site.freshness.counters.aged == aged
    assert site.cached(BOB, b"people") == NOT_FOUND
    site.put("ann", account(ANN, "d.example/elsewhere/"))
    assert site.freshness.counters.aged == aged + 1
    assert site.record(ANN) is None


@in_fake_time
async def test_what_is_as_it_was_reported_is_taken_up_again_after_something_was_not_reported() -> None:
    site = Heard()
    ann = account(ANN, "d.example/ann/")
    site.put("ann", ann)
    site.plant("ann", account(ANN, "d.example/elsewhere/"))
    await asyncio.sleep(0.01)
    await site.find(ANN)
    site.freshness.age_all()
    site.put("ann", ann)
    assert site.record(ANN) is None


@in_fake_time
async def test_an_entry_that_was_written_between_two_searches_of_a_lookup_is_not_taken_for_seen() -> None:
    """Found at random: a group that is its own member, of which the lookup saw both states."""
    group: dict[str, object] = {
        "search_base": BASE,
        "query_filter": "(&(objectClass=organizationalRole)(mail=%s))",
        "special_result_attribute": "roleOccupant",
        "result_attribute": "maildrop",
        "keys": "exact",
    }
    site = Heard(maps={"groups": group})
    dn, key = f"cn=g,o=d.example,{BASE}", "g@d.example"
    both = entry(dn, "organizationalRole", mail=(key,), roleOccupant=(dn,), maildrop=("old@x.example",))
    after = entry(dn, "organizationalRole", mail=("h@d.example",), maildrop=("new@x.example",))
    site.put("g", both)
    await asyncio.sleep(0.01)
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find(key, b"groups"))
    await asyncio.sleep(0.5)
    site.put("g", after)
    assert b"old@x.example" in (await asking).text
    assert site.cached(key, b"groups") is None


@in_fake_time
async def test_an_entry_that_is_too_long_to_be_told_of_drops_its_records_and_has_all_others_asked_again() -> None:
    """It may have any address now."""
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.plant("bob", account(BOB, "d.example/bob/"))
    for key in (ANN, BOB, "no@d.example"):
        await site.find(key)
    aged = site.freshness.counters.aged
    ann = site.plant("ann", account(ANN, "d.example/elsewhere/"))
    site.plant("no", account("no@d.example", "d.example/no/"))
    site.freshness.changed(ann.dn, site.uuids["ann"].bytes, None, added=False)
    assert site.record(ANN) is None
    assert site.freshness.counters.aged == aged + 1
    await asyncio.sleep(0.1)
    await site.find("no@d.example")
    await asyncio.sleep(0.1)
    assert await site.find("no@d.example") == found(b"d.example/no/")
    assert site.cached(BOB) != NOT_FOUND


@in_fake_time
async def test_a_key_that_is_too_long_to_be_noted_lives_as_without_a_feed() -> None:
    site = Heard()
    short, long = "x@e.example", f"{'x' * LONGEST_KEY}@e.example"
    await site.find(short)
    await site.find(long)
    site.put("ann", account(ANN, "d.example/ann/"))
    await asyncio.sleep(100)
    assert site.cached(short) == NOT_FOUND
    assert site.cached(long) is None


@in_fake_time
async def test_closing_ends_a_walk_that_goes_on_and_can_be_done_twice() -> None:
    site = Heard(MANY)
    store_not_found(site, 5 * SLICE)
    site.freshness.drop_domain("d.example")
    await asyncio.sleep(0)
    left = len(site.cache)
    await site.freshness.close()
    await site.freshness.close()
    for _ in range(20):
        await asyncio.sleep(0)
    assert left == len(site.cache) > 0
