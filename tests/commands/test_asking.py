"""query, explain, flush, log-level and cache, on a real directory and a running daemon."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.directory import account, alias
from vmaild.demo.ask import ask
from vmaild.demo.slapd import free_port
from vmaild.demo.tree import READER_DN, SEARCH_BASE


def test_the_configuration_is_named_before_the_command_or_after_it(vmaild: Any, daemon: Any) -> None:
    path = str(daemon.configuration)
    question = ("virtual_mailbox_maps", "user2@domain2.example")
    for arguments in (
        ("-c", path, "query", *question),
        ("query", "-c", path, *question),
        ("query", *question, "-c", path),
    ):
        assert vmaild(*arguments)[:2] == (0, "domain2.example/user2/\n")


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("cache",), ("query", "m"), ("top", "-d", "x")])
def test_wrong_usage_ends_with_64(vmaild: Any, arguments: tuple[str, ...]) -> None:
    status, out, err = vmaild(*arguments)
    assert (status, out) == (os.EX_USAGE, "")
    assert "usage: vmaild" in err


@pytest.mark.parametrize("command", [("status",), ("flush",), ("query", "m", "k")])
def test_a_configuration_that_does_not_exist_is_named(vmaild: Any, tmp_path: Path, command: tuple[str, ...]) -> None:
    """The default socket's absence was named in its place."""
    path = tmp_path / "none.toml"
    status, out, err = vmaild("-c", str(path), *command)
    assert (status, out) == (os.EX_CONFIG, "")
    assert f"{path}: No such file or directory" in err


# --- query


def test_query_goes_through_the_daemon_and_answers_in_an_outage_what_it_has_cached(
    run: Any, slapd: Any, outage: Any
) -> None:
    question = ("query", "virtual_mailbox_maps", "user2@domain2.example")
    assert run(*question)[0] == 0
    with outage():
        assert run(*question)[:2] == (0, "domain2.example/user2/\n")
        status, out, err = run("query", "--direct", *question[1:])
    assert (status, out) == (75, "")
    assert slapd.uri in err
    assert "no server can be reached" in err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("bind_pw_file = ", 'bind_pw = "wrong" #', "the server refused the bind (LDAP result 49"),
        ("o=hosting,", "o=elsewhere,", "does not hold, or not show, the search base"),
        ("no server", "", ""),
    ],
)
def test_query_direct_tells_the_causes_of_a_failure_apart(
    vmaild: Any, configured: Any, old: str, new: str, words: str
) -> None:
    if not words:
        text = Path(configured()).read_text()
        old = text.split('uri = ["')[1].split('"')[0]
        new, words = f"ldap://127.0.0.1:{free_port()}", "no server can be reached (cannot connect"
    path = configured((old, new))
    status, out, err = vmaild("query", "--direct", "-c", path, "virtual_mailbox_maps", "user2@domain2.example")
    assert (status, out) == (75, "")
    assert words in err


def test_query_without_a_daemon_names_the_way_past_it(vmaild: Any, configured: Any) -> None:
    path = configured(("control.sock", "none.sock"))
    status, _, err = vmaild("query", "-c", path, "virtual_mailbox_maps", "user2@domain2.example")
    assert status == os.EX_UNAVAILABLE
    assert "none.sock does not exist: is vmaild running?; --direct asks the directory without it" in err


def test_query_of_unusable_data_says_which_entry_and_why(run: Any, changed: Any) -> None:
    with changed(account("thief@domain3.example", mailbox="domain1.example/user1/")):
        status, out, err = run("query", "virtual_mailbox_maps", "thief@domain3.example")
        run("flush")
    assert (status, out) == (75, "")
    assert "mailbox 'domain1.example/user1/' does not begin with the domain of its address" in err


def test_query_as_json_has_status_and_value(run: Any) -> None:
    status, out, _ = run("query", "--json", "virtual_mailbox_maps", "user2@domain2.example")
    assert (status, json.loads(out)) == (0, {"status": "OK", "text": "domain2.example/user2/"})


# --- explain


def test_explain_has_keys_searches_entries_and_what_decided(run: Any) -> None:
    run("flush")
    status, out, err = run("explain", "User2+x@domain2.example")
    assert (status, err) == (0, "")
    assert "search keys: user2+x@domain2.example, user2@domain2.example, @domain2.example" in out
    assert f"sub o=domain2.example,{SEARCH_BASE} (|(mail=user2+x@domain2.example)" in out
    assert "mailbox: domain2.example/user2/" in out
    entry = f"mail=user2@domain2.example,o=domain2.example,{SEARCH_BASE}"
    assert f"decided by: query 1 for user2@domain2.example, entry {entry}" in out
    assert "cached: no" in out
    assert "\x1b" not in out


def test_explain_says_what_is_cached_beside_what_the_directory_says(run: Any, daemon: Any) -> None:
    ask(daemon.address, "virtual_mailbox_maps", "user2@domain2.example")
    maps = {told["map"]: told for told in json.loads(run("explain", "--json", "user2@domain2.example")[1])["maps"]}
    cached = maps["virtual_mailbox_maps"]["cached"]
    assert cached["state"] == "fresh"
    assert cached["maps"]["virtual_mailbox_maps"] == "OK domain2.example/user2/"


