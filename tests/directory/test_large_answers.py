"""Answers that are too large are refused before libldap parses them, and late ones never meet another search."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.directory.proxy import Mode, proxied
from tests.directory.rig import ABSENT, ADDRESS, ask, by_mail, is_right, running, until
from tests.support.loops import on_each_loop
from vmaild.demo.tree import SEARCH_BASE
from vmaild.directory import connection as of_connection
from vmaild.directory.connection import LdapConnection
from vmaild.directory.settings import MAX_VALUES
from vmaild.errors import DataError

FLOOD = "flood@domain1.example"


def alias(mail: str, count: int, cn: str = "x", value: str = "drop%d@elsewhere.example") -> str:
    drops = "".join(f"maildrop: {value % number}\n" for number in range(count))
    classes = "objectClass: courierMailAlias\nobjectClass: extensibleObject\n"
    return f"dn: cn={cn}+mail={mail},o=domain1.example,{SEARCH_BASE}\n{classes}cn: {cn}\nmail: {mail}\n{drops}\n"


@pytest.fixture
def flooded(make_slapd: Any) -> Any:
    """A slapd with an alias of 30,000 maildrops, and three of 4,000 each with one address."""
    server = make_slapd()
    server.add(alias(FLOOD, 30_000))
    for number in range(3):
        server.add(alias("many@domain1.example", 4_000, f"y{number}"))
    return server


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What libldap was asked to read, one for each message."""
    calls: list[object] = []
    get_result = of_connection.ldapconnection.get_result  # type: ignore[attr-defined]

    def spy(self, message: Any) -> Any:  # type: ignore[no-untyped-def]
        if self._done is not None:
            calls.append(self._search.filter)
        return get_result(self, message)

    monkeypatch.setattr(LdapConnection, "get_result", spy, raising=False)
    return calls


@on_each_loop
async def test_an_entry_with_too_many_values_is_refused_unparsed_and_costs_no_connection(
    flooded: Any, parsed: list[object]
) -> None:
    async with running(flooded.uri, pool_size=1, timeout=5.0) as directory:
        for _ in range(3):
            with pytest.raises(DataError, match=FLOOD):
                await directory.search(by_mail(FLOOD, "maildrop"))
            assert is_right(await ask(directory))
        assert f"(mail={FLOOD})" not in parsed
        assert directory.counters.connects == 1
        assert directory.counters.too_large == 3
        assert directory.status().servers[0].up


@on_each_loop
async def test_the_values_of_all_entries_count(flooded: Any, parsed: list[object]) -> None:
    async with running(flooded.uri, pool_size=1, timeout=5.0) as directory:
        with pytest.raises(DataError, match=str(MAX_VALUES)):
            await directory.search(by_mail("many@domain1.example", "maildrop"))
        assert is_right(await ask(directory))
        assert parsed.count("(mail=many@domain1.example)") == 2
        assert directory.counters.connects == 1


@on_each_loop
async def test_the_bytes_of_all_messages_count(flooded: Any) -> None:
    async with running(flooded.uri, pool_size=1, timeout=5.0, max_answer=150_000) as directory:
        with pytest.raises(DataError, match="150000 bytes"):
            await directory.search(by_mail("many@domain1.example", "maildrop"))
        assert is_right(await ask(directory))


async def test_more_is_read_where_the_settings_allow_it(flooded: Any) -> None:
    async with running(flooded.uri, pool_size=1, timeout=5.0, max_values=13_000) as directory:
        assert len(await directory.search(by_mail("many@domain1.example", "maildrop"))) == 3
        with pytest.raises(DataError, match="more than 1048576 bytes or 13000 values"):
            await directory.search(by_mail(FLOOD, "maildrop"))
    async with running(flooded.uri, pool_size=1, timeout=5.0, max_values=40_000, max_answer=2**21) as directory:
        (entry,) = await directory.search(by_mail(FLOOD, "maildrop"))
        assert len(entry.values("maildrop")) == 30_000


