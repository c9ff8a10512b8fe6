"""A connection for commands: pages of a tree, and what check asks of a server, on a real slapd."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.directory import account
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.directory import DirectorySettings
from vmaild.directory.examine import Level, equality_indexes, examine
from vmaild.directory.walk import connected
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Scope, Search

ACCOUNTS = 25


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    accounts = "".join(account(f"w{number}@domain1.example") for number in range(ACCOUNTS))
    with Slapd(service_home / "slapd", ldif=f"{tree()}\n{accounts}", syncprov=True) as running:
        yield running


def settings(slapd: Slapd, **changes: object) -> DirectorySettings:
    values = {"bind_dn": READER_DN, "bind_pw": READER_PW, "search_base": SEARCH_BASE, **changes}
    return DirectorySettings(uri=(slapd.uri,), **values)


WALK = Search(SEARCH_BASE, Scope.SUB, "(mail=w*)", ("mail",))


async def pages(slapd: Slapd, size: int, search: Search = WALK) -> list[list[str]]:
    async with connected(settings(slapd), slapd.uri) as connection:
        return [[entry.dn for entry in page] async for page in connection.pages(search, size, 10.0)]


@pytest.mark.parametrize(("size", "sizes"), [(10, [10, 10, 5]), (25, [25, 0]), (1000, [25])])
async def test_every_entry_comes_once_in_pages_of_the_size(slapd: Slapd, size: int, sizes: list[int]) -> None:
    found = await pages(slapd, size)
    assert [len(page) for page in found if page] == [one for one in sizes if one]
    assert len({dn for page in found for dn in page}) == ACCOUNTS


async def test_a_walk_may_have_more_than_an_answer_of_the_daemon(slapd: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is a page: else every tree of more than a thousand entries ends an audit."""
    large = settings(slapd, max_answer=100, max_values=10)
    monkeypatch.setattr("vmaild.directory.connection.WINDOW", 50)
    monkeypatch.setattr("vmaild.directory.walk.MOST_VALUES", 40)
    async with connected(large, slapd.uri) as connection:
        found = [entry.dn async for page in connection.pages(WALK, 10, 10.0) for entry in page]
    assert len(found) == ACCOUNTS


async def test_a_page_that_is_too_large_is_a_failure_and_no_bug(slapd: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmaild.directory.connection.WINDOW", 50)
    monkeypatch.setattr("vmaild.directory.walk.MOST_VALUES", 5)
    async with connected(settings(slapd), slapd.uri) as connection:
        with pytest.raises(DirectoryFailure, match=r"more than .* 5 values"):
            [page async for page in connection.pages(WALK, 10, 10.0)]


async def test_a_walk_that_finds_nothing_has_no_entry(slapd: Slapd) -> None:
    found = await pages(slapd, 10, WALK._replace(filter="(mail=nobody)"))
    assert [dn for page in found for dn in page] == []


async def test_a_walk_that_is_left_ends_its_connection_and_nothing_else(slapd: Slapd) -> None:
    async with connected(settings(slapd), slapd.uri) as connection:
        async with contextlib.aclosing(connection.pages(WALK, 5, 10.0)) as walk:
            assert len(await anext(walk)) == 5
        assert connection.dead


async def test_a_server_that_ends_in_the_middle_is_a_failure(slapd: Slapd) -> None:
    async with connected(settings(slapd), slapd.uri) as connection:
        walk = connection.pages(WALK, 5, 10.0)
        await anext(walk)
        connection.kill()
        with pytest.raises(DirectoryFailure):
            [page async for page in walk]


# --- examine


async def found(slapd: Slapd, indexed: tuple[str, ...] = ("mail",), **changes: object) -> dict[str, Level]:
    told = await examine(settings(slapd, **changes), slapd.uri, indexed)
    return {finding.text.partition(":")[0]: finding.level for finding in told}


async def test_a_good_server_has_no_finding_but_good_ones(slapd: Slapd) -> None:
    told = await found(slapd)
    assert told == dict.fromkeys(("bind", "search_base", "contextCSN", "indexes", "userPassword"), Level.OK)


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({"bind_pw": "wrong"}, "bind"),
        ({"search_base": "o=no,dc=myhosting,dc=example"}, "search_base"),
        ({"search_base": "dc=elsewhere"}, "search_base"),
    ],
)
async def test_a_server_that_says_no_is_an_error_and_no_more_is_asked(
    slapd: Slapd, changes: dict[str, str], last: str
) -> None:
    told = await found(slapd, **changes)
    assert list(told)[-1] == last
    assert told[last] is Level.ERROR


async def test_a_server_that_is_not_there_is_an_error(slapd: Slapd) -> None:
    (finding,) = await examine(settings(slapd), "ldap://127.0.0.1:1", ("mail",))
    assert finding.level is Level.ERROR
    assert "no server can be reached" in finding.text


async def test_a_search_that_reads_every_entry_is_seen_by_its_time(
    slapd: Slapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vmaild.directory.examine import _Examination

    async def best_time(self: object, base: str, scope: Scope, filter_text: str) -> float:
        return 0.2 if filter_text.startswith("(|(description=") else 0.0005

    monkeypatch.setattr(_Examination, "_best_time", best_time)
    told = await examine(settings(slapd), slapd.uri, ("description", "mail"))
    (finding,) = [one for one in told if one.text.startswith("indexes")]
    assert finding.level is Level.WARNING
    assert "likely none on description (200 ms" in finding.text


async def test_indexes_are_read_from_the_configuration_where_that_may_be_read(service_home: Path) -> None:
    config = [f'database config\nrootdn cn=config\naccess to * by dn.exact="{READER_DN}" read']
    with Slapd(service_home / "open", ldif=tree(), config=config) as opened:
        told = await examine(settings(opened), opened.uri, ("mail", "description", "objectclass"))
    texts = [one.text for one in told if one.text.startswith("indexes")]
    assert texts == ["indexes: none of kind eq on description: add 'olcDbIndex: description eq'"]


def test_equality_indexes_are_read_as_slapd_does() -> None:
    values = ["default pres,eq", "cn", "mail,UID eq,sub", "o pres", "sn;lang-de eq"]
    assert equality_indexes(values) == {"cn", "mail", "uid", "sn"}
