"""What the console tells: bounded, in words, and without keeping others waiting. In fake time."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account, alias
from tests.maps.site import ALIAS, MAILBOX, Site
from vmaild.admin import control
from vmaild.admin.console import MAX_ENTRIES, MAX_LISTED, MAX_TEXT, PORTION, Console, Unknown
from vmaild.admin.control import MAX_ANSWER, ControlProtocol
from vmaild.cache import CacheSettings
from vmaild.directory import PoolStatus, ServerStatus
from vmaild.errors import DirectoryFailure


def console(site: Site) -> Console:
    servers = (ServerStatus("ldap://one", False, False, 0, 0, 0, 2, "timeout", "no answer", 3.0, 9.0),)
    directory = SimpleNamespace(status=lambda: PoolStatus(servers, 0))
    return Console(site.maps, site.cache, directory, lambda: {"version": "x"})


def asked(console: Console, line: bytes) -> Any:
    """The answer to a command line, for one that answers at once."""
    answer = ControlProtocol(None, console).answer(line)
    assert isinstance(answer, bytes)
    return json.loads(answer)


@in_fake_time
async def test_a_query_is_answered_as_a_client_is_and_cached() -> None:
    site = Site()
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    told = await console(site).query(MAILBOX, b"a@d.example")
    assert told == {"status": "OK", "text": "d.example/a/"}
    assert len(site.cache) == 1


@in_fake_time
async def test_a_failed_query_has_its_cause_and_what_ails_the_servers() -> None:
    site = Site()
    site.directory.failure = DirectoryFailure("LDAP result 51", "busy")
    told = await console(site).query(MAILBOX, b"a@d.example")
    assert told["status"] == "TEMP"
    assert told["cause"] == "LDAP result 51"
    assert told["servers"] == ["ldap://one: no answer"]


@in_fake_time
async def test_a_cause_that_does_not_come_in_time_is_that() -> None:
    site = Site(CacheSettings(stale_ttl=0), timeout=1.0)
    site.directory.failure = DirectoryFailure("busy", "busy")
    shell = console(site)
    begin, asked_before = site.directory.begin, site.directory.asked

    def answers_once(search: Any, end: Any, done: Any) -> None:
        if site.directory.asked == asked_before:
            begin(search, end, done)

    site.directory.begin = answers_once
    told = await shell.query(MAILBOX, b"a@d.example")
    assert told["status"] == "TEMP"
    assert told["cause"] == "the directory does not answer in time"


@in_fake_time
async def test_a_key_that_no_client_can_ask_for_has_no_records() -> None:
    assert asked(console(Site()), b"cache-show \xff") == {"records": []}


@in_fake_time
async def test_an_explanation_stores_nothing_and_has_the_record_that_was_there() -> None:
    site = Site()
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    first = await console(site).explain(MAILBOX, b"A+x@d.example")
    assert (first["cached"], len(site.cache)) == (None, 0)
    assert first["search_keys"][-1] == "@d.example"
    await console(site).query(MAILBOX, b"a@d.example")
    site.directory.entries.clear()
    second = await console(site).explain(MAILBOX, b"a@d.example")
    assert second["answer"] == "NOTFOUND"
    assert second["cached"]["maps"][MAILBOX.decode()] == "OK d.example/a/"


@in_fake_time
async def test_an_explanation_names_the_query_and_the_entry_that_decided() -> None:
    site = Site()
    site.directory.entries.append(alias("@d.example", "b@d.example"))
    told = await console(site).explain(ALIAS, b"whoever@d.example")
    assert told["decided"]["search_key"] == "@d.example"
    assert told["decided"]["entry"].startswith("mail=@d.example,")
    assert told["searches"][0]["count"] == 1


@in_fake_time
async def test_an_explanation_is_bounded_however_much_there_is() -> None:
    site = Site()
    site.directory.entries.append(alias("l@d.example", *(f"{'x' * 3000}{n}@d.example" for n in range(30))))
    told = await console(site).explain(ALIAS, b"l@d.example")
    values = told["searches"][0]["entries"][0]["attributes"]["maildrop"]
    assert (len(values), max(map(len, values)), len(told["answer"])) == (MAX_ENTRIES, MAX_TEXT, MAX_TEXT)


@pytest.mark.parametrize("key", [b"", b"a\0b@d.example", b"\xff@d.example"])
@in_fake_time
async def test_a_key_that_is_never_asked_for_is_explained_as_that(key: bytes) -> None:
    told = await console(Site()).explain(MAILBOX, key)
    assert (told["answer"], told["searches"]) == ("NOTFOUND", [])
    assert "never asked for" in told["failure"]


@in_fake_time
async def test_a_map_that_is_not_there_is_the_commands_fault() -> None:
    with pytest.raises(Unknown, match="no map named 'nothing'"):
        await console(Site()).query(b"nothing", b"x")
    answer = await ControlProtocol(None, console(Site())).answer(b"query nothing x")  # type: ignore[misc]
    assert json.loads(answer) == {"error": "no map named 'nothing'", "usage": True}


@in_fake_time
async def test_a_directory_that_hangs_is_not_waited_for_for_ever() -> None:
    site = Site()
    shell = console(site)

    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    shell.query = never  # type: ignore[assignment]
    answer = await ControlProtocol(None, shell).answer(b"query m k")  # type: ignore[misc]
    assert "the directory hangs" in json.loads(answer)["error"]
    assert asyncio.get_running_loop().time() >= control.ANSWER_SECONDS


@in_fake_time
async def test_a_list_is_as_long_as_asked_for_and_no_longer_than_the_bound() -> None:
    site = Site()
    shell = console(site)
    for number in range(30):
        await shell.query(MAILBOX, b"n%d@d.example" % number)
    assert len((await shell.cached(None, 5))["records"]) == 5
    assert len((await shell.cached(MAILBOX, 5))["records"]) == 5
    assert json.loads(await ControlProtocol(None, shell).answer(b"cache-list 9999999"))["more"] is False  # type: ignore[misc]
    assert "unknown command" in asked(shell, b"cache-list 99999999")["error"]
    assert "unknown command" in asked(shell, b"cache-list -1")["error"]
    assert MAX_LISTED == 1000


@in_fake_time
async def test_others_have_their_turn_while_a_list_is_made() -> None:
    site = Site()
    for number in range(1000):
        site.cache.store(b"1 n%d@d.example" % number, (b"d.example/x/", None, None), None)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    told = await console(site).cached(None, 1000)
    task.cancel()
    assert len(told["records"]) == 1000
    assert turns >= 1000 // PORTION - 1


@in_fake_time
async def test_the_age_of_a_record_is_told_while_it_can_be_known() -> None:
    site = Site()
    site.directory.entries.append(account("a@d.example", "d.example/a/"))
    await console(site).query(MAILBOX, b"a@d.example")
    await asyncio.sleep(60)
    (record,) = asked(console(site), b"cache-show a@d.example")["records"]
    assert record["age"] == pytest.approx(60, abs=3)
    assert record["state"] == "fresh"
    await asyncio.sleep(10_000)
    assert asked(console(site), b"cache-show a@d.example")["records"][0]["state"] == "stale"


def test_an_answer_that_is_too_long_says_so_instead() -> None:
    shell = SimpleNamespace(status=lambda: {"x": "y" * MAX_ANSWER})
    assert "ask for less" in asked(shell, b"status")["error"]


def test_without_a_console_there_are_the_two_commands_only() -> None:
    answer = json.loads(ControlProtocol(SimpleNamespace(stats=dict)).answer(b"status"))
    assert answer["usage"]
