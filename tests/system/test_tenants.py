"""What a domain's postmaster may do, and what he may not: no other domain's mail, by delivery, alias, role or login.

The attacker is an occupant of domain2's postmaster role; domain1 is whose mail is wanted. slapd refuses most of it.
What it lets through (it holds a rename to no rules, and the company itself may have written a bad entry long ago) must
still take nothing.
"""

from __future__ import annotations

import imaplib
from collections.abc import Iterator

import pytest

from tests.support.directory import alias
from tests.support.ldap_client import added, change, dn, removed, renamed, replaced, search
from tests.support.theft import OWN, POSTMASTERS, UNDER, VICTIM, VICTIM_MAILBOX, forbidden, new
from tests.system.courier import Courier
from tests.system.mail_host import CHANGE_SECONDS, DELIVERY_SECONDS, HOST, MailHost, eventually
from vmaild.demo.tree import ACCOUNT_PW, BASE, COURIER_DN, COURIER_PW, READER_DN, READER_PW, SEARCH_BASE

POSTMASTER = POSTMASTERS[0]


@pytest.fixture
def thief(host: MailHost) -> Iterator[str]:
    """An account that the attacker has added, as he may: its DN. Removed, whatever its name is by then."""
    assert change(host.slapd, POSTMASTER, added(new("thief", str(host.mail)))) == ""
    yield dn("thief@domain2.example")
    left = search(host.slapd, host.slapd.root_dn, host.slapd.root_pw, UNDER, "(mail=thief@domain2.example)", "1.1")
    for line in left.splitlines():
        if line.startswith("dn: "):
            host.slapd.modify(removed(line.removeprefix("dn: ")))


def test_an_occupant_adds_changes_and_removes_an_account(host: MailHost, subject: str) -> None:
    """And each shows in mail flow within ``CHANGE_SECONDS``."""
    address = "newcomer@domain2.example"
    assert host.reply(address)[0] == 550

    assert change(host.slapd, POSTMASTER, added(new("newcomer", str(host.mail)))) == ""
    assert eventually(lambda: host.postfix.rcpt(address)[0] == 250, CHANGE_SECONDS)
    host.send(address, subject)
    host.expect(subject, "domain2.example/newcomer/")

    second = f"dn: {dn(address)}\nchangetype: modify\nadd: mail\nmail: n.comer@domain2.example\n"
    assert host.reply("n.comer@domain2.example")[0] == 550
    assert change(host.slapd, POSTMASTER, second) == ""
    assert eventually(lambda: host.postfix.rcpt("n.comer@domain2.example")[0] == 250, CHANGE_SECONDS)

    assert change(host.slapd, POSTMASTER, removed(dn(address))) == ""
    assert eventually(lambda: host.postfix.rcpt(address)[0] == 550, CHANGE_SECONDS)


def test_an_occupant_turns_an_alias_to_another_address(host: MailHost, subject: str) -> None:
    address, where = "office@domain2.example", f"{subject}, again"
    assert change(host.slapd, POSTMASTER, added(alias(address, "user2@domain2.example"))) == ""
    try:
        assert eventually(lambda: host.postfix.rcpt(address)[0] == 250, CHANGE_SECONDS)
        host.send(address, subject)
        host.expect(subject, "domain2.example/user2/")

        assert change(host.slapd, POSTMASTER, replaced(dn(address), "maildrop", "user3@domain2.example")) == ""

        def turned() -> bool:
            host.send(address, where)
            eventually(lambda: not host.postfix.queued(), DELIVERY_SECONDS)
            return "domain2.example/user3/" in host.landed(where)

        assert eventually(turned, CHANGE_SECONDS)
    finally:
        host.slapd.modify(removed(dn(address)))


def test_slapd_refuses_what_would_take_another_domain_s_mail(host: MailHost, subject: str) -> None:
    before = everything(host)

    said = {name: change(host.slapd, POSTMASTER, record) for name, record in forbidden(str(host.mail)).items()}

    assert {name for name, text in said.items() if "Insufficient access" not in text and "No such" not in text} == set()
    assert everything(host) == before


def everything(host: MailHost) -> str:
    return search(host.slapd, host.slapd.root_dn, host.slapd.root_pw, SEARCH_BASE)


def test_an_occupant_sees_the_own_domain_only_and_no_password(host: MailHost) -> None:
    found = search(host.slapd, POSTMASTER, ACCOUNT_PW, BASE, "(objectClass=*)", "*", "+")
    names = [line for line in found.splitlines() if line.startswith("dn: ")]

    assert {name.removeprefix("dn: ") for name in names if not name.endswith(UNDER)} == {BASE}
    assert "userPassword" not in found
    assert search(host.slapd, POSTMASTER, ACCOUNT_PW, dn(VICTIM), "-s", "base") == ""


def test_a_user_changes_the_own_password_and_nothing_else(host: MailHost) -> None:
    assert change(host.slapd, OWN, replaced(OWN, "userPassword", ACCOUNT_PW)) == ""
    for ldif in (
        replaced(OWN, "mailbox", "domain2.example/user1/"),
        replaced(OWN, "mail", "boss@domain2.example"),
        replaced(POSTMASTER, "userPassword", "mine"),
        removed(OWN),
        renamed(OWN, "mail=boss@domain2.example"),
    ):
        assert "Insufficient access" in change(host.slapd, OWN, ldif)


def test_nobody_sees_nothing(host: MailHost) -> None:
    assert search(host.slapd, "", "", BASE, "(objectClass=*)", "dn") == f"dn: {BASE}\n\n"
    assert search(host.slapd, "", "", SEARCH_BASE, "(mail=*)", "mail") == ""


