"""Maps: what becomes of a request, and above all of a failure."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from vmaild.cache import Cache, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.errors import DirectoryFailure, Overloaded
from vmaild.lookup import NO_RESULT, NOT_FOUND, Entry, Reply, Request, Search, Status, found, permanent, temporary
from vmaild.maps.canaries import RENEWAL, TRUST
from vmaild.maps.maps import COMPLAINT_INTERVAL, Maps

BASE = "o=hosting,dc=x"
DOMAIN = f"o=d.example,{BASE}"


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeDirectory:
    """Answers each search with the entries whose mail stands in its filter, or with a failure."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.failure: BaseException | None = None
        self.searches: list[Search] = []
        self.deadlines: list[float | None] = []
        self.gate: asyncio.Event | None = None

    def account(self, mail: str, *mailboxes: str, name: str = "") -> None:
        values = {"objectclass": (b"courierMailAccount",), "mail": (mail.encode(),)}
        values["mailbox"] = tuple(box.encode() for box in mailboxes)
        self.entries.append(Entry(f"mail={name or mail},{DOMAIN}", values))

    def alias(self, mail: str, *maildrops: str) -> None:
        values = {"objectclass": (b"courierMailAlias",), "mail": (mail.encode(),)}
        values["maildrop"] = tuple(drop.encode() for drop in maildrops)
        self.entries.append(Entry(f"mail={mail},{DOMAIN}", values))

    async def search(self, search: Search, *, deadline: float | None = None) -> list[Entry]:
        self.searches.append(search)
        self.deadlines.append(deadline)
        if self.gate:
            await self.gate.wait()
        if self.failure:
            raise self.failure
        return [entry for entry in self.entries if f"(mail={entry.values('mail')[0].decode()})" in search.filter]


class Set:
    """Maps over a fake directory, a real cache and one fake clock."""

    def __init__(self, settings: CacheSettings | None = None, **maps: Any) -> None:
        problems = Problems("test")
        read = read_maps("courier", maps, Common(BASE, "+"), problems)
        assert problems.found == []
        self.clock = Clock()
        self.directory = FakeDirectory()
        self.cache = Cache(settings, clock=self.clock, jitter=lambda: 0.0)
        self.maps = Maps(
            read.tables.values(), self.cache, self.directory, timeout=3.0, canaries=read.canaries, clock=self.clock
        )

    async def find(self, key: bytes | str, name: bytes = b"virtual_mailbox_maps") -> Reply:
        return await self.maps.find(Request(name, key if isinstance(key, bytes) else key.encode()))


@pytest.fixture
def site() -> Set:
    return Set()


async def test_a_lookup_is_answered_from_the_directory_and_then_from_the_cache(site: Set) -> None:
    site.directory.account("a@d.example", "d.example/a/")
    assert await site.find("A@D.example") == found(b"d.example/a/")
    answer = site.cache.fresh(b"virtual_mailbox_maps a@d.example", site.clock.now)
    assert answer is not None
    assert answer.reply == found(b"d.example/a/")
    assert await site.find("a@d.EXAMPLE", b"VIRTUAL_mailbox_maps") == found(b"d.example/a/")
    assert len(site.directory.searches) == 1


