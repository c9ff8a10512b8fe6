"""slapd's side: the LDIF of ``postfix-snippets/slapd``, applied to a slapd as Debian sets it up.

The occupants of a domain's role manage their domain, and cannot get at another's mail by anything they write.
"""

from __future__ import annotations

import imaplib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.debian_slapd import config_settings
from tests.support.directory import account, alias
from tests.support.hosting_slapd import IMAP_DN, IMAP_PW, HostingSlapd
from tests.support.ldap_client import added, change, dn, removed, replaced, search
from tests.support.snippets import snippet
from tests.support.theft import OWN, POSTMASTERS, UNDER, VICTIM, VICTIM_MAILBOX, forbidden, new, renames
from tests.system.courier import Courier
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import ACCOUNT_PW, BASE, READER_DN, READER_PW, SEARCH_BASE, tree

SETTINGS = ("olcAddContentAcl", "olcRestrict", "olcLimits", "olcSpCheckpoint", "olcSpSessionlog")


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[HostingSlapd]:
    with HostingSlapd(service_home / "slapd", str(service_home / "mail")) as running:
        yield running  # type: ignore[misc]


def everything(slapd: Slapd) -> str:
    return search(slapd, slapd.root_dn, slapd.root_pw, SEARCH_BASE)


def test_the_ldif_and_the_lines_for_slapd_conf_say_the_same(tmp_path: Path) -> None:
    config = ["database config", "rootpw secret"]
    # The demo's slapd has its own indexes.
    lines = [line for line in snippet("hosting.conf", {}).splitlines() if not line.startswith("index")]
    both = (
        Slapd(tmp_path / "conf", ldif=tree(), access="", config=config, database=lines),
        HostingSlapd(tmp_path / "ldif"),
    )
    with both[0] as conf, both[1] as ldif:
        bind = ["-x", "-D", "cn=config", "-w", "secret", "-H", conf.uri]
        assert sorted(rules(config_settings(bind, *SETTINGS))) == sorted(rules(ldif.settings(*SETTINGS)))  # type: ignore[attr-defined]
        assert len(conf_rules := rules(config_settings(bind, "olcAccess"))) > 15
        assert conf_rules == rules(ldif.settings("olcAccess"))  # type: ignore[attr-defined]


def rules(lines: list[str]) -> list[str]:
    """Settings as slapd means them: it writes what comes by slapd.conf in its own way, and LDIF as it comes."""
    plain = [re.sub(r" =(\w+)", lambda rights: f" ={sorted(rights[1])}", re.sub(r"\s+", " ", line)) for line in lines]
    return [re.sub(r"dn\.(exact|base)=", "dn=", line).replace(" +0 break", " break") for line in plain]


def test_indexes_are_added_beside_those_that_debian_has(slapd: HostingSlapd) -> None:
    found = {
        (name, kinds)
        for line in slapd.settings("olcDbIndex")
        for names, kinds in [line.removeprefix("olcDbIndex: ").split(" ", 1)]
        for name in names.split(",")
    }
    wanted = {(name, "eq") for name in ("objectClass", "cn", "mail", "o", "entryCSN", "entryUUID")}

    assert wanted | {("mailbox", "eq,sub")} <= found


def test_the_suffix_has_a_context_csn(slapd: HostingSlapd) -> None:
    slapd.modify(replaced(OWN, "description", "a change"))

    assert "contextCSN: " in search(slapd, READER_DN, READER_PW, BASE, "-s", "base", "contextCSN")


@pytest.mark.parametrize("occupant", POSTMASTERS, ids=["user1", "user3"])
def test_an_occupant_manages_the_own_domain(slapd: HostingSlapd, service_home: Path, occupant: str) -> None:
    helper = dn("helper@domain2.example")
    for record in (
        added(new("helper", str(service_home / "mail"))),
        replaced(helper, "mailbox", "domain2.example/elsewhere/"),
        replaced(helper, "userPassword", "new"),
        f"dn: {helper}\nchangetype: modify\nadd: mail\nmail: h@domain2.example\n",
        added(alias("office@domain2.example", "helper@domain2.example", "boss@elsewhere.example")),
        replaced(dn("office@domain2.example"), "maildrop", "user2@domain2.example"),
        removed(dn("office@domain2.example")),
        removed(helper),
    ):
        assert change(slapd, occupant, record) == "", record


@pytest.mark.parametrize("occupant", POSTMASTERS, ids=["user1", "user3"])
def test_an_occupant_writes_nothing_that_takes_another_domain_s_mail(
    slapd: HostingSlapd, service_home: Path, occupant: str
) -> None:
    before = everything(slapd)
    records = forbidden(str(service_home / "mail"))
    # No entry may be renamed at all.
    records["move to the other domain"], move = records["own role"], records["move to the other domain"]

    said = {name: change(slapd, occupant, record) for name, record in records.items()}

    assert {name for name, text in said.items() if "Insufficient access" not in text and "No such" not in text} == set()
    assert "restricted" in change(slapd, occupant, move)
    assert everything(slapd) == before


