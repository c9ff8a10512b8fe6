"""A change of what a table of domains has (``domain = ldap:FILE``) shows at the addresses of that domain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.directory import sync_rig
from tests.directory.rig import until
from vmaild.cache import Cache
from vmaild.config import load
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.hearing import Hearing
from vmaild.lookup import NOT_FOUND, Reply, Request, found
from vmaild.maps import Maps
from vmaild.reload import serving

DOMAIN = f"o=domain2.example,{SEARCH_BASE}"
KEY = b"user2@domain2.example"
ROLE = f"cn=postmaster,o=domain1.example,{SEARCH_BASE}"


@pytest.fixture
def slapd(tmp_path: Path) -> Iterator[Slapd]:
    with Slapd(tmp_path / "slapd", ldif=tree(), syncprov=True) as running:
        yield running


@contextlib.asynccontextmanager
async def hearing(home: Path, slapd: Slapd, domains: str) -> AsyncIterator[tuple[Maps, Hearing]]:
    """A map of accounts whose domains are in the table ``domains``."""
    server = f"server_host = {slapd.uri}\nbind_dn = {READER_DN}\nbind_pw = {READER_PW}\nsearch_base = {SEARCH_BASE}\n"
    (home / "domains.cf").write_text(server + domains)
    (home / "own.cf").write_text(
        f"{server}query_filter = (mail=%s)\nresult_attribute = mailbox\ndomain = ldap:{home}/domains.cf\n"
    )
    (home / "vmaild.toml").write_text(f"[maps.own]\ncf = [{json.dumps(str(home / 'own.cf'))}]\n")
    config = load(home / "vmaild.toml", {})
    cache = Cache(config.cache)
    own = serving(config, cache)
    behind = Hearing(config, cache, own.directory, own.maps)
    await own.directory.start()
    behind.start()
    try:
        await until(lambda: behind.feeds[0].counters.mode == "sync")
        yield own.maps, behind
    finally:
        await behind.close()
        await own.close()


async def until_it_is(maps: Maps, wanted: Reply) -> None:
    give_up = time.monotonic() + 10
    while (reply := await maps.find(Request(b"own", KEY))) != wanted:
        assert time.monotonic() < give_up, reply
        await asyncio.sleep(0.005)


async def test_a_domain_that_comes_and_goes_takes_its_addresses_along(tmp_path: Path, slapd: Slapd) -> None:
    table = "query_filter = (description=%s)\nresult_attribute = o\n"
    async with hearing(tmp_path, slapd, table) as (maps, behind):
        await until_it_is(maps, NOT_FOUND)
        await sync_rig.change(slapd, DOMAIN, "modify", "replace: description", "description: domain2.example")
        await until_it_is(maps, found(b"domain2.example/user2/"))
        aged = behind.freshness[0].counters.aged
        await sync_rig.change(slapd, DOMAIN, "modify", "replace: description", "description: other.example")
        await until_it_is(maps, NOT_FOUND)
        assert behind.freshness[0].counters.aged == aged


async def test_a_domain_that_is_found_by_way_of_a_member(tmp_path: Path, slapd: Slapd) -> None:
    table = "query_filter = (description=%s)\nspecial_result_attribute = roleOccupant\nleaf_result_attribute = mail\n"
    occupant = f"cn=late,o=domain1.example,{SEARCH_BASE}"
    async with hearing(tmp_path, slapd, table) as (maps, _):
        change = ("replace: description", "description: domain2.example", "-", "replace: roleOccupant")
        await sync_rig.change(slapd, ROLE, "modify", *change, f"roleOccupant: {occupant}")
        await until_it_is(maps, NOT_FOUND)
        classes = "objectClass: organizationalRole\nobjectClass: extensibleObject\n"
        await sync_rig.add(slapd, f"dn: {occupant}\n{classes}cn: late\nmail: late@domain1.example\n")
        await until_it_is(maps, found(b"domain2.example/user2/"))
