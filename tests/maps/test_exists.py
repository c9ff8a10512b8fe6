"""``exists = true``: any entry answers the key itself, of a real server too, and one entry is all that it sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.trees import Node
from vmaild.cache import Cache
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.slapd import Slapd
from vmaild.directory import DirectorySettings, Pool
from vmaild.lookup import NOT_FOUND, Reply, Request, Scope, Search, Status, found
from vmaild.maps import Maps

BASE = "o=exists"
DOMAINS = {"keys": "domain", "exists": True, "query_filter": "(mail=*@%s)"}


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    nodes = [Node(BASE, [("objectClass", "organization"), ("o", "exists")])]
    kinds = [("objectClass", "organizationalRole"), ("objectClass", "extensibleObject")]
    nodes += [
        Node(f"cn=u{n},{BASE}", [*kinds, ("cn", f"u{n}"), ("mail", f"u{n}@many.example"), ("o", "o")])
        for n in range(50)
    ]
    nodes.append(Node(f"cn=one,{BASE}", [*kinds, ("cn", "one"), ("mail", "one@single.example")]))
    text = "".join(node.ldif() for node in nodes)
    with Slapd(service_home / "slapd", base=BASE, ldif=text, access="", config=("sizelimit 10",)) as running:
        yield running


async def ask(slapd: Slapd, settings: dict[str, object], key: str) -> Reply:
    problems = Problems("test")
    read = read_maps("", {"own": settings}, Common(BASE), problems)
    assert problems.found == []
    pool = Pool(DirectorySettings(uri=(slapd.uri,), search_base=BASE))
    await pool.start()
    maps = Maps(read.groups, Cache(), pool, timeout=5.0)
    try:
        return await maps.find(Request(b"own", key.encode()))
    finally:
        await maps.close()
        await pool.close()


@pytest.mark.parametrize("key", ["many.example", "single.example"])
async def test_one_entry_or_more_than_the_server_sends_answer_the_key(slapd: Slapd, key: str) -> None:
    assert await ask(slapd, DOMAINS, key) == found(key.encode())


async def test_no_entry_is_not_found(slapd: Slapd) -> None:
    assert await ask(slapd, DOMAINS, "none.example") == NOT_FOUND


async def test_without_it_more_entries_than_the_server_sends_are_a_failure(slapd: Slapd) -> None:
    settings = {**DOMAINS, "exists": False, "result_attribute": "o"}
    assert (await ask(slapd, settings, "many.example")).status is Status.TEMPORARY


async def test_a_base_that_must_exist_is_a_failure_when_it_does_not(slapd: Slapd) -> None:
    settings = {**DOMAINS, "search_base": f"ou=gone,{BASE}"}
    assert (await ask(slapd, settings, "many.example")).status is Status.TEMPORARY


def test_no_attribute_is_asked_for_and_one_entry() -> None:
    read = read_maps("", {"own": DOMAINS}, Common(BASE), Problems("test"))
    (group,) = read.groups
    keys = group.search_keys("many.example")
    search = group.plan("shape", keys).joined[0].search(keys)
    assert isinstance(search, Search)
    assert (search.scope, search.attributes, search.size_limit, search.exists) == (Scope.SUB, ("1.1",), 1, True)
