"""check --postfix: each trap of main.cf and master.cf, from files written for it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmaild.commands.check_postfix import findings, may_write
from vmaild.config import Config, load
from vmaild.directory.examine import Level

GOOD_MAIN = """
virtual_mailbox_domains = socketmap:inet:127.0.0.1:10143:virtual_mailbox_domains
virtual_mailbox_maps = socketmap:inet:127.0.0.1:10143:virtual_mailbox_maps
virtual_alias_maps = socketmap:inet:127.0.0.1:10143:virtual_alias_maps
virtual_alias_domains =
virtual_transport = lmtp:unix:private/lmtp
recipient_delimiter = +
"""
MASTER = """
smtp      inet  n       -       {chroot}       -       -       smtpd
cleanup   unix  n       -       {chroot}       -       0       cleanup
virtual   unix  -       n       n       -       -       virtual{more}
"""

CHROOTED = "\nsubmission inet n      -       y       -       -       smtpd"


@pytest.fixture
def check(tmp_path: Path) -> Any:
    def run(*changes: tuple[str, str], chroot: str = "n", more: str = "", listen: str = "") -> list[tuple[Level, str]]:
        main = GOOD_MAIN
        for old, new in changes:
            assert old in main
            main = main.replace(old, new)
        (tmp_path / "main.cf").write_text(f"{main}\nqueue_directory = {tmp_path}/queue\ncompatibility_level = 3.6\n")
        (tmp_path / "master.cf").write_text(MASTER.format(chroot=chroot, more=more))
        return [(one.level, one.text) for one in findings(tmp_path, configuration(tmp_path, listen))]

    return run


OWN = """
[maps.own_transport]
query_filter = "(o=%s)"
result_attribute = "mailTransport"
"""


def configuration(home: Path, listen: str) -> Config:
    path = home / "vmaild.toml"
    text = 'preset = "courier"\nrecipient_delimiter = "+"\n[directory]\nuri = "ldap://127.0.0.1"\nsearch_base = "o=x"\n'
    path.write_text(text + (f'[[listen]]\naddress = "unix:{listen}"\n' if listen else "") + OWN)
    return load(path, {})


def test_a_good_set_up_has_no_trap(check: Any) -> None:
    assert check() == [(Level.OK, "no trap found in main.cf and master.cf")]


@pytest.mark.parametrize(
    ("old", "new", "level", "words"),
    [
        ("virtual_alias_domains =\n", "", Level.WARNING, "write 'virtual_alias_domains ='"),
        ("lmtp:unix:private/lmtp", "virtual", Level.ERROR, "virtual(8) delivers"),
        (
            "recipient_delimiter = +",
            "recipient_delimiter = -",
            Level.ERROR,
            "recipient_delimiter is '-' here and '+' in",
        ),
        (":virtual_alias_maps", ":virtual_alias_map", Level.ERROR, "vmaild has no map 'virtual_alias_map'"),
        (
            ":virtual_alias_maps\n",
            ":virtual_alias_maps, hash:/etc/postfix/virtual\n",
            Level.WARNING,
            "virtual_alias_maps: has 2 tables",
        ),
        (
            "virtual_mailbox_domains = socketmap:inet:127.0.0.1:10143:virtual_mailbox_domains\n",
            "",
            Level.ERROR,
            "virtual_mailbox_domains: is $virtual_mailbox_maps by default",
        ),
        (
            ":virtual_mailbox_maps\n",
            ":virtual_mailbox_domains\n",
            Level.ERROR,
            "virtual_mailbox_maps: asks for addresses, and map virtual_mailbox_domains finds bare domains only",
        ),
        (
            ":virtual_mailbox_domains\n",
            ":virtual_mailbox_maps\n",
            Level.ERROR,
            "virtual_mailbox_domains: asks for bare domains, and map virtual_mailbox_maps finds addresses only",
        ),
        (
            "virtual_alias_domains =\n",
            "virtual_alias_domains =\ntransport_maps = socketmap:inet:127.0.0.1:10143:own_transport\n",
            Level.WARNING,
            "transport_maps: map own_transport has keys = 'address': it finds no domain",
        ),
    ],
)
def test_each_trap_is_named(check: Any, old: str, new: str, level: Level, words: str) -> None:
    ((found, text),) = check((old, new))
    assert found is level
    assert words in text


def test_a_postfix_that_does_not_ask_vmaild_is_told_so(check: Any) -> None:
    ((level, text),) = check(("socketmap:inet:127.0.0.1:10143", "hash:/x"))
    assert level is Level.WARNING
    assert "Postfix does not ask vmaild" in text


@pytest.mark.parametrize(
    ("table", "trap"),
    [
        ("search_base = o=hosting\nquery_filter = (mail=%s)\nresult_attribute = mailbox\n", True),
        ("search_base = o=%d,o=hosting\nquery_filter = (mail=%s)\nresult_attribute = mailbox\n", True),
        ("search_base = o=hosting\nquery_filter = (&(mail=%s)(mailbox=%d/*))\nresult_attribute = mailbox\n", True),
        (
            "search_base = o=%d,o=hosting\nresult_attribute = mailbox\n"
            "query_filter = (&(mail=%s)(mailbox=%d/*/)(!(mailbox=*..*)))\n",
            False,
        ),
    ],
)
def test_virtuals_own_table_must_not_leave_the_domain(check: Any, tmp_path: Path, table: str, trap: bool) -> None:
    own = tmp_path / "own.cf"
    own.write_text(f"server_host = ldap://127.0.0.1\n{table}")
    more = f"\n    -o virtual_mailbox_maps=ldap:{own}"
    found = check(("lmtp:unix:private/lmtp", "virtual"), more=more)
    assert [level for level, _ in found] == [Level.ERROR if trap else Level.OK], found
    assert ("is not guarded" in found[0][1]) is trap


@pytest.mark.parametrize(
    ("table", "level", "words"),
    [
        ("socketmap:inet:127.0.0.1:10143:virtual_mailbox_maps", Level.ERROR, "virtual(8) refuses socketmap:"),
        ("ldap:/nonexistent/own.cf", Level.WARNING, "ldap:/nonexistent/own.cf cannot be read: No such file"),
        ("hash:/etc/postfix/own", Level.OK, "no trap found"),
    ],
)
def test_virtuals_own_table_of_another_kind(check: Any, table: str, level: Level, words: str) -> None:
    ((found, text),) = check(("lmtp:unix:private/lmtp", "virtual"), more=f"\n    -o virtual_mailbox_maps={table}")
    assert found is level
    assert words in text


def test_a_parameter_that_stops_postfix_hides_no_trap_of_another(check: Any) -> None:
    found = check(("virtual_alias_domains =\n", "relay_domains = $relay_domains\n"))
    assert ["virtual_alias_domains" in text for _, text in found] == [True]


def test_a_main_cf_that_is_not_there_is_the_only_finding(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, configuration(tmp_path, ""))
    assert (found.level, found.text) == (Level.ERROR, "cannot be read: No such file or directory")


def test_the_project_s_own_snippets_pass(check: Any) -> None:
    snippets = Path(__file__).parents[2] / "postfix-snippets"
    tables = ",".join(f"ldap:{snippets / name}" for name in ("ldap-mailbox.cf", "ldap-mailbox-wait.cf"))
    more = f"\n    -o virtual_mailbox_maps={tables}"
    assert check(("lmtp:unix:private/lmtp", "virtual"), more=more)[0][0] is Level.OK


def test_a_chrooted_service_needs_the_socket_in_the_queue_directory(check: Any, tmp_path: Path) -> None:
    at = f"unix:{tmp_path}/socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/socket")
        (tmp_path / "socket").chmod(0o666)
        change = ("inet:127.0.0.1:10143", at)
        assert check(change, listen=f"{tmp_path}/socket")[0][0] is Level.OK
        ((level, text),) = check(change, chroot="y", listen=f"{tmp_path}/socket")
    assert level is Level.ERROR
    assert f"Postfix looks for a socket at {tmp_path}/queue{tmp_path}/socket, where vmaild does not listen" in text


@pytest.mark.parametrize("chroot", ["y", "n"])
def test_a_path_without_a_beginning_is_below_the_queue_directory(check: Any, tmp_path: Path, chroot: str) -> None:
    """For all of Postfix's programs, chrooted or not: they stand there."""
    (tmp_path / "queue/vmaild").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/queue/vmaild/lookups")
        (tmp_path / "queue/vmaild/lookups").chmod(0o666)
        change = ("inet:127.0.0.1:10143", "unix:vmaild/lookups")
        found = check(change, chroot=chroot, listen=f"{tmp_path}/queue/vmaild/lookups")
    assert [level for level, _ in found] == [Level.OK], found


