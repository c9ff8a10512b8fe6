"""Delivery by LMTP to Dovecot, configured by the snippets alone: one mailbox for all addresses of an account."""

from __future__ import annotations

import functools
import smtplib
from collections.abc import Iterator

import pytest

from tests.support.directory import BAD_MAILBOXES, alias
from tests.support.ldap_client import dn, removed, replaced
from tests.support.theft import VICTIM, VICTIM_MAILBOX, new
from tests.system.dovecot import Dovecot
from tests.system.mail_host import DELIVERY_SECONDS, eventually, running
from tests.system.snippet_host import SnippetHost
from tests.system.test_snippets_deliver import ROWS
from vmaild.demo.tree import ACCOUNT_PW

pytestmark = pytest.mark.system

THIEF = "thief@domain2.example"


@pytest.fixture(scope="module")
def host() -> Iterator[SnippetHost]:
    with running(functools.partial(SnippetHost, delivery="lmtp")) as host:
        yield host


@pytest.fixture(scope="module")
def dovecot(host: SnippetHost) -> Iterator[Dovecot]:
    dovecot = Dovecot(host.home / "dovecot", host.slapd, host.mail, host.home / "postfix/queue")
    try:
        dovecot.start()
        yield dovecot
    finally:
        dovecot.close()


@pytest.fixture
def way(host: SnippetHost, dovecot: Dovecot) -> Iterator[str]:
    """An address of domain3 that leads to ``THIEF``, an account of domain2 that a test adds."""
    host.slapd.add(alias("way@domain3.example", THIEF))
    yield "way@domain3.example"
    for address in ("way@domain3.example", THIEF):
        host.slapd.modify(removed(dn(address)))


@pytest.mark.parametrize(("recipient", "maildirs"), ROWS.values(), ids=ROWS.keys())
def test_mail_lands(host: SnippetHost, dovecot: Dovecot, subject: str, recipient: str, maildirs: list[str]) -> None:
    host.send(recipient, subject)

    host.expect(subject, *maildirs)


def test_all_addresses_of_an_account_lead_to_one_mailbox(host: SnippetHost, dovecot: Dovecot, subject: str) -> None:
    addresses = ("user3@domain2.example", "third.user@domain2.example", "u3@domain2.example")
    for address in addresses:
        host.send(address, f"{subject} to {address}")
        host.expect(f"{subject} to {address}", "domain2.example/user3/")

    for address in addresses:
        assert {f"{subject} to {one}" for one in addresses} <= set(dovecot.subjects(address))
        assert dovecot.logs_in(address, ACCOUNT_PW)
    homes = [path.name for path in (dovecot.home / "homes/domain2.example").glob("*")]
    assert not set(homes) & {"third.user", "u3"}


def test_what_dovecot_wrote_belongs_to_the_one_account_of_all_mailboxes(host: SnippetHost, dovecot: Dovecot) -> None:
    files = [path for path in host.mail.glob("domain*/**/*") if path.is_file()]

    assert {path.stat().st_uid for path in files} == {host.owner}


@pytest.mark.parametrize("mailbox", BAD_MAILBOXES.values(), ids=BAD_MAILBOXES)
def test_mail_for_a_mailbox_outside_the_domain_waits(
    host: SnippetHost, dovecot: Dovecot, subject: str, way: str, mailbox: str
) -> None:
    """Whatever is wrong with it, and until it is mended."""
    host.slapd.add(new("thief", str(host.mail), mailbox=mailbox))
    host.send(way, subject)
    put_off = (f"to=<{THIEF}>", f"orig_to=<{way}>", "status=deferred")

    assert eventually(lambda: host.logged(*put_off), DELIVERY_SECONDS), host.postfix.log_text()[-3000:]
    assert host.landed(subject) == {}
    assert not dovecot.logs_in(THIEF, ACCOUNT_PW)

    host.slapd.modify(replaced(dn(THIEF), "mailbox", "domain2.example/thief/"))
    host.expect(subject, "domain2.example/thief/")
    assert dovecot.logs_in(THIEF, ACCOUNT_PW)


def test_a_login_does_not_become_another_s_by_the_entry_s_uid(
    host: SnippetHost, dovecot: Dovecot, subject: str, way: str
) -> None:
    """Dovecot's own default takes the name of the user from it."""
    host.send(VICTIM, subject)
    host.expect(subject, VICTIM_MAILBOX)
    host.slapd.add(f"{new('thief', str(host.mail)).rstrip()}\nuid: {VICTIM}\n")

    assert dovecot.logs_in(THIEF, ACCOUNT_PW)
    said = dovecot.login_fields(THIEF, ACCOUNT_PW)
    assert "domain2.example/thief/" in said
    assert VICTIM not in said
    assert VICTIM_MAILBOX not in said


@pytest.mark.parametrize("login", [(VICTIM, "wrong"), (VICTIM, ""), ("sales@domain1.example", ACCOUNT_PW)])
def test_nobody_else_logs_in(dovecot: Dovecot, login: tuple[str, str]) -> None:
    assert not dovecot.logs_in(*login)


@pytest.mark.parametrize(
    ("sender", "code"),
    [("u3@domain2.example", 250), ("postmaster@domain2.example", 250), ("user2@domain2.example", 553), (VICTIM, 553)],
)
def test_a_login_by_dovecot_sends_under_the_own_addresses_only(
    host: SnippetHost, dovecot: Dovecot, sender: str, code: int
) -> None:
    with smtplib.SMTP("127.0.0.1", host.submission_port, local_hostname="client.example", timeout=60) as session:
        session.login("user3@domain2.example", ACCOUNT_PW)
        session.mail(sender)
        answer = session.rcpt("user1@domain1.example")

    assert answer[0] == code, answer


def test_without_a_login_nothing_is_taken(host: SnippetHost, dovecot: Dovecot) -> None:
    with smtplib.SMTP("127.0.0.1", host.submission_port, timeout=60) as session:
        session.ehlo()
        session.mail("u3@domain2.example")
        assert session.rcpt("user1@domain1.example")[0] in (553, 554)


def test_without_a_directory_mail_waits(host: SnippetHost, dovecot: Dovecot, subject: str) -> None:
    recipient = "sysadmin@domain1.example"
    assert host.reply(recipient)[0] == 250
    with host.without_slapd():
        host.postfix.send([recipient], subject)
        assert eventually(lambda: host.logged(f"to=<{recipient}>", "status=deferred"), DELIVERY_SECONDS)

    host.expect(subject, "domain1.example/sysadmin/")
    assert not host.logged(f"to=<{recipient}>", "status=bounced")
