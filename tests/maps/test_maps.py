"""Maps: what becomes of a request, and above all of a failure. In fake time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import BASE, DOMAIN, account, alias, entry, role
from tests.maps.site import ALIAS, LOGIN, MAILBOX, Site, now
from vmaild.cache import CacheSettings
from vmaild.directory import LIMIT, NO_BASE, REFUSED
from vmaild.errors import DirectoryFailure, Overloaded
from vmaild.lookup import NODATA, NOT_FOUND, Status, found, permanent, temporary
from vmaild.process.log_once import INTERVAL

UNUSABLE = temporary("directory data is not usable for this key")


@in_fake_time
async def test_a_lookup_is_answered_from_the_directory_and_then_from_the_cache() -> None:
    site = Site()
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    assert await site.find("A@D.example") == found(b"d.example/a/")
    assert site.cached("a@d.example") == found(b"d.example/a/")
    assert await site.find("a@d.EXAMPLE", b"VIRTUAL_mailbox_maps") == found(b"d.example/a/")
    assert site.directory.asked == 1


@in_fake_time
async def test_not_found_is_answered_and_kept() -> None:
    site = Site()
    assert await site.find("b@d.example") == NOT_FOUND
    assert await site.find("b@d.example") == NOT_FOUND
    assert site.directory.asked == 1


@pytest.mark.parametrize(
    "failure",
    [
        DirectoryFailure("ldap1.example is down, cn=x"),
        Overloaded("300 wait"),
        RuntimeError("a bug"),
        KeyError("x"),
        OSError(5),
    ],
)
@in_fake_time
async def test_whatever_goes_wrong_is_temporary_and_never_kept(failure: Any) -> None:
    site = Site()
    if isinstance(failure, DirectoryFailure):
        site.directory.failure = failure
    else:
        site.directory.bug = failure
    reply = await site.find("a@d.example")
    assert reply.status is Status.TEMPORARY
    assert b"ldap1" not in reply.text
    assert b"=" not in reply.text
    assert (len(site.cache), site.maps.in_flight) == (0, 0)
    site.directory.failure = site.directory.bug = None
    assert await site.find("a@d.example") == NOT_FOUND


@in_fake_time
async def test_a_bug_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    site.directory.bug = RuntimeError("a bug")
    assert await site.find("a@d.example") == temporary("internal error")
    assert "RuntimeError: a bug" in caplog.text


@in_fake_time
async def test_a_cancelled_lookup_is_cancelled_and_what_it_asked_for_is_stored() -> None:
    site = Site()
    site.directory.takes = 1
    task = asyncio.ensure_future(site.find("a@d.example"))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1)
    assert site.cached("a@d.example") == NOT_FOUND


@in_fake_time
async def test_an_unknown_map_is_permanent_with_a_plain_reason(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    assert await site.find("a@d.example", b"virtual_\n\xff") == permanent("unknown map")
    assert "unknown map b'virtual_\\n\\xff'" in caplog.text
    assert site.maps.unknown.permanent == 1


@pytest.mark.parametrize(
    "key", [b"", b"d.example", b"*", b"@", b"a@", b"a\xff@d.example", b"\xff", b"a@d.example\xc3", b"a@d.example\0"]
)
@pytest.mark.parametrize("name", [MAILBOX, ALIAS, LOGIN])
@in_fake_time
async def test_a_key_that_cannot_be_in_the_directory_is_not_found_unasked(key: bytes, name: Any) -> None:
    site = Site()
    assert await site.find(key, name) == NOT_FOUND
    assert site.directory.searches == []


@in_fake_time
async def test_one_search_answers_all_maps_of_the_record() -> None:
    site = Site()
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    assert await site.find("a@d.example", ALIAS) == NODATA
    assert await site.find("a@d.example") == found(b"d.example/a/")
    assert await site.find("a@d.example", LOGIN) == found(b"a@d.example")
    assert site.directory.asked == 1


@in_fake_time
async def test_two_mailboxes_for_a_key_are_temporary_and_both_are_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    site.directory.entries.append(account("a@d.example", "d.example/a/", name="one"))
    site.directory.entries.append(account("a@d.example", "d.example/b/", name="two"))
    assert await site.find("a@d.example") == UNUSABLE
    assert f"mail=one,{DOMAIN} and mail=two,{DOMAIN}" in caplog.text
    assert site.maps.counters["virtual_mailbox_maps"].data_errors == 1


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (account("a@d.example"), MAILBOX),
        (alias("a@d.example"), ALIAS),
        (alias("a@d.example"), LOGIN),
        (role("d.example"), ALIAS),
        (role("d.example"), LOGIN),
        (entry(DOMAIN, "organization"), b"virtual_mailbox_domains"),
        (account("a@d.example"), b"virtual_uid_maps"),
    ],
)
@in_fake_time
async def test_an_entry_that_does_not_show_what_its_map_returns_is_temporary(bad: Any, name: Any) -> None:
    site = Site()
    site.directory.entries.append(bad)
    key = "d.example" if name.endswith(b"domains") else "postmaster@d.example" if "cn=" in bad.dn else "a@d.example"
    assert await site.find(key, name) == UNUSABLE


@in_fake_time
async def test_unusable_data_is_remembered_for_the_recheck_time_and_said_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site(CacheSettings(failure_recheck=5))
    site.directory.entries.append(account("a@d.example", "/etc/"))
    for _ in range(3):
        assert await site.find("a@d.example") == UNUSABLE
        assert await site.find("a@d.example", ALIAS) == NODATA
    assert (site.directory.asked, len(caplog.records)) == (1, 1)
    await asyncio.sleep(5.1)
    assert await site.find("a@d.example") == UNUSABLE
    assert (site.directory.asked, len(caplog.records)) == (2, 1)
    await asyncio.sleep(INTERVAL)
    await site.find("a@d.example")
    assert len(caplog.records) == 2


@in_fake_time
async def test_unusable_data_that_a_further_search_brings_is_remembered_no_longer() -> None:
    site = Site(CacheSettings(failure_recheck=5))
    site.directory.schema = None
    site.directory.entries += [alias("a@d.example", "b@d.example"), account("a@d.example", "/etc/")]
    assert await site.find("a@d.example", ALIAS) == found(b"b@d.example")
    assert await site.find("a@d.example") == UNUSABLE
    asked = site.directory.asked
    assert await site.find("a@d.example") == UNUSABLE
    assert site.directory.asked == asked
    site.directory.entries[1] = account("a@d.example", "d.example/a/")
    await asyncio.sleep(5.1)
    assert await site.find("a@d.example") == found(b"d.example/a/")


@in_fake_time
async def test_every_search_of_a_lookup_has_the_same_deadline() -> None:
    site = Site()
    member = entry(f"cn=Ann,ou=staff,{BASE}", "person", mail=("ann@d.example",))
    site.directory.entries += [role("d.example", member.dn), member]
    assert await site.find("postmaster@d.example", ALIAS) == found(b"ann@d.example")
    assert site.directory.ends == [now() + 3.0] * 2


@in_fake_time
async def test_members_of_a_role_are_known_for_their_own_sake() -> None:
    site = Site()
    ann = account("ann@d.example", "d.example/ann/")
    site.directory.entries += [role("d.example", ann.dn), ann]
    assert await site.find("postmaster@d.example", ALIAS) == found(b"ann@d.example")
    assert site.cached("ann@d.example") == found(b"d.example/ann/")
    assert site.directory.asked == 2


@in_fake_time
async def test_a_member_known_from_before_a_flush_is_not_stored_after_it() -> None:
    site = Site()
    ann = account("ann@d.example", "d.example/ann/")
    site.directory.entries += [role("d.example", ann.dn, f"cn=x,{BASE}"), ann]
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find("postmaster@d.example", ALIAS))
    await asyncio.sleep(2.5)
    assert site.directory.asked == 3, "the role, the members with an address, the other member"
    site.maps.flush(MAILBOX, b"ann@d.example")
    await asking
    assert site.cached("ann@d.example") is None
    site.directory.entries[1] = account("ann@d.example", "d.example/new/")
    await site.find("postmaster@d.example", LOGIN)
    assert site.cached("ann@d.example") == found(b"d.example/new/"), "what the same lookup saw before is not stored"


@in_fake_time
async def test_a_stale_answer_serves_while_the_directory_is_down() -> None:
    site = Site(CacheSettings(ttl=300, stale_ttl=1000))
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    await site.find("a@d.example")
    site.directory.failure = DirectoryFailure("down")
    await asyncio.sleep(900)
    assert await site.find("a@d.example") == found(b"d.example/a/")
    # The mailbox is there for this "not found", so it may serve as long.
    assert await site.find("a@d.example", ALIAS) == NODATA


@pytest.mark.parametrize("kind", [LIMIT, NO_BASE, REFUSED])
@in_fake_time
async def test_queries_that_fail_together_are_asked_one_by_one(kind: Any) -> None:
    site = Site()
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    begin = site.directory.begin

    def refuse_joined(search: Any, end: Any, done: Any) -> None:
        if search.filter.startswith("(|"):
            done(DirectoryFailure("no", kind))
        else:
            begin(search, end, done)

    site.directory.begin = refuse_joined
    assert await site.find("a@d.example") == found(b"d.example/a/")


@in_fake_time
async def test_another_server_than_expected_is_asked_as_its_own_schema_allows() -> None:
    site = Site()
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    schema, site.directory.schema = site.directory.schema, None
    assert await site.find("b@d.example") == NOT_FOUND
    one_by_one = site.directory.asked
    site.directory.schema = schema
    begin = site.directory.begin

    def begin_elsewhere(search: Any, end: Any, done: Any) -> None:
        site.directory.schema = None
        begin(search, end, done)

    site.directory.begin = begin_elsewhere
    assert await site.find("c@d.example") == NOT_FOUND
    assert site.directory.asked == 2 * one_by_one + 1
