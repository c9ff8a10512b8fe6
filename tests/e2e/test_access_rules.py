"""Who may do what in the demo's directory, asked of slapd with its own tools."""

from __future__ import annotations

import pytest

from tests.support.directory import account, alias
from tests.support.ldap_client import added, change, dn, replaced, search
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import ACCOUNT_PW, BASE, READER_DN, READER_PW, SEARCH_BASE

POSTMASTER = dn("user1@domain2.example")
USER = dn("user2@domain2.example")


def test_vmaild_reads_every_mail_entry(slapd: Slapd) -> None:
    entries = search(slapd, READER_DN, READER_PW, SEARCH_BASE, "(mail=*)", "mail", "mailbox", "maildrop")

    assert entries.count("dn: ") == 16
    assert "mailbox: domain2.example/user2/" in entries
    assert "maildrop: fred@otherdomain.example" in entries


def test_vmaild_reads_roles_and_the_suffix(slapd: Slapd) -> None:
    roles = search(slapd, READER_DN, READER_PW, SEARCH_BASE, "(cn=postmaster)", "roleOccupant")

    assert roles.count("roleOccupant: ") == 5
    assert search(slapd, READER_DN, READER_PW, BASE, "-s", "base", "dn") == f"dn: {BASE}\n\n"


def test_vmaild_cannot_read_a_password_or_search_for_one(slapd: Slapd) -> None:
    assert "userPassword" not in search(slapd, READER_DN, READER_PW, BASE, "(objectClass=*)", "*", "+")
    assert search(slapd, READER_DN, READER_PW, SEARCH_BASE, "(userPassword=*)") == ""


def test_vmaild_does_not_see_the_shell_accounts(slapd: Slapd) -> None:
    assert search(slapd, READER_DN, READER_PW, f"o=accounts,{BASE}") == ""


def test_vmaild_changes_nothing(slapd: Slapd) -> None:
    for ldif in (added(alias("new@domain2.example", "user2@domain2.example")), replaced(USER, "mailbox", "elsewhere/")):
        assert "Insufficient access" in change(slapd, READER_DN, ldif, READER_PW)


def test_a_stranger_sees_the_suffix_and_no_more(slapd: Slapd) -> None:
    assert search(slapd, "", "", BASE, "dn") == f"dn: {BASE}\n\n"
    assert search(slapd, "", "", SEARCH_BASE, "(mail=*)", "mail") == ""


def test_an_occupant_of_the_role_looks_after_the_domain(slapd: Slapd) -> None:
    assert change(slapd, POSTMASTER, added(account("helper@domain2.example"))) == ""
    assert change(slapd, POSTMASTER, replaced(dn("helper@domain2.example"), "mailbox", "domain2.example/h/")) == ""
    assert change(slapd, POSTMASTER, replaced(dn("helper@domain2.example"), "userPassword", "new")) == ""
    assert "mailbox: domain2.example/h/" in search(slapd, READER_DN, READER_PW, dn("helper@domain2.example"))
    assert change(slapd, POSTMASTER, f"dn: {dn('helper@domain2.example')}\nchangetype: delete\n") == ""


@pytest.mark.parametrize(
    "ldif",
    [
        added(alias("new@domain3.example", "user1@domain2.example")),
        replaced(dn("user2@domain3.example"), "mailbox", "domain2.example/user1/"),
        replaced(f"cn=postmaster,o=domain2.example,{SEARCH_BASE}", "roleOccupant", POSTMASTER),
        f"dn: cn=postmaster,o=domain2.example,{SEARCH_BASE}\nchangetype: delete\n",
        f"dn: o=domain4.example,{SEARCH_BASE}\nchangetype: add\nobjectClass: organization\no: domain4.example\n",
        replaced(f"o=domain2.example,{SEARCH_BASE}", "o", "domain4.example"),
    ],
    ids=["add elsewhere", "change elsewhere", "the role", "delete the role", "a new domain", "the domain itself"],
)
def test_an_occupant_of_the_role_changes_nothing_else(slapd: Slapd, ldif: str) -> None:
    assert "Insufficient access" in change(slapd, POSTMASTER, ldif)


def test_a_user_changes_the_own_password_and_nothing_else(slapd: Slapd) -> None:
    assert change(slapd, USER, replaced(USER, "userPassword", ACCOUNT_PW)) == ""
    assert "Insufficient access" in change(slapd, USER, replaced(USER, "mailbox", "domain2.example/user1/"))
    assert "Insufficient access" in change(slapd, USER, replaced(POSTMASTER, "userPassword", "mine"))