@pytest.mark.parametrize("way", [(), ("--direct",)])
def test_explain_follows_aliases_to_mailboxes_and_remote_addresses(
    run: Any, changed: Any, way: tuple[str, ...]
) -> None:
    ldif = alias("all@domain3.example", "next@domain3.example", "out@else.example", "gone@domain2.example") + alias(
        "next@domain3.example", "user2@domain2.example", "root"
    )
    with changed(ldif):
        status, out, _ = run("explain", "--json", "--postfix", "/nonexistent", *way, "all@domain3.example")
        run("flush")
    ends = {one["address"]: one for one in json.loads(out)["ends"]}
    assert status == 0
    assert ends["user2@domain2.example"] == {
        "address": "user2@domain2.example",
        "ends": "mailbox",
        "text": "domain2.example/user2/",
        "way": ["all@domain3.example", "next@domain3.example"],
    }
    assert ends["out@else.example"]["ends"] == "remote address"
    assert ends["gone@domain2.example"]["ends"] == "dead end"
    assert ends["root@localhost"]["ends"] == "local user"


def test_explain_obeys_main_cf(run: Any, changed: Any, tmp_path: Path) -> None:
    """Its own domains, what it appends to a bare localpart, and its limits."""
    (tmp_path / "master.cf").write_text("")
    main = "myorigin = origin.test\nmydestination = $myorigin, hash:/x, other.test\n"
    with changed(alias("all@domain3.example", "root", "ann@other.test", "user2@domain2.example")):
        (tmp_path / "main.cf").write_text(main)
        status, out, _ = run("explain", "--json", "--postfix", str(tmp_path), "all@domain3.example")
        (tmp_path / "main.cf").write_text(f"{main}virtual_alias_expansion_limit = 2\n")
        limited, waits, _ = run("explain", "--json", "--postfix", str(tmp_path), "all@domain3.example")
        run("flush")
    ends = {one["address"]: one["ends"] for one in json.loads(out)["ends"]}
    assert status == 0
    assert ends == {
        "root@origin.test": "local user", "ann@other.test": "local user", "user2@domain2.example": "mailbox",
    }  # fmt: skip
    assert limited == 75
    assert "virtual_alias_expansion_limit" in waits


def test_explain_names_a_loop(run: Any, changed: Any) -> None:
    ldif = alias("one@domain3.example", "two@domain3.example") + alias("two@domain3.example", "one@domain3.example")
    with changed(ldif):
        status, out, _ = run("explain", "--postfix", "/nonexistent", "one@domain3.example")
        run("flush")
    assert status == 75
    assert "LOOP" in out
    assert "one@domain3.example -> two@domain3.example -> one@domain3.example: Postfix goes round" in out


def test_explain_names_the_guard(run: Any, changed: Any) -> None:
    with changed(account("thief@domain3.example", mailbox="domain1.example/user1/")):
        status, out, _ = run("explain", "thief@domain3.example")
        run("flush")
    assert status == 75
    assert "decided by: the guard: this data must not be used" in out


def test_explain_in_an_outage_says_what_is_cached_and_what_ails_the_servers(run: Any, outage: Any) -> None:
    run("query", "virtual_mailbox_maps", "user2@domain2.example")
    with outage():
        status, out, _ = run("explain", "user2@domain2.example")
    assert status == 75
    assert "no server can be reached" in out
    assert "OK domain2.example/user2/" in out


# --- flush, log-level, cache


def test_flush_of_an_unknown_map_ends_with_64_and_names_the_nearest(run: Any) -> None:
    status, out, err = run("flush", "virtual_alias_map")
    assert (status, out) == (os.EX_USAGE, "")
    assert "no map named 'virtual_alias_map'; did you mean 'virtual_alias_maps'?" in err


def test_log_level_is_set_in_the_running_daemon(run: Any, daemon: Any) -> None:
    assert run("log-level") == (0, "info\n", "")
    assert run("log-level", "debug")[:2] == (0, "debug\n")
    assert run("log-level", "--json") == (0, '{\n  "log_level": "debug"\n}\n', "")
    run("flush")
    run("query", "virtual_mailbox_domains", "domain2.example")
    run("log-level", "info")
    searched = (
        f"key 'domain2.example': base search at 'o=domain2.example,{SEARCH_BASE}' for '(objectClass=organization)'"
    )
    end = time.monotonic() + 20
    while searched not in (log := (daemon.home / "vmaild.log").read_text()):
        assert time.monotonic() < end, log
        time.sleep(0.02)
    assert "key 'domain2.example': 1 entries" in log


def test_an_unknown_log_level_ends_with_64_and_changes_nothing(run: Any) -> None:
    status, _, err = run("log-level", "loud")
    assert status == os.EX_USAGE
    assert "debug, info, warning, error" in err
    assert run("log-level")[1] == "info\n"