def test_where_only_some_services_are_chrooted_both_places_are_looked_at(check: Any, tmp_path: Path) -> None:
    at = f"{tmp_path}/socket"
    found = check(("inet:127.0.0.1:10143", f"unix:{at}"), chroot="n", more=CHROOTED, listen=at)
    assert [level for level, _ in found] == [Level.WARNING, Level.WARNING]
    assert f"some services are chrooted, and look for it at {tmp_path}/queue{at}" in found[0][1]
    assert "cannot be examined: No such file or directory; is vmaild running?" in found[1][1]


def test_without_postfixs_user_nothing_is_said_of_the_sockets_mode(check: Any, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/socket")
        (tmp_path / "socket").chmod(0o600)
        at = f"unix:{tmp_path}/socket"
        change = ("recipient_delimiter = +", "recipient_delimiter = +\nmail_owner = nobody-of-that-name")
        found = check(("inet:127.0.0.1:10143", at), change, listen=f"{tmp_path}/socket")
    assert [level for level, _ in found] == [Level.OK]


def test_postfix_must_be_allowed_to_open_the_socket(check: Any, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/socket")
        (tmp_path / "socket").chmod(0o600)
        ((level, text),) = check(("inet:127.0.0.1:10143", f"unix:{tmp_path}/socket"), listen=f"{tmp_path}/socket")
    assert level is Level.ERROR
    assert "postfix may not connect" in text


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "may"),
    [(0o600, 1, 9, True), (0o400, 1, 9, False), (0o620, 9, 2, True), (0o602, 9, 2, False), (0o602, 9, 9, True)],
)
def test_who_may_write_is_decided_by_the_first_that_fits(mode: int, uid: int, gid: int, may: bool) -> None:
    found = SimpleNamespace(st_uid=uid, st_gid=gid, st_mode=stat.S_IFSOCK | mode)
    assert may_write(found, 1, {2}) is may


def test_check_with_postfix_ends_with_78_for_an_error(vmaild: Any, configured: Any, tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text(GOOD_MAIN.replace("recipient_delimiter = +", ""))
    status, _, err = vmaild("-c", configured(), "check", "--offline", "--postfix", str(tmp_path))
    assert status == os.EX_CONFIG
    assert "recipient_delimiter is ''" in err