@pytest.mark.parametrize("who", [(READER_DN, READER_PW), (COURIER_DN, COURIER_PW)], ids=["vmaild", "courier"])
def test_the_services_cannot_read_a_password(host: MailHost, who: tuple[str, str]) -> None:
    found = search(host.slapd, *who, SEARCH_BASE, "(objectClass=*)", "*", "+")

    assert "mail: user2@domain2.example" in found
    assert "userPassword" not in found
    assert search(host.slapd, *who, SEARCH_BASE, "(userPassword=*)", "mail") == ""


def test_a_rename_to_another_s_address_takes_no_mail(host: MailHost, subject: str, thief: str) -> None:
    """slapd 2.5 asks no value rule about a rename; domains are kept apart by where vmaild searches."""
    assert change(host.slapd, POSTMASTER, renamed(thief, f"mail={VICTIM}")) == ""

    host.send(VICTIM, subject)

    host.expect(subject, VICTIM_MAILBOX)


@pytest.mark.system
def test_a_rename_to_another_s_address_stops_no_login(
    host: MailHost, courier: Courier, subject: str, thief: str
) -> None:
    assert change(host.slapd, POSTMASTER, renamed(thief, f"mail={VICTIM}")) == ""
    host.send(VICTIM, subject)
    host.expect(subject, VICTIM_MAILBOX)

    assert subject in courier.subjects(VICTIM, ACCOUNT_PW)


def into_the_victim_s_mailbox(host: MailHost, thief: str) -> None:
    """Make a mailbox of domain1 the account's, by a rename, as an occupant can."""
    assert change(host.slapd, POSTMASTER, f"dn: {thief}\nchangetype: modify\ndelete: mailbox\n") == ""
    both = f"mail=thief@domain2.example+mailbox={VICTIM_MAILBOX}"
    assert change(host.slapd, POSTMASTER, renamed(thief, both)) == ""
    assert f"mailbox: {VICTIM_MAILBOX}" in everything(host)


def test_mail_for_an_account_with_another_s_mailbox_is_put_off(host: MailHost, thief: str) -> None:
    into_the_victim_s_mailbox(host, thief)

    assert eventually(lambda: host.postfix.rcpt("thief@domain2.example")[0] == 451, CHANGE_SECONDS)


def test_an_alias_to_an_account_with_another_s_mailbox_delivers_nothing_there(
    host: MailHost, subject: str, thief: str
) -> None:
    """The alias is good, and Postfix asks vmaild about it only: virtual(8)'s own tables must refuse. Mail waits."""
    into_the_victim_s_mailbox(host, thief)
    way = alias("way@domain3.example", "thief@domain2.example")
    assert change(host.slapd, dn("user2@domain3.example"), added(way)) == ""
    try:
        host.send("way@domain3.example", subject)
        put_off = ("to=<thief@domain2.example>", "orig_to=<way@domain3.example>", "status=deferred")
        assert eventually(lambda: host.logged(*put_off), DELIVERY_SECONDS), host.postfix.log_text()[-3000:]
        assert host.landed(subject) == {}

        entry = f"mail=thief@domain2.example+mailbox={VICTIM_MAILBOX},{UNDER}"
        host.slapd.modify(renamed(entry, "mail=thief@domain2.example", keep_old=False))
        mended = f"dn: {thief}\nchangetype: modify\nreplace: mailbox\nmailbox: domain2.example/thief/\n"
        host.slapd.modify(mended)
        host.expect(subject, "domain2.example/thief/")
    finally:
        host.slapd.modify(removed(dn("way@domain3.example")))


@pytest.mark.parametrize(
    ("name", "drop"), [("command", "|touch {file}"), ("file", "{file}"), ("include", ":include:{file}")]
)
def test_an_alias_runs_no_command_and_writes_no_file(host: MailHost, subject: str, name: str, drop: str) -> None:
    address = f"{name}@domain2.example"
    file = host.home / "taken"
    target = drop.format(file=file)
    assert change(host.slapd, POSTMASTER, added(alias(address, f'"{target}"@{HOST}', target))) == ""
    try:
        host.send(address, subject)
        assert eventually(lambda: host.logged(f"orig_to=<{address}>", "status=bounced"), DELIVERY_SECONDS)
        assert not file.exists()
    finally:
        host.slapd.modify(removed(dn(address)))


@pytest.mark.system
@pytest.mark.parametrize("by_rename", [True, False], ids=["by rename", "written by the company"])
def test_a_login_shows_no_mailbox_of_another_domain(
    host: MailHost, courier: Courier, subject: str, thief: str, by_rename: bool
) -> None:
    """Courier would open whatever mailbox the entry names, so slapd does not show it one outside of the domain."""
    host.send(VICTIM, subject)
    host.expect(subject, VICTIM_MAILBOX)
    if by_rename:
        into_the_victim_s_mailbox(host, thief)
    else:
        host.slapd.modify(replaced(thief, "mailbox", VICTIM_MAILBOX))

    with pytest.raises(imaplib.IMAP4.error):
        courier.subjects("thief@domain2.example", ACCOUNT_PW)
    assert subject in courier.subjects(VICTIM, ACCOUNT_PW)


@pytest.mark.system
def test_a_login_shows_nothing_below_another_base_directory(
    host: MailHost, courier: Courier, subject: str, thief: str
) -> None:
    host.send(VICTIM, subject)
    host.expect(subject, VICTIM_MAILBOX)
    host.slapd.modify(replaced(thief, "homeDirectory", f"{host.mail}/domain1.example/user1"))
    host.slapd.modify(f"dn: {thief}\nchangetype: modify\nreplace: mailbox\nmailbox: ./\n")

    with pytest.raises(imaplib.IMAP4.error):
        courier.subjects("thief@domain2.example", ACCOUNT_PW)
