"""Hearing of changes on a real slapd: sync, poll, none; what is caught up with after a break."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directory import sync_rig
from tests.directory.rig import until
from tests.feed.rig import ALIAS, DOMAINS, MAILBOX, hearing
from tests.maps.site import Site
from tests.support.directory import account, alias
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import SEARCH_BASE, tree
from vmaild.directory import Context, Cookie, DirectorySettings, Pool
from vmaild.directory.sync_cookie import Csn
from vmaild.feed import Feed, feed, poll
from vmaild.lookup import NOT_FOUND, found

DOMAIN1 = f"o=domain1.example,{SEARCH_BASE}"


@pytest.fixture
def slapd(tmp_path: Path) -> Iterator[Slapd]:
    with Slapd(tmp_path / "slapd", ldif=tree(), syncprov=True) as running:
        yield running


def dn(address: str) -> str:
    return f"mail={address},o={address.rpartition('@')[2]},{SEARCH_BASE}"


@pytest.mark.parametrize("changes", ["auto", "poll"])
async def test_what_changes_shows_and_what_does_not_stays(slapd: Slapd, changes: str) -> None:
    async with hearing([slapd.uri], changes) as site:
        assert (await site.find("user2@domain2.example")).text == b"domain2.example/user2/"
        assert await site.find("new@domain1.example") == NOT_FOUND
        began = time.monotonic()
        await asyncio.to_thread(slapd.add, account("new@domain1.example"))
        await site.seconds_until_changed("new@domain1.example", MAILBOX, NOT_FOUND, began)
        before = await site.find("new@domain1.example")
        await sync_rig.change(slapd, dn("new@domain1.example"), "delete")
        await site.seconds_until_changed("new@domain1.example", MAILBOX, before, began)
        if changes == "auto":
            assert site.is_cached("user2@domain2.example")
            assert site.freshness.counters.aged == 0


async def test_a_poll_keeps_to_the_servers_limits(tmp_path: Path) -> None:
    config = ["sizelimit size.soft=5 size.hard=10"]
    with Slapd(tmp_path / "slapd", ldif=tree(), syncprov=True, config=config) as slapd:
        async with hearing([slapd.uri], "poll", domains=False) as site:
            user = "user2@domain2.example"
            assert (await site.find(user)).text == b"domain2.example/user2/"
            await asyncio.to_thread(slapd.add, account("one@domain1.example"))
            await until(lambda: site.freshness.counters.changes > 0)
            await asyncio.sleep(0.1)
            assert site.freshness.counters.aged == 0
            await asyncio.to_thread(slapd.add, "\n".join(account(f"a{n}@domain1.example") for n in range(20)))
            await until(lambda: site.freshness.counters.aged > 0)
            assert site.feed.counters.losses == 0
            assert (await site.find(user)).text == b"domain2.example/user2/"


async def test_a_deletion_that_a_poll_may_have_missed_is_not_forgotten_with_its_connection(
    slapd: Slapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen by reading: the address was answered for a day."""
    monkeypatch.setattr(poll, "DOUBT", 2.0)
    deleted, written = dn("user2@domain2.example"), dn("user1@domain1.example")
    hidden = f"dn: {deleted}\nchangetype: delete\n\ndn: {written}\nchangetype: modify\nreplace: mailbox\nmailbox: x/\n"
    async with hearing([slapd.uri], "poll", domains=False) as site:
        before = await site.find("user2@domain2.example")
        began = time.monotonic()
        await asyncio.to_thread(slapd.modify, hidden)
        await until(lambda: site.freshness.counters.changes > 0)
        assert site.freshness.counters.aged == 0, "it was hidden"
        await asyncio.to_thread(slapd.restart)
        await until(lambda: site.feed.counters.connects == 2)
        await site.seconds_until_changed("user2@domain2.example", MAILBOX, before, began)


async def test_of_more_than_a_poll_reads_everything_ages(slapd: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "MOST", 20)
    async with hearing([slapd.uri], "poll", domains=False) as site:
        began = time.monotonic()
        await asyncio.to_thread(slapd.add, "\n".join(account(f"a{n}@domain1.example") for n in range(200)))
        await until(lambda: site.freshness.counters.aged > 0)
        before = await site.find("user2@domain2.example")
        await sync_rig.change(slapd, dn("user2@domain2.example"), "delete")
        await site.seconds_until_changed("user2@domain2.example", MAILBOX, before, began)
        assert site.feed.counters.losses == 0