async def test_not_found_is_answered_and_kept(site: Set) -> None:
    assert await site.find("b@d.example") == NOT_FOUND
    assert await site.find("b@d.example") == NOT_FOUND
    assert len(site.directory.searches) == 1


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
async def test_whatever_goes_wrong_is_temporary_and_never_kept(
    site: Set, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    site.directory.failure = failure
    reply = await site.find("a@d.example")
    assert reply.status is Status.TEMPORARY
    assert b"ldap1" not in reply.text
    assert b"=" not in reply.text
    assert len(site.cache) == 0
    site.directory.failure = None
    assert await site.find("a@d.example") == NOT_FOUND


async def test_a_bug_is_logged_with_its_traceback(site: Set, caplog: pytest.LogCaptureFixture) -> None:
    site.directory.failure = RuntimeError("a bug")
    await site.find("a@d.example")
    assert "RuntimeError: a bug" in caplog.text


async def test_a_cancelled_lookup_is_cancelled(site: Set) -> None:
    site.directory.gate = asyncio.Event()
    task = asyncio.ensure_future(site.find("a@d.example"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_unknown_map_is_permanent_with_a_plain_reason(site: Set, caplog: pytest.LogCaptureFixture) -> None:
    assert await site.find("a@d.example", b"virtual_\n\xff") == permanent("unknown map")
    assert "unknown map b'virtual_\\n\\xff'" in caplog.text
    assert site.maps.unknown.permanent == 1


@pytest.mark.parametrize(
    "key", [b"", b"d.example", b"*", b"@", b"a@", b"a\xff@d.example", b"\xff", b"a@d.example\xc3", b"a@d.example\0"]
)
@pytest.mark.parametrize("name", [b"virtual_mailbox_maps", b"virtual_alias_maps", b"smtpd_sender_login_maps"])
async def test_a_key_that_cannot_be_in_the_directory_is_not_found_unasked(site: Set, key: bytes, name: bytes) -> None:
    assert await site.find(key, name) == NOT_FOUND
    assert site.directory.searches == []


async def test_an_alias_lookup_teaches_the_mailbox_map(site: Set) -> None:
    site.directory.account("a@d.example", "d.example/a/")
    assert await site.find("a@d.example", b"virtual_alias_maps") == NO_RESULT
    assert await site.find("a@d.example") == found(b"d.example/a/")
    assert len(site.directory.searches) == 1


async def test_two_mailboxes_for_a_key_are_temporary_and_both_are_named_in_the_log(
    site: Set, caplog: pytest.LogCaptureFixture
) -> None:
    site.directory.account("a@d.example", "d.example/a/", name="one")
    site.directory.account("a@d.example", "d.example/b/", name="two")
    assert await site.find("a@d.example") == temporary("directory data is not usable for this key")
    assert f"mail=one,{DOMAIN} and mail=two,{DOMAIN}" in caplog.text
    assert site.maps.counters["virtual_mailbox_maps"].data_errors == 1


async def test_the_same_complaint_is_logged_once_a_minute(site: Set, caplog: pytest.LogCaptureFixture) -> None:
    site.directory.account("a@d.example", "/etc/")
    for _ in range(3):
        await site.find("a@d.example")
    assert len(caplog.records) == 1
    site.clock.now += COMPLAINT_INTERVAL + 1
    await site.find("a@d.example")
    assert len(caplog.records) == 2


async def test_every_search_of_a_lookup_has_the_same_deadline(site: Set) -> None:
    role = f"cn=postmaster,{DOMAIN}"
    member = f"cn=Ann,ou=staff,{BASE}"

    async def search(search: Search, *, deadline: float | None = None) -> list[Entry]:
        site.directory.deadlines.append(deadline)
        if search.base == member:
            return [Entry(member, {"mail": (b"ann@d.example",)})]
        values = {"objectclass": (b"organizationalRole",), "cn": (b"postmaster",), "roleoccupant": (member.encode(),)}
        return [Entry(role, values)]

    site.directory.search = search  # type: ignore[method-assign]
    start = asyncio.get_running_loop().time()
    assert await site.find("postmaster@d.example", b"virtual_alias_maps") == found(b"ann@d.example")
    first, second = site.directory.deadlines
    assert first == second
    assert first is not None
    assert start + 3.0 <= first <= asyncio.get_running_loop().time() + 3.0


async def test_a_stale_answer_serves_while_the_directory_is_down() -> None:
    site = Set(CacheSettings(ttl=300, stale_ttl=1000))
    site.directory.account("a@d.example", "d.example/a/")
    await site.find("a@d.example")
    await site.find("a@d.example", b"virtual_alias_maps")
    site.directory.failure = DirectoryFailure("down")
    site.clock.now += 900
    assert await site.find("a@d.example") == found(b"d.example/a/")
    # The mailbox stands behind this "not found", so it may serve as long.
    assert await site.find("a@d.example", b"virtual_alias_maps") == NO_RESULT


# --- canaries -------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded() -> Set:
    site = Set(virtual_mailbox_maps={"canary": "Always@d.example"})
    site.directory.account("always@d.example", "d.example/always/")
    return site


async def test_not_found_is_believed_when_the_canary_is_there(guarded: Set) -> None:
    assert await guarded.find("b@d.example") == NOT_FOUND
    assert await guarded.find(b"\xff") == NOT_FOUND


async def test_an_emptied_directory_makes_not_found_temporary_within_a_second(
    guarded: Set, caplog: pytest.LogCaptureFixture
) -> None:
    assert await guarded.find("b@d.example") == NOT_FOUND
    guarded.directory.entries.clear()
    guarded.clock.now += TRUST + 0.1
    assert (await guarded.find("c@d.example")).status is Status.TEMPORARY
    assert (await guarded.find(b"\xff")).status is Status.TEMPORARY
    assert guarded.maps.canaries.missing == {"virtual_mailbox_maps": ("always@d.example",)}
    assert guarded.maps.counters["virtual_mailbox_maps"].canary_refusals == 2
    assert caplog.text.count("canary 'always@d.example' not found") == 1


async def test_not_found_answers_kept_before_are_forgotten_when_a_canary_is_missing(guarded: Set) -> None:
    assert await guarded.find("b@d.example") == NOT_FOUND
    guarded.directory.entries.clear()
    await guarded.maps.canaries.check()
    assert guarded.cache.fresh(b"virtual_mailbox_maps b@d.example", guarded.clock.now) is None
    assert (await guarded.find("b@d.example")).status is Status.TEMPORARY


async def test_within_a_second_one_look_is_enough_for_all(guarded: Set) -> None:
    for number in range(5):
        assert await guarded.find(f"b{number}@d.example") == NOT_FOUND
    assert len([s for s in guarded.directory.searches if "always@d.example" in s.filter]) == 1


async def test_a_look_is_renewed_before_anybody_has_to_wait_for_it(guarded: Set) -> None:
    await guarded.maps.canaries.check()
    guarded.clock.now += RENEWAL + 0.01
    search, looks, gate = guarded.directory.search, [], asyncio.Event()

    async def slow_look(asked: Search, *, deadline: float | None = None) -> list[Entry]:
        if "always" in asked.filter:
            looks.append(asked)
            await gate.wait()
        return await search(asked, deadline=deadline)

    guarded.directory.search = slow_look  # type: ignore[method-assign]
    for number in range(3):
        assert await guarded.find(f"b{number}@d.example") == NOT_FOUND
        await asyncio.sleep(0)
    assert len(looks) == 1
    gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    guarded.clock.now += RENEWAL - 0.02
    assert await guarded.find("c@d.example") == NOT_FOUND
    assert len(looks) == 1


async def test_lookups_at_the_same_time_share_one_look_and_outlive_each_other(guarded: Set) -> None:
    guarded.directory.gate = asyncio.Event()
    tasks = [asyncio.ensure_future(guarded.find(f"b{number}@d.example")) for number in range(3)]
    await asyncio.sleep(0)
    guarded.directory.gate.set()
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert await asyncio.gather(*tasks[1:]) == [NOT_FOUND, NOT_FOUND]
    assert len([s for s in guarded.directory.searches if "always@d.example" in s.filter]) == 1


async def test_a_stale_mailbox_serves_while_the_canary_is_missing(guarded: Set) -> None:
    guarded.directory.account("a@d.example", "d.example/a/")
    await guarded.find("a@d.example")
    guarded.directory.entries.clear()
    guarded.clock.now += 400
    assert await guarded.find("a@d.example") == found(b"d.example/a/")


async def test_other_maps_are_not_touched_and_teach_no_not_found(guarded: Set) -> None:
    guarded.directory.entries.clear()
    guarded.directory.alias("sales@d.example", "x@y.example")
    assert await guarded.find("sales@d.example", b"virtual_alias_maps") == found(b"x@y.example")
    assert await guarded.find("b@d.example", b"virtual_alias_maps") == NOT_FOUND
    for key in ("sales@d.example", "b@d.example"):
        assert (await guarded.find(key)).status is Status.TEMPORARY


async def test_not_found_is_believed_again_when_the_canary_is_back(
    guarded: Set, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    entries = guarded.directory.entries[:]
    guarded.directory.entries.clear()
    await guarded.maps.canaries.check()
    guarded.directory.entries[:] = entries
    await guarded.maps.canaries.check()
    assert await guarded.find("b@d.example") == NOT_FOUND
    assert "every canary is found" in caplog.text


async def test_a_canary_that_cannot_be_looked_for_makes_not_found_temporary(guarded: Set) -> None:
    await guarded.maps.canaries.check()
    guarded.clock.now += TRUST + 0.1
    search = guarded.directory.search

    async def all_but_the_canary(asked: Search, *, deadline: float | None = None) -> list[Entry]:
        if "always" in asked.filter:
            raise DirectoryFailure("down")
        return await search(asked, deadline=deadline)

    guarded.directory.search = all_but_the_canary  # type: ignore[method-assign]
    await guarded.maps.canaries.check()
    assert guarded.maps.canaries.missing == {}
    assert (await guarded.find("b@d.example")).status is Status.TEMPORARY