def test_cache_show_has_what_is_known_for_each_map(run: Any) -> None:
    run("flush")
    assert run("cache", "show", "user2@domain2.example") == (1, "nothing is cached for user2@domain2.example\n", "")
    run("query", "virtual_mailbox_maps", "user2@domain2.example")
    status, out, _ = run("cache", "show", "USER2@domain2.example")
    assert status == 0
    assert "user2@domain2.example: fresh, stored " in out
    assert "virtual_mailbox_maps     OK domain2.example/user2/" in out
    assert "virtual_alias_maps       NOTFOUND (the entry exists" in out


def test_cache_list_has_the_newest_first_and_as_many_as_asked_for(run: Any) -> None:
    run("flush")
    for key in ("domain1.example", "domain2.example", "domain3.example"):
        run("query", "virtual_mailbox_domains", key)
    told = json.loads(run("cache", "list", "--json", "--count", "2")[1])
    assert [record["key"] for record in told["records"]] == ["domain3.example", "domain2.example"]
    assert (told["more"], told["total"]) == (True, 3)
    assert json.loads(run("cache", "list", "--json", "virtual_uid_maps")[1])["records"] == []
    assert run("cache", "list", "no_map")[0] == os.EX_USAGE


def test_what_the_directory_holds_does_not_write_to_the_terminal(run: Any, changed: Any) -> None:
    run("flush")
    run("query", "virtual_mailbox_maps", "a\x1b[2Jb@domain2.example")
    assert "\x1b" not in run("cache", "list")[1]
    assert "a\\x1b[2jb@domain2.example" in run("cache", "list")[1]


# --- check


def test_check_asks_every_server(run: Any, slapd: Any) -> None:
    status, out, err = run("check")
    assert status == 0
    assert f"{slapd.uri}: bind: accepted as {READER_DN}" in out
    assert f"{slapd.uri}: search_base: '{SEARCH_BASE}' is there" in out
    assert "userPassword: this account does not read it" in out
    assert "contextCSN" in err
    assert "slapo-syncprov" in err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("bind_pw_file = ", 'bind_pw = "wrong" #', "bind: the server refused the bind"),
        ("o=hosting,", "o=elsewhere,", "search_base: 'o=elsewhere,dc=myhosting,dc=example' is not there"),
    ],
)
def test_check_ends_with_75_when_a_server_says_no_but_offline_asks_none(
    vmaild: Any, configured: Any, old: str, new: str, words: str
) -> None:
    path = configured((old, new))
    status, _, err = vmaild("check", "-c", path)
    assert status == os.EX_TEMPFAIL
    assert words in err
    assert vmaild("check", "--offline", "-c", path)[0] == 0


def test_check_sees_that_the_account_reads_passwords(vmaild: Any, configured: Any, slapd: Any) -> None:
    path = configured((READER_DN, slapd.root_dn), ("bind_pw_file = ", f'bind_pw = "{slapd.root_pw}" #'))
    status, _, err = vmaild("check", "-c", path)
    assert status == 0
    assert "userPassword: this account reads it" in err


@pytest.mark.parametrize("systemd", [True, False])
def test_check_notices_a_directory_that_a_socket_needs(
    vmaild: Any,
    configured: Any,
    daemon: Any,
    http_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    systemd: bool,
) -> None:
    """Where systemd runs it may make it yet; without, the daemon could not listen."""
    (tmp_path / "systemd").mkdir()
    monkeypatch.setattr("vmaild.commands.check.SYSTEMD", tmp_path / ("systemd" if systemd else "none"))
    path = configured(
        (str(daemon.address), f"unix:{tmp_path}/one/socket"),
        (f"inet:127.0.0.1:{http_port}", f"unix:{tmp_path}/two/socket"),
        (f"unix:{daemon.home}/control.sock", f"unix:{tmp_path}/three/socket"),
    )
    status, _, err = vmaild("check", "--offline", "-c", path)

    assert status == (0 if systemd else os.EX_CONFIG)
    for key, name in (("[[listen]] address", "one"), ("[http] address", "two"), ("[control] address", "three")):
        assert f"{key}: the directory '{tmp_path}/{name}' is not there" in err
    assert f"install -d -m 0755 {tmp_path}/one" in err
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    assert vmaild("check", "--offline", "-c", path)[0] == 0


def test_check_notices_a_file_in_the_way_of_a_socket(vmaild: Any, configured: Any, daemon: Any, tmp_path: Path) -> None:
    (tmp_path / "socket").write_text("")
    status, _, err = vmaild("check", "--offline", "-c", configured((str(daemon.address), f"unix:{tmp_path}/socket")))

    assert status == os.EX_CONFIG
    assert "is no socket, and in the way of one" in err


def test_check_as_json_lists_what_was_found(run: Any) -> None:
    found = json.loads(run("check", "--offline", "--json")[1])
    assert [(one["level"], one["text"]) for one in found] == [("ok", "no problem found; maps: 6, listeners: 1")]
