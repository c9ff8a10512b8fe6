"""Which answers are known to be of a catch-all or of the address without its extension. In fake time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account, alias, role
from tests.maps.site import ALIAS, MAILBOX, Site
from vmaild.cache import CacheSettings
from vmaild.lookup import NOT_FOUND, found


def kinds(site: Site) -> dict[str, bool]:
    return {kind: size > 0 for kind, size in site.cache.sizes.items()}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("x@d.example", "positive"),
        ("x+tag@d.example", "derived"),
        ("y+own@d.example", "positive"),
        ("made-up@e.example", "derived"),
        ("@e.example", "positive"),
        ("y+none@d.example", "negative"),
        ("two@d.example", "positive"),
        ("bad+tag@d.example", "derived"),
    ],
)
@in_fake_time
async def test_a_record_is_of_the_kind_that_its_entries_make(key: str, kind: str) -> None:
    site = Site()
    site.directory.entries = [
        account("x@d.example", "d.example/x/"),
        account("y+own@d.example", "d.example/y/"),
        alias("@e.example", "x@d.example"),
        account("two@d.example", "d.example/1/"),
        account("two@d.example", "d.example/2/", name="again"),
        account("bad@d.example", "/etc/"),
    ]
    await site.find(key)
    assert kinds(site) == {"positive": False, "derived": False, "negative": False} | {kind: True}


@pytest.mark.slow
@pytest.mark.parametrize("key", ["{}@e.example", "real+{}@d.example"])
@in_fake_time
async def test_made_up_addresses_push_out_none_of_the_real_ones(key: str) -> None:
    """In the field: of 1,000 addresses that were cached before, none was after 40,000 such RCPT TO."""
    site = Site(CacheSettings(max_entries=2000))
    real = [f"user{n}@d.example" for n in range(100)]
    site.directory.entries = [account(one, f"d.example/{n}/") for n, one in enumerate(real)]
    for one in real:
        await site.find(one)
    site.directory.entries = [alias("@e.example", "x@y.example"), alias("real@d.example", "x@y.example")]
    for n in range(4000):
        assert (await site.find(key.format(n), ALIAS)).text != b""
    assert sum(site.cached(one) == found(b"d.example/%d/" % n) for n, one in enumerate(real)) == 100
    assert len(site.cache) == 2000


@pytest.mark.slow
@in_fake_time
async def test_the_maps_that_one_message_asks_do_not_make_a_scan_wanted() -> None:
    site = Site(CacheSettings(max_entries=100))
    wanted = [f"wanted{n}@d.example" for n in range(40)]
    scan = [f"scan{n}@d.example" for n in range(500)]
    site.directory.entries = [alias(one, "x@y.example") for one in wanted]
    for one in wanted * 2:
        await site.find(one, ALIAS)
    site.directory.entries = [alias(one, "x@y.example") for one in scan]
    for one in scan:
        await site.find(one, ALIAS)
        await site.find(one, MAILBOX)
    assert all(site.cached(one, ALIAS) == found(b"x@y.example") for one in wanted)


@in_fake_time
async def test_the_weight_of_a_lookup_that_goes_on_counts_its_entries() -> None:
    site = Site()
    members = [account(f"m{n}@d.example", f"d.example/{n}/") for n in range(40)]
    site.directory.entries = [*members, role("d.example", *(member.dn for member in members))]
    assert await site.find("postmaster@d.example") == NOT_FOUND
    record = site.record("postmaster@d.example")
    assert record is not None
    assert record.more is not None, "the alias map's answer takes a search for the members"
    assert record.weight_of_more > 40 * len(members[0].dn)
    assert sum(site.cache.sizes.values()) > record.weight_of_more


@in_fake_time
async def test_a_record_that_was_flushed_between_seeking_and_looking_up_is_looked_up_anew() -> None:
    site = Site()
    site.directory.entries = [account("x@d.example", "d.example/old/")]
    await site.find("x@d.example", ALIAS)
    record = site.record("x@d.example")
    assert record is not None
    record.refresh_at = 0
    wanted = site.maps.seek(MAILBOX, b"x@d.example", lambda _: b"")
    site.maps.flush(MAILBOX)
    site.directory.entries = [account("x@d.example", "d.example/new/")]
    replies: list[Any] = []
    site.maps.look_up(wanted, replies.append)
    assert replies == [found(b"d.example/new/")]
