"""What went wrong in the field, against a real slapd: each a window in which an address that exists was denied."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.directory.proxy import Mode, proxied
from tests.directory.rig import SETTINGS as DIRECTORY
from tests.directory.rig import until
from tests.maps.site import ALIAS, LOGIN, MAILBOX
from tests.support.directory import account, alias
from vmaild.cache import Answer, Cache, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import BASE, READER_DN, SEARCH_BASE, access_rules, tree
from vmaild.directory import Ended, Pool
from vmaild.lookup import NODATA, NOT_FOUND, Reply, Request, Search, Status, found
from vmaild.maps import Maps
from vmaild.maps.flight import Searcher
from vmaild.tables import Schema

DOMAINS, UID, GID = b"virtual_mailbox_domains", b"virtual_uid_maps", b"virtual_gid_maps"
DOMAIN = f"o=domain2.example,{SEARCH_BASE}"


@pytest.fixture
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(Path(tempfile.mkdtemp(dir=service_home)) / "slapd", ldif=tree()) as running:
        yield running


class Site:
    """Maps of the preset over a real directory."""

    def __init__(self, directory: Searcher, settings: CacheSettings | None = None) -> None:
        groups = read_maps("courier", {}, Common(SEARCH_BASE, "+"), Problems("test")).groups
        self.cache = Cache(settings)
        self.maps = Maps(groups, self.cache, directory, timeout=2.0)

    async def find(self, key: str, name: bytes = MAILBOX) -> Reply:
        return await self.maps.find(Request(name, key.encode()))

    def cached(self, key: str, name: bytes = MAILBOX) -> Reply | None:
        replies: list[Reply] = []

        def keep(reply: Reply) -> bytes:
            replies.append(reply)
            return b""

        return replies[0] if isinstance(self.maps.seek(name, key.encode(), keep), Answer) else None

    def expired(self, key: str) -> bool:
        record = self.cache.get(self.maps._maps[MAILBOX].prefix + key.encode())
        return record is None or self.cache.clock() >= record.expires_at


@contextlib.asynccontextmanager
async def pool(*uris: str) -> AsyncIterator[Pool]:
    directory = Pool(dataclasses.replace(DIRECTORY, uri=uris, timeout=2.0))
    await directory.start()
    try:
        await until(lambda: directory.schema is not None)
        yield directory
    finally:
        await directory.close()


async def change(slapd: Slapd, *ldif: str) -> None:
    await asyncio.to_thread(slapd.modify, "".join(ldif))


def added(entry: str) -> str:
    first, rest = entry.split("\n", 1)
    return f"{first}\nchangetype: add\n{rest}"


def deleted(name: str) -> str:
    return f"dn: mail={name},{DOMAIN}\nchangetype: delete\n\n"


def broken_alias(mail: str) -> str:
    value = base64.b64encode(b"user1@domain2.example\nuser2@domain2.example").decode()
    return alias(mail, "x").replace("maildrop: x", f"maildrop:: {value}")


# --- one record for all maps of an address --------------------------------------------------------------------------


async def test_a_role_applies_in_both_maps_when_the_account_is_gone_and_one_map_is_flushed(slapd: Slapd) -> None:
    key = "postmaster@domain2.example"
    await change(slapd, added(account(key)))
    async with pool(slapd.uri) as directory:
        site = Site(directory)
        assert await site.find(key) == found(b"domain2.example/postmaster/")
        assert await site.find(key, ALIAS) == NODATA
        await change(slapd, deleted(key))
        assert site.maps.flush(MAILBOX, key.encode()) == 1
        assert await site.find(key) == NOT_FOUND
        assert (await site.find(key, ALIAS)).text.startswith(b"user1@domain2.example")
        assert site.cached(key) == NOT_FOUND


@pytest.mark.parametrize("by", ["flush", "age"])
async def test_an_account_that_became_an_unusable_alias_is_put_off_and_not_denied(slapd: Slapd, by: str) -> None:
    key = "broken@domain2.example"
    await change(slapd, added(account(key)))
    async with pool(slapd.uri) as directory:
        site = Site(directory, CacheSettings(ttl=0.5, negative_ttl=0.5) if by == "age" else None)
        assert await site.find(key) == found(b"domain2.example/broken/")
        assert await site.find(key, ALIAS) == NODATA
        await change(slapd, deleted(key), added(broken_alias(key)))
        if by == "flush":
            site.maps.flush(MAILBOX, key.encode())
        else:
            await until(lambda: site.expired(key))
        assert await site.find(key) == NODATA
        reply = await site.find(key, ALIAS)
        assert reply.status is Status.TEMPORARY
        assert reply.text == b"directory data is not usable for this key"


async def test_unusable_data_is_remembered_for_the_recheck_time(slapd: Slapd) -> None:
    key = "broken@domain2.example"
    await change(slapd, added(broken_alias(key)))
    async with pool(slapd.uri) as directory:
        site = Site(directory, CacheSettings(failure_recheck=0.5))
        before = directory.counters.searches
        for _ in range(20):
            assert (await site.find(key, ALIAS)).status is Status.TEMPORARY
            assert await site.find(key) == NODATA
        assert directory.counters.searches == before + 1
        await change(slapd, deleted(key), added(alias(key, "user1@domain2.example")))
        await until(lambda: site.expired(key))
        assert await site.find(key, ALIAS) == found(b"user1@domain2.example")
        assert directory.counters.searches == before + 2


async def test_ages_with_jitter_open_no_window_in_which_an_address_is_denied(slapd: Slapd) -> None:
    """An account, an alias or both, changed at random: at no moment do both maps deny the address."""
    key, other = "turns@domain2.example", "other@domain2.example"
    as_alias = alias(other, "user1@domain2.example").replace(f"mail: {other}", f"mail: {other}\nmail: {key}")
    turns = [(added(as_alias), deleted(key)), (added(account(key)), deleted(other))]
    await change(slapd, added(account(key)))
    done = asyncio.Event()

    async def turn() -> None:
        for number in range(40):
            add, delete = turns[number % 2]
            await change(slapd, add)
            await asyncio.sleep(random.random() * 0.05)
            await change(slapd, delete)
        done.set()

    denied = (None, NOT_FOUND, NODATA)
    seen = set()
    async with pool(slapd.uri) as directory:
        site = Site(directory, CacheSettings(ttl=0.2, negative_ttl=0.15))
        turning = asyncio.create_task(turn())
        while not done.is_set():
            for name in (MAILBOX, ALIAS):
                await site.find(key, name)
                both = site.cached(key), site.cached(key, ALIAS)
                assert both == (None, None) or both[0] not in denied or both[1] not in denied, both
                seen.add(both)
            await asyncio.sleep(0.002)
        await turning
    assert len(seen - {(None, None)}) >= 2, "it was an account and an alias"


# --- older and newer searches ---------------------------------------------------------------------------------------


class Ways:
    """Two ways to the same directory: ``slow`` for the searches that ``is_slow``, else ``fast``."""

    def __init__(self, slow: Pool, fast: Pool) -> None:
        self.slow, self.fast = slow, fast
        self.is_slow: Callable[[Search], bool] = lambda search: False

    @property
    def schema(self) -> Schema | None:
        return self.fast.schema

    @property
    def search_time(self) -> float:
        return self.fast.search_time

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> object:
        return (self.slow if self.is_slow(search) else self.fast).begin(search, end, done)


@pytest.mark.parametrize("newer", ["a flush", "the role"])
async def test_an_older_answer_on_a_slow_connection_replaces_no_newer_one(slapd: Slapd, newer: str) -> None:
    key, postmaster = "late@domain2.example", "postmaster@domain2.example"
    with proxied(slapd.port) as proxy:
        async with pool(proxy.uri) as slow, pool(slapd.uri) as fast:
            ways = Ways(slow, fast)
            site = Site(ways)
            proxy.mode = Mode.HOLD
            ways.is_slow = lambda search: True
            older = asyncio.create_task(site.find(key))
            await asyncio.sleep(0.2)  # slapd has answered, and the proxy has it
            ways.is_slow = lambda search: False
            change_role = f"dn: cn=postmaster,{DOMAIN}\nchangetype: modify\nadd: roleOccupant\n"
            role = f"{change_role}roleOccupant: mail={key},{DOMAIN}\n"
            await change(slapd, added(account(key)), role)
            if newer == "a flush":
                site.maps.flush(MAILBOX, key.encode())
                assert await site.find(key) == found(b"domain2.example/late/")
            else:
                assert key.encode() in (await site.find(postmaster, ALIAS)).text
            assert site.cached(key) == found(b"domain2.example/late/")
            assert not older.done()
            proxy.mode = Mode.PASS
            assert await older == found(b"domain2.example/late/")
            assert site.cached(key) == found(b"domain2.example/late/")
            assert site.cache.counters.outdated == 1


async def test_what_a_server_that_hangs_says_too_late_does_not_count_after_a_failover(slapd: Slapd) -> None:
    key = "late@domain2.example"
    with proxied(slapd.port) as proxy:
        async with pool(proxy.uri, slapd.uri) as directory:
            await until(lambda: all(server.up for server in directory.status().servers))
            site = Site(directory)
            proxy.mode = Mode.HOLD
            asking = asyncio.create_task(site.find(key))
            await asyncio.sleep(0.2)
            await change(slapd, added(account(key)))
            assert await asking == found(b"domain2.example/late/")
            proxy.mode = Mode.PASS
            await asyncio.sleep(0.2)
            assert site.cached(key) == found(b"domain2.example/late/")


# --- entries that do not show what their map returns ----------------------------------------------------------------

HIDDEN = [
    ("maildrop", ALIAS, "sales@domain1.example"),
    ("maildrop", LOGIN, "sales@domain1.example"),
    ("mailbox", MAILBOX, "user1@domain1.example"),
    ("mail", LOGIN, "user1@domain1.example"),
    ("o", DOMAINS, "domain1.example"),
    ("roleOccupant", ALIAS, "postmaster@domain2.example"),
    ("roleOccupant", LOGIN, "postmaster@domain2.example"),
    ("uidNumber", UID, "user1@domain1.example"),
    ("gidNumber", GID, "user1@domain1.example"),
]


@pytest.fixture(scope="module")
def hiding(service_home: Path) -> Iterator[dict[tuple[str, str], Slapd]]:
    """Servers that let vmaild search, and not read, an attribute; or neither."""
    with contextlib.ExitStack() as stack:
        servers: dict[tuple[str, str], Slapd] = {}
        for attribute in {attribute for attribute, _, _ in HIDDEN}:
            for right in ("search", "none"):
                rule = f'access to attrs={attribute}\n    by dn.exact="{READER_DN}" {right}\n    by * break\n'
                home = Path(tempfile.mkdtemp(dir=service_home)) / "slapd"
                access = rule + access_rules(BASE)
                servers[attribute, right] = stack.enter_context(Slapd(home, ldif=tree(), access=access))
        yield servers


@pytest.mark.parametrize(
    ("attribute", "name", "key", "right"),
    # Without the right to search for mail no entry is found: that is for canaries to tell.
    [(*hidden, right) for hidden in HIDDEN for right in ("search", "none") if (hidden[0], right) != ("mail", "none")],
)
async def test_an_entry_that_hides_what_its_map_returns_is_put_off(
    hiding: dict[tuple[str, str], Slapd], attribute: str, name: bytes, key: str, right: str
) -> None:
    async with pool(hiding[attribute, right].uri) as directory:
        reply = await Site(directory).find(key, name)
        assert reply.status is Status.TEMPORARY
        assert reply.text == b"directory data is not usable for this key"
