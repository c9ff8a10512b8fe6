"""audit: each rule on made-up entries, and a walk through a real directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.directory import account, alias
from vmaild import cli
from vmaild.commands.audit_rules import Audit
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import SEARCH_BASE, tree
from vmaild.directory.examine import Level
from vmaild.lookup import Entry

BASE = "o=hosting"
D1 = f"o=one.example,{BASE}"


def entry(dn: str, kind: str, **attributes: str | list[str]) -> Entry:
    values = {name.lower(): [one] if isinstance(one, str) else one for name, one in attributes.items()}
    values["objectclass"] = [kind]
    return Entry(dn, {name: tuple(one.encode() for one in many) for name, many in values.items()})


def person(address: str, **changes: str | list[str]) -> Entry:
    localpart, _, domain = address.partition("@")
    values = {
        "mail": address,
        "mailbox": f"{domain}/{localpart}/",
        "homeDirectory": "/mail",
        "userPassword": "{SSHA}x",
        **changes,
    }
    return entry(f"mail={address},o={domain},{BASE}", "courierMailAccount", **values)


def way(mail: str, *drops: str) -> Entry:
    return entry(f"mail={mail},{D1}", "courierMailAlias", mail=mail, maildrop=list(drops))


GOOD = (
    entry(BASE, "organization", o="hosting"),
    entry(D1, "organization", o="one.example"),
    entry(f"cn=postmaster,{D1}", "organizationalRole", cn="postmaster", roleOccupant=f"mail=a@one.example,{D1}"),
    person("a@one.example"),
    way("abuse@one.example", "a@one.example"),
)


def wrong(*more: Entry, without: Entry | None = None, delimiter: str = "") -> list[tuple[str, str]]:
    audit = Audit(BASE, delimiter)
    for one in (*GOOD, *more):
        if one is not without:
            audit.add(one)
    return [(problem.rule, problem.text) for problem in audit.problems()]


def test_a_good_tree_has_no_problem() -> None:
    assert wrong() == []


def test_a_domain_needs_its_postmaster_and_abuse_address() -> None:
    ((rule, text),) = wrong(without=GOOD[2])
    assert (rule, "postmaster" in text) == ("domain", True)
    assert wrong(without=GOOD[4]) == [("domain", "no abuse@one.example (RFC 2142)")]


@pytest.mark.parametrize(
    ("more", "rule", "words"),
    [
        (person("b@one.example", mailbox="/abs/"), "mailbox", "is not relative"),
        (person("b@one.example", mailbox="one.example/b"), "mailbox", "does not end in /"),
        (person("b@one.example", mailbox="two.example/b/"), "mailbox", "does not begin with the domain"),
        (person("b@one.example", mailbox="one.example/../b/"), "mailbox", "holds .."),
        (person("b@one.example", mailbox=[]), "mailbox", "no mailbox"),
        (person("b@one.example", mailbox="one.example/a/"), "mailbox", "is shared with mail=b@one.example"),
        (person("b@one.example", uidNumber="0"), "mailbox", "as root"),
        (person("b@one.example", homeDirectory="/elsewhere"), "home", "'/elsewhere'"),
        (person("b@one.example", userPassword="secret"), "password", "in clear"),
        (person("b@one.example", userPassword="{CLEARTEXT}x"), "password", "in clear"),
        (person("b@one.example", userPassword=[]), "password", "no userPassword"),
        (person("b@one.example", mail=["b@one.example", "A@one.example"]), "mail", "a@one.example is also of"),
        (person("b@one.example", mail=["b@one.example", "b@two.example"]), "mail", "not inside its domain"),
        (way("l@one.example", "l@one.example"), "maildrop", "loop: l@one.example -> l@one.example"),
        (way("l@one.example", "gone@one.example"), "maildrop", "gone@one.example is not there"),
        (way("l@one.example"), "maildrop", "without maildrop"),
        (entry(f"mailbox=x,{D1}", "account"), "rdn", "its RDN holds mailbox"),
        (entry(f"cn=x+homeDirectory=y,{D1}", "account"), "rdn", "its RDN holds homedirectory"),
        (entry(f"cn=x,{D1}", "alias"), "object", "an alias object"),
        (entry(f"cn=x,{D1}", "referral"), "object", "a referral object"),
    ],
)
def test_each_rule_finds_what_breaks_it(more: Entry, rule: str, words: str) -> None:
    found = wrong(more)
    assert [one for one, _ in found] == [rule], found
    assert words in found[0][1]


def test_the_commonest_home_is_the_right_one() -> None:
    audit = Audit(BASE)
    for one in (*GOOD, person("b@one.example", homeDirectory="/else"), person("c@one.example")):
        audit.add(one)
    assert [problem.entry for problem in audit.problems()] == [f"mail=b@one.example,o=one.example,{BASE}"]


@pytest.mark.parametrize(
    ("occupant", "level", "words"),
    [
        (f"mail=gone@one.example,{D1}", Level.ERROR, "does not exist"),
        (f"cn=postmaster,{D1}", Level.ERROR, "has no mail"),
        ("rubbish", Level.ERROR, "is no DN"),
        ("cn=admin,o=else", Level.WARNING, "outside the search base"),
    ],
)
def test_occupants_exist_and_have_an_address(occupant: str, level: Level, words: str) -> None:
    audit = Audit(BASE)
    role = entry(f"cn=postmaster,{D1}", "organizationalRole", cn="postmaster", roleOccupant=occupant)
    for one in (*GOOD, role):
        audit.add(one)
    (problem,) = audit.problems()
    assert (problem.level, problem.rule) == (level, "role")
    assert words in problem.text


def test_a_circle_of_aliases_is_told_once() -> None:
    circle = (way("x@one.example", "y@one.example"), way("y@one.example", "z@one.example", "a@one.example"))
    found = wrong(*circle, way("z@one.example", "x@one.example"), way("in@one.example", "y@one.example"))
    assert len(found) == 1
    assert "loop:" in found[0][1]


def test_a_long_chain_of_aliases_is_no_circle_and_no_recursion() -> None:
    assert (
        wrong(*(way(f"c{n}@one.example", f"c{n + 1}@one.example") for n in range(5000)), person("c5000@one.example"))
        == []
    )


def test_maildrops_are_found_as_lookups_find_them() -> None:
    drops = ("a+tag@one.example", "postmaster@one.example", "root", "x@else.example")
    assert wrong(way("l@one.example", *drops), delimiter="+") == []
    catch_all = entry(f"mail=@one.example,{D1}", "courierMailAlias", mail="@one.example", maildrop="a@one.example")
    assert wrong(way("l@one.example", "whoever@one.example"), catch_all) == []


def test_passwords_that_cannot_be_read_are_no_finding() -> None:
    audit = Audit(BASE)
    audit.add(person("a@one.example", userPassword=[]))
    assert not audit.passwords_read
    assert [problem for problem in audit.problems() if problem.rule == "password"] == []


# --- on a real directory


@pytest.fixture
def bad_tree(slapd: Slapd) -> Iterator[None]:
    referral = f"cn=away,o=domain3.example,{SEARCH_BASE}"
    slapd.add(
        account("thief@domain3.example", mailbox="domain1.example/user1/")
        + alias("loop@domain3.example", "loop@domain3.example")
        + f"dn: {referral}\nobjectClass: referral\nobjectClass: extensibleObject\ncn: away\nref: ldap://127.0.0.1:1/o=x\n\n"
    )
    yield
    for dn in ("mail=thief@domain3.example", "mail=loop@domain3.example"):
        slapd.modify(f"dn: {dn},o=domain3.example,{SEARCH_BASE}\nchangetype: delete\n")
    slapd.modify(f"dn: {referral}\ncontrol: 2.16.840.1.113730.3.4.2 true\nchangetype: delete\n")


def test_audit_of_a_real_directory_finds_what_is_wrong(run: Any, bad_tree: None) -> None:
    status, out, err = run("audit", "--json")
    assert (status, err) == (1, "")
    told = json.loads(out)
    found = {(one["rule"], one["entry"].partition(",")[0]) for one in told["problems"] if one["level"] == "error"}
    assert found == {
        ("mailbox", "mail=thief@domain3.example"),
        ("mailbox", "mail=user1@domain1.example"),
        ("maildrop", "mail=loop@domain3.example"),
        ("object", "cn=away"),
        ("role", "cn=postmaster"),
    }
    assert not told["passwords_read"]


def test_audit_prints_a_table_without_colours_or_progress_on_a_pipe(run: Any) -> None:
    status, out, err = run("audit")
    assert (status, err) == (1, "")
    assert "user9@domain2.example" in out
    assert out.splitlines()[-1].endswith("no userPassword can be read by this account, so none was checked")
    assert "\x1b" not in out


def test_audit_as_another_account_reads_passwords(run: Any, slapd: Slapd, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(f"{slapd.root_pw}\n")
    _, out, _ = run("audit", "--json", "--bind-dn", slapd.root_dn, "--bind-pw-file", str(tmp_path / "pw"))
    assert json.loads(out)["passwords_read"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file or directory"), ("\n", "--bind-dn needs --bind-pw-file, a file with the password")],
)
def test_audit_as_another_account_needs_its_password(
    run: Any, slapd: Slapd, tmp_path: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "pw").write_text(content)
    status, out, err = run("audit", "--bind-dn", slapd.root_dn, "--bind-pw-file", str(tmp_path / "pw"))
    assert (status, out) == (78, "")
    assert words in err


def test_an_audit_of_nothing_is_no_good_audit(vmaild: Any, configured: Any) -> None:
    status, out, err = vmaild("-c", configured(("o=hosting,", "o=elsewhere,")), "audit")
    assert (status, out) == (75, "")
    assert "No such object" in err


def test_how_far_a_walk_is_shows_on_a_terminal_and_goes_away(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    _, _, err = run("audit")
    assert " entries\r" in err
    assert err.endswith("\r\x1b[K")


def test_audit_ends_with_75_while_the_directory_is_down(run: Any, outage: Any) -> None:
    with outage():
        status, out, err = run("audit")
    assert (status, out) == (75, "")
    assert "no server can be reached" in err


def test_a_walk_that_the_server_cuts_short_is_no_audit(
    service_home: Path, configured: Any, daemon: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    accounts = "".join(account(f"u{number}@domain1.example") for number in range(50))
    with Slapd(service_home / "limited", ldif=f"{tree()}\n{accounts}", config=["sizelimit 20"]) as limited:
        uri = daemon.configuration.read_text().split('uri = ["')[1].split('"')[0]
        status = cli.main(["-c", configured((uri, limited.uri)), "audit"])
    out, err = capfd.readouterr()
    assert (status, out) == (75, "")
    assert "size.prtotal=unlimited" in err
