"""``vmaild compare``: Postfix's own table and vmaild are asked the same keys."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.conftest import aged, write_table
from tests.oracle.test_items import BASE, LDIF
from vmaild import cli, lookup
from vmaild.demo.slapd import Slapd
from vmaild.lookup import NOT_FOUND, Reply
from vmaild.migration import compare_command
from vmaild.migration.causes import cause
from vmaild.migration.keys import keys_in


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", base=BASE, ldif=LDIF, access="") as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, slapd: Slapd) -> Path:
    """Postfix's directory, two tables, a map of both, and a file of keys."""
    aged(_written(tmp_path / "main.cf", "compatibility_level = 3.7\n"))
    aged(_written(tmp_path / "master.cf", ""))
    narrow = {"search_base": BASE, "scope": "one", "query_filter": "(mail=%s)"}
    write_table(tmp_path / "first.cf", slapd.uri, {**narrow, "query_filter": "(&(mail=%s)(cn=m))"})
    write_table(tmp_path / "second.cf", slapd.uri, {**narrow, "query_filter": "(&(mail=%s)(!(cn=m)))"})
    write_table(tmp_path / "terminal.cf", slapd.uri, {**narrow, "terminal_result_attribute": "description"})
    maps = '[maps.aliases]\ncf = ["first.cf", "second.cf"]\npropagate_extension = true\n'
    _written(tmp_path / "vmaild.toml", f'recipient_delimiter = "+"\n{maps}')
    return tmp_path


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def compare(home: Path, subject: str, *keys: str) -> int:
    file = _written(home / "keys", "".join(f"{key}\n" for key in keys))
    options = ["--postfix-config", str(home), "-c", str(home / "vmaild.toml")]
    return cli.main(["compare", *options, subject, str(file)])


def test_a_file_that_answers_the_same(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ("m@one.example", "M@One.example", "absent@one.example", "m+x@one.example", "x", "a b@c", "")
    assert compare(home, str(home / "first.cf"), *keys) == 0
    assert capsys.readouterr().out == "6 keys, 0 different\n"


def test_a_difference_on_purpose_is_shown_with_its_cause(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(home, str(home / "terminal.cf"), "pair@one.example", "m@one.example") == 1
    assert capsys.readouterr().out == (
        "pair@one.example\n"
        "  Postfix: end\n"
        "  vmaild:  end,more@box.example\n"
        "  cause:   Postfix keeps its leaf and terminal state from one entry to the next; vmaild judges each by"
        " itself\n"
        "2 keys, 1 different\n"
    )


def test_a_map_is_searched_as_postfix_searches_its_tables(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ("m+ext@one.example", "order@one.example", "nobody@one.example", "M@one.example", "far@else.example")
    assert compare(home, "Aliases", *keys) == 0
    assert capsys.readouterr().out == "5 keys, 0 different\n"


def test_keys_that_fail_in_postfix_do_not_hide_the_others(
    home: Path, slapd: Slapd, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(
        home / "limited.cf",
        slapd.uri,
        {"search_base": BASE, "scope": "one", "query_filter": "(mail=%s)", "size_limit": "1"},
    )
    assert compare(home, str(home / "limited.cf"), "m@one.example", "pair@one.example", "order@one.example") == 0
    assert capsys.readouterr().out == "3 keys, 0 different\n"


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("other", "no map named 'other'"),
        ("own", "map own is not made of table files"),
    ],
)
def test_what_cannot_be_compared_is_wrong_usage(
    home: Path, slapd: Slapd, capsys: pytest.CaptureFixture[str], subject: str, said: str
) -> None:
    directory = f'[directory]\nuri = ["{slapd.uri}"]\nsearch_base = "{BASE}"\n'
    _written(home / "vmaild.toml", directory + '[maps.own]\nquery_filter = "(mail=%s)"\n')
    assert compare(home, subject, "x") == 64
    assert said in capsys.readouterr().err


def test_a_table_in_main_cf_is_compared_too(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_CONFIG", str(home))
    lines = (home / "first.cf").read_text().splitlines()
    aged(_written(home / "main.cf", "".join(f"x_{line}\n" for line in lines)))
    _written(home / "vmaild.toml", '[maps.main]\ncf = ["proxy:ldap:x", "second.cf"]\n')
    assert compare(home, "main", "m@one.example", "order@one.example", "absent@one.example") == 0
    assert capsys.readouterr().out == "3 keys, 0 different\n"


def test_without_postmap_the_service_is_unavailable(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert compare(home, str(home / "first.cf"), "m@one.example") == 69
    assert "postmap is not installed" in capsys.readouterr().err


def test_a_progress_line_goes_to_a_terminal_only() -> None:
    shown, hidden = io.StringIO(), io.StringIO()
    for stream, terminal in ((shown, True), (hidden, False)):
        progress = compare_command.Progress("vmaild", terminal, stream.write)
        progress.of(10)
        progress.step(4)
        progress.end()
    assert shown.getvalue() == "\rvmaild: 4 of 10 keys \r\x1b[K"
    assert hidden.getvalue() == ""


LOG = """\
Nov 25 10:00:01 mx postfix/smtpd[12]: NOQUEUE: reject: RCPT from x[192.0.2.1]: 550 5.1.1 <no@a.example>: User unknown;
 from=<s@b.example> to=<no@a.example> proto=ESMTP helo=<x>
Nov 25 10:00:02 mx postfix/lmtp[13]: 4Abc: to=<ann@a.example>, orig_to=<Alias@a.example>, relay=x, status=sent
2026-11-25T10:00:03+00:00 mx postfix/submission/smtpd[14]: 4Abd: client=x
Nov 25 10:00:04 mx postfix/virtual[15]: 4Abe: to=<ann@a.example>, relay=virtual, status=sent
"""


def test_recipients_are_taken_from_a_mail_log() -> None:
    assert keys_in(LOG) == ["no@a.example", "ann@a.example", "Alias@a.example"]


def test_a_list_of_keys_is_taken_line_by_line() -> None:
    assert keys_in("a@b\n\n  c d@e\na@b\n") == ["a@b", "  c d@e"]


TEMP = lookup.temporary("x")


@pytest.mark.parametrize(
    ("postfix", "vmaild", "by_entry", "wanted"),
    [
        (b"a,b", b"b,a", False, "another order"),
        (b"a,b,a", b"b,a", False, "returned once"),
        (b"a", b"a,b", True, "leaf and terminal"),
        (b"a", b"a,b", False, "not known"),
        (b"a\x01", TEMP, False, "control character"),
        (b"\xff", TEMP, False, "not UTF-8"),
        (b"a", TEMP, False, "not known"),
        (b"a" * 100_000, TEMP, False, "longer than Postfix takes"),
        (TEMP, b"a", False, "Postfix's own lookup failed"),
        (NOT_FOUND, b"a", True, "leaf and terminal"),
        (NOT_FOUND, b"a", False, "not known"),
    ],
)
def test_causes(postfix: bytes | Reply, vmaild: bytes | Reply, by_entry: bool, wanted: str) -> None:
    one, other = (lookup.found(side) if isinstance(side, bytes) else side for side in (postfix, vmaild))
    assert wanted in cause(one, other, by_entry=by_entry)