@pytest.mark.parametrize("name", renames())
def test_an_occupant_renames_nothing(slapd: HostingSlapd, name: str) -> None:
    *before, rename = renames()[name]
    for record in before:
        assert change(slapd, POSTMASTERS[0], record) == ""
    try:
        assert "restricted" in change(slapd, POSTMASTERS[0], rename)
    finally:
        for _ in before:
            assert change(slapd, POSTMASTERS[0], replaced(OWN, "mailbox", "domain2.example/user2/")) == ""


def test_an_occupant_reads_the_own_domain_only_and_no_password(slapd: HostingSlapd) -> None:
    found = search(slapd, POSTMASTERS[1], ACCOUNT_PW, BASE, "(objectClass=*)", "*", "+")
    names = [line.removeprefix("dn: ") for line in found.splitlines() if line.startswith("dn: ")]

    assert len(names) > 5
    assert [name for name in names if not name.endswith(UNDER)] == [BASE]
    assert "userPassword" not in found
    assert search(slapd, POSTMASTERS[1], ACCOUNT_PW, dn(VICTIM), "-s", "base") == ""


@pytest.mark.parametrize("who", [(READER_DN, READER_PW), (IMAP_DN, IMAP_PW)], ids=["vmaild", "imap"])
def test_the_services_read_mail_entries_and_no_password_and_write_nothing(
    slapd: HostingSlapd, who: tuple[str, str]
) -> None:
    found = search(slapd, *who, SEARCH_BASE, "(objectClass=*)", "*", "+")

    assert "mailbox: domain2.example/user2/" in found
    assert "maildrop: fred@otherdomain.example" in found
    assert "roleOccupant: " in found
    assert "userPassword" not in found
    assert search(slapd, *who, SEARCH_BASE, "(userPassword=*)", "mail") == ""
    assert "Insufficient access" in change(slapd, who[0], replaced(OWN, "mailbox", "x/"), who[1])


def test_the_imap_server_s_account_is_not_shown_a_mailbox_of_another_domain(slapd: HostingSlapd) -> None:
    """Which the company itself may have written."""
    slapd.modify(replaced(OWN, "mailbox", VICTIM_MAILBOX + "sub/"))
    try:
        assert "mailbox" not in search(slapd, IMAP_DN, IMAP_PW, OWN, "mailbox").replace(OWN, "")
        assert VICTIM_MAILBOX in search(slapd, READER_DN, READER_PW, OWN, "mailbox")
    finally:
        slapd.modify(replaced(OWN, "mailbox", "domain2.example/user2/"))


@pytest.mark.parametrize(
    "taken", [{"mail": ("t@domain2.example", "user2@domain2.example")}, {"mailbox": "domain2.example/user2/"}]
)
def test_no_two_accounts_have_one_address_or_mailbox(service_home: Path, taken: dict[str, Any]) -> None:
    """With unique.ldif, which the other tests do without: it is asked before the access rules."""
    with HostingSlapd(service_home / "unique", str(service_home / "mail")) as slapd:
        slapd.configure(snippet("unique.ldif", {}))  # type: ignore[attr-defined]
        said = [
            change(slapd, POSTMASTERS[0], added(new("t", str(service_home / "mail"), **one))) for one in (taken, {})
        ]

    assert "Constraint violation" in said[0]
    assert said[1] == ""


@pytest.mark.system
@pytest.mark.parametrize("occupant", POSTMASTERS, ids=["user1", "user3"])
def test_an_account_with_another_domain_s_mailbox_is_not_added_and_does_not_log_in(
    slapd: HostingSlapd, service_home: Path, occupant: str
) -> None:
    """The attack that was seen: user3@domain2 adds it, logs in over IMAP, and reads domain1's mail."""
    mail_home = service_home / "mail"
    shutil.rmtree(mail_home, ignore_errors=True)
    maildir = mail_home / VICTIM_MAILBOX
    for name in ("new", "cur", "tmp"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    (maildir / "new/1.secret").write_text("Subject: a secret\n\n")
    record = account(
        "thief@domain2.example", mailbox=VICTIM_MAILBOX, mail_home=str(mail_home), more=("userPassword: demo",)
    )
    (service_home / "courier").mkdir(exist_ok=True)
    courier = Courier(service_home / "courier", slapd, bind=(IMAP_DN, IMAP_PW))
    courier.own(mail_home)
    try:
        courier.start()
        assert "Insufficient access" in change(slapd, occupant, added(record))
        with pytest.raises(imaplib.IMAP4.error):
            courier.subjects("thief@domain2.example", ACCOUNT_PW)
        assert courier.subjects(VICTIM, ACCOUNT_PW) == ["a secret"]

        # And if such an account came about in another way:
        slapd.modify(removed(dn(VICTIM)))
        slapd.add(record)
        with pytest.raises(imaplib.IMAP4.error):
            courier.subjects("thief@domain2.example", ACCOUNT_PW)
    finally:
        courier.close()
        for left in ("thief@domain2.example", VICTIM):
            if search(slapd, slapd.root_dn, slapd.root_pw, dn(left), "-s", "base"):
                slapd.modify(removed(dn(left)))
        slapd.add(account(VICTIM, mail_home=str(mail_home), more=("userPassword: demo",)))