@on_each_loop
async def test_an_answer_in_pieces_is_whole(flooded: Any) -> None:
    """More than a socket's buffer takes at a time, behind a proxy that stops in the middle."""
    flooded.add(alias("large@domain1.example", 5_000, value="%0100d@x"))
    with proxied(flooded.port) as proxy:
        async with running(proxy.uri, pool_size=1, timeout=5.0) as directory:
            proxy.mode = Mode.HALF
            asked = asyncio.create_task(ask(directory, by_mail("large@domain1.example", "maildrop"), timeout=4.0))
            await until(lambda: proxy.mode is Mode.HOLD)
            proxy.mode = Mode.PASS
            (entry,) = (await asked).entries  # type: ignore[misc]
            assert len(entry.values("maildrop")) == 5_000
            assert is_right(await ask(directory))
            assert directory.counters.connects == 1


@on_each_loop
async def test_a_search_that_timed_out_costs_no_connection_and_its_late_answer_meets_no_other(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, pool_size=1, check_interval=60.0) as directory:
            for _ in range(3):
                proxy.mode = Mode.HOLD
                late = await ask(directory, by_mail("user2@domain1.example"), timeout=0.1)
                assert late.kind == "timeout"
                asked = asyncio.create_task(ask(directory))
                await asyncio.sleep(0.05)
                proxy.mode = Mode.PASS  # the late answer comes first, on the connection of the other search
                assert is_right(await asked)
                assert (await ask(directory, by_mail(ABSENT))).entries == []
            assert directory.counters.connects == 1
            assert directory.counters.lost == 0


@on_each_loop
async def test_a_late_answer_in_pieces_meets_no_other_either(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, pool_size=1, check_interval=60.0) as directory:
            proxy.mode = Mode.HALF
            late = await ask(directory, by_mail("user2@domain1.example"), timeout=0.1)
            assert late.kind == "timeout"
            asked = asyncio.create_task(ask(directory))
            await asyncio.sleep(0.05)
            proxy.mode = Mode.PASS
            assert is_right(await asked)
            assert directory.counters.connects == 1


# --- messages whose first bytes come alone: not even their length is known then


@pytest.mark.parametrize("part", [1, 3, 5])
async def test_a_message_whose_beginning_comes_in_pieces_is_whole(slapd: Any, part: int) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, pool_size=1, check_interval=60.0) as directory:
            proxy.part, proxy.mode = part, Mode.HALF
            asked = asyncio.create_task(ask(directory, timeout=4.0))
            await until(lambda: proxy.mode is Mode.HOLD)
            await asyncio.sleep(0.05)
            proxy.mode = Mode.PASS
            assert is_right(await asked)
            assert is_right(await ask(directory))
            assert directory.counters.connects == 1


async def test_one_that_is_too_large_is_refused_when_its_length_has_come(flooded: Any, parsed: list[object]) -> None:
    with proxied(flooded.port) as proxy:
        async with running(proxy.uri, pool_size=1, timeout=5.0, max_answer=150_000) as directory:
            proxy.part, proxy.mode = 3, Mode.HALF
            asked = asyncio.create_task(directory.search(by_mail(FLOOD, "maildrop")))
            await until(lambda: proxy.mode is Mode.HOLD)
            await asyncio.sleep(0.05)
            proxy.mode = Mode.PASS
            with pytest.raises(DataError, match="150000 bytes"):
                await asked
            assert f"(mail={FLOOD})" not in parsed
            assert is_right(await ask(directory))
            assert directory.counters.connects == 1


async def test_a_late_one_meets_no_other_search(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, pool_size=1, check_interval=60.0) as directory:
            proxy.part, proxy.mode = 3, Mode.HALF
            assert (await ask(directory, by_mail("user2@domain1.example"), timeout=0.1)).kind == "timeout"
            asked = asyncio.create_task(ask(directory))
            await asyncio.sleep(0.05)
            proxy.mode = Mode.PASS
            assert is_right(await asked)
            assert directory.counters.connects == 1


@on_each_loop
async def test_a_connection_that_stays_silent_is_given_up(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, pool_size=1, check_interval=60.0) as directory:
            proxy.mode = Mode.HOLD
            for _ in range(2):
                assert (await ask(directory, timeout=0.1)).kind == "timeout"
            proxy.mode = Mode.PASS
            await until(lambda: directory.counters.connects == 2)
            answer = await ask(directory)
            assert [entry.values("mail")[0] for entry in answer.entries] == [ADDRESS.encode()]