async def test_a_login_that_is_recorded_drops_nothing(slapd: Slapd) -> None:
    async with hearing([slapd.uri]) as site:
        await site.find("user1@domain1.example")
        for number in range(5):
            what = ("modify", "replace: description", f"description: {number}")
            await sync_rig.change(slapd, dn("user1@domain1.example"), *what)
        await until(lambda: site.freshness.counters.changes >= 5)
        assert site.freshness.counters.dropped == 0
        assert site.is_cached("user1@domain1.example")


@pytest.mark.parametrize("changes", ["auto", "poll"])
async def test_a_renamed_domain_takes_its_addresses_along(slapd: Slapd, changes: str) -> None:
    async with hearing([slapd.uri], changes) as site:
        before = await site.find("user1@domain1.example")
        await site.find("domain1.example", DOMAINS)
        await site.find("user2@domain2.example")
        began = time.monotonic()
        await sync_rig.rename(slapd, DOMAIN1, "o=renamed.example")
        await site.seconds_until_changed("user1@domain1.example", MAILBOX, before, began)
        assert await site.find("domain1.example", DOMAINS) == NOT_FOUND
        assert await site.find("renamed.example", DOMAINS) == found(b"renamed.example")
        if changes == "auto":
            assert site.is_cached("user2@domain2.example")


async def test_what_happened_while_slapd_was_away_is_caught_up_with(slapd: Slapd) -> None:
    async with hearing([slapd.uri]) as site:
        for address in ("user1@domain1.example", "user2@domain2.example", "john.doe@domain1.example"):
            assert (await site.find(address)) != NOT_FOUND
        assert await site.find("new@domain2.example") == NOT_FOUND
        fed = site.feed.counters.connects
        await asyncio.to_thread(slapd.stop)
        await asyncio.to_thread(slapd.start)
        await sync_rig.change(slapd, dn("user2@domain2.example"), "delete")
        await sync_rig.add(slapd, account("new@domain2.example"))
        await until(lambda: site.feed.counters.connects > fed and site.feed.counters.mode == "sync" and site.pool.ready)
        assert (await site.find("new@domain2.example")).text == b"domain2.example/new/"
        assert await site.find("user2@domain2.example") == NOT_FOUND
        assert site.is_cached("user1@domain1.example")


async def test_when_nothing_is_heard_lives_are_as_without_a_feed(slapd: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "GRACE", 0.2)
    async with hearing([slapd.uri]) as site:
        await site.find("user1@domain1.example")
        key = site.maps._maps[MAILBOX.encode()].prefix + b"user1@domain1.example"
        record = site.cache.get(key)
        assert record is not None
        assert record.expires_at > time.monotonic() + 70_000
        await asyncio.to_thread(slapd.stop)
        await until(lambda: not site.freshness.hears)
        assert record.expires_at < time.monotonic() + 301
        await asyncio.to_thread(slapd.start)
        await until(lambda: site.freshness.hears)


async def test_without_syncprov_nothing_is_heard_and_it_is_told_why(tmp_path: Path) -> None:
    with Slapd(tmp_path / "slapd", ldif=tree()) as plain:
        async with hearing([plain.uri], wait="none") as site:
            await until(lambda: "contextCSN" in site.feed.counters.why)
            await site.find("user1@domain1.example")
            assert not site.freshness.hears
            assert not site.freshness.made, "what nobody will ask for costs nothing"
            assert len(site.freshness) == 0
            record = site.cache.all()[0]
            assert record.expires_at < time.monotonic() + 301


async def test_a_new_catch_all_answers_what_was_not_found(slapd: Slapd) -> None:
    async with hearing([slapd.uri]) as site:
        assert await site.find("any@domain1.example", ALIAS) == NOT_FOUND
        began = time.monotonic()
        await asyncio.to_thread(slapd.add, alias("@domain1.example", "all@x.example"))
        await site.seconds_until_changed("any@domain1.example", ALIAS, NOT_FOUND, began)


@pytest.mark.parametrize(("known", "aged"), [((0, 1), 0), ((0,), 1)])
async def test_where_a_server_id_is_new_everything_is_renewed_and_not_sent_again(
    known: tuple[int, ...], aged: int
) -> None:
    """slapd sends all entries to a client that does not name each of its server ids: minutes, with nothing heard."""
    site = Site()
    heard = Feed(DirectorySettings(("ldap://x",), "o=x"), Pool(DirectorySettings(("ldap://x",), "o=x")), site.hear())
    heard._last = Cookie([Csn("20260101000000.000000", 0, sid, 0) for sid in known])
    there = Cookie([Csn("20260101000001.000000", 0, sid, 0) for sid in (0, 1)])
    start = heard._start("ldap://x", Context("o=x", there, offers_sync=True))
    assert start == (there if aged else heard._last)
    assert site.freshness.counters.aged == aged
