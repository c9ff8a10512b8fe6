"""A group with thousands of members, each an entry of its own, is answered within the default bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmaild.cache import Cache, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.slapd import Slapd
from vmaild.directory import DirectorySettings, Pool
from vmaild.lookup import Reply, Request, Status
from vmaild.maps import Maps
from vmaild.maps.side_by_side import AT_ONCE

MEMBERS = 6000
BASE = "o=large"
OTHERS = 300
QUERY = {
    "query_filter": "(mail=%s)",
    "result_attribute": ["maildrop"],
    "special_result_attribute": ["member"],
    "size_limit": 1,
}


def ldif() -> str:
    top = f"dn: {BASE}\nobjectClass: organization\no: large\n\n"
    kinds = "objectClass: organizationalRole\nobjectClass: extensibleObject\n"
    people = "".join(
        f"dn: cn=u{n},{BASE}\n{kinds}cn: u{n}\nmail: u{n}@l.example\nmaildrop: u{n}@b.ex\n\n" for n in range(MEMBERS)
    )
    named = "".join(f"member: cn=u{n},{BASE}\n" for n in range(MEMBERS))
    return f"{top}{people}dn: cn=all,{BASE}\n{kinds}cn: all\nmail: all@l.example\n{named}\n"


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    config = ("sizelimit unlimited", "sockbuf_max_incoming 4194303")
    with Slapd(service_home / "slapd", base=BASE, ldif=ldif(), access="", config=config) as running:
        yield running


async def test_thousands_of_members_are_found_beside_other_lookups(slapd: Slapd) -> None:
    problems = Problems("test")
    read = read_maps("", {"own": QUERY}, Common(BASE), problems)
    assert problems.found == []
    settings = DirectorySettings(uri=(slapd.uri,), search_base=BASE)
    pool = Pool(settings)
    await pool.start()
    maps = Maps(read.groups, Cache(CacheSettings()), pool, timeout=settings.lookup_timeout)
    try:
        await maps.find(Request(b"own", b"nobody@l.example"))  # waits for the connections
        group = asyncio.ensure_future(maps.find(Request(b"own", b"all@l.example")))
        used, others = 0, []
        for number in range(OTHERS):
            others.append(await maps.find(Request(b"own", b"u%d@l.example" % number)))
            used = max(used, sum(server.in_use for server in pool.status().servers))
            assert not group.done(), "the others have waited for the group"
        reply = await group
    finally:
        await maps.close()
        await pool.close()
    assert reply == Reply(Status.FOUND, b",".join(b"u%d@b.ex" % n for n in range(MEMBERS)))
    assert others == [Reply(Status.FOUND, b"u%d@b.ex" % n) for n in range(OTHERS)]
    assert used <= AT_ONCE + 1 < settings.pool_size
    assert pool.counters.waited <= settings.pool_size
