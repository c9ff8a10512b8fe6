"""Delivered mail is read by IMAP and POP with the password in the directory, and by nobody else."""

from __future__ import annotations

import imaplib
import poplib

import pytest

from tests.support.ldap_client import change, dn, replaced
from tests.system.courier import Courier
from tests.system.mail_host import MailHost
from vmaild.demo.tree import ACCOUNT_PW

pytestmark = pytest.mark.system

USER = "user2@domain2.example"


@pytest.mark.parametrize("login", ["user3@domain2.example", "third.user@domain2.example"], ids=["first", "second"])
def test_mail_is_read_by_imap_under_each_address(host: MailHost, courier: Courier, subject: str, login: str) -> None:
    host.send("u3@domain2.example", subject)
    host.expect(subject, "domain2.example/user3/")

    assert subject in courier.subjects(login, ACCOUNT_PW)


def test_mail_is_read_by_pop(host: MailHost, courier: Courier, subject: str) -> None:
    host.send(USER, subject)
    host.expect(subject, "domain2.example/user2/")

    mailbox = poplib.POP3("127.0.0.1", courier.pop_port, timeout=30)
    mailbox.user(USER)
    mailbox.pass_(ACCOUNT_PW)
    newest = len(mailbox.list()[1])
    lines = mailbox.retr(newest)[1]
    mailbox.quit()

    assert f"Subject: {subject}".encode() in lines


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_refused(courier: Courier, password: str) -> None:
    with pytest.raises(imaplib.IMAP4.error, match="Login failed"):
        courier.subjects(USER, password)


def test_a_wrong_password_is_refused_by_pop(courier: Courier) -> None:
    mailbox = poplib.POP3("127.0.0.1", courier.pop_port, timeout=30)
    mailbox.user(USER)
    with pytest.raises(poplib.error_proto, match="Login failed"):
        mailbox.pass_("wrong")
    mailbox.close()


@pytest.mark.parametrize("login", ["sales@domain1.example", "nobody@domain1.example", "*"])
def test_what_is_no_account_cannot_log_in(courier: Courier, login: str) -> None:
    with pytest.raises(imaplib.IMAP4.error, match="Login failed"):
        courier.subjects(login, ACCOUNT_PW)


def test_a_password_that_the_user_changes_counts_at_once(host: MailHost, courier: Courier, subject: str) -> None:
    host.send(USER, subject)
    host.expect(subject, "domain2.example/user2/")
    assert change(host.slapd, dn(USER), replaced(dn(USER), "userPassword", "new-one")) == ""
    try:
        assert subject in courier.subjects(USER, "new-one")
        with pytest.raises(imaplib.IMAP4.error, match="Login failed"):
            courier.subjects(USER, ACCOUNT_PW)
    finally:
        assert change(host.slapd, dn(USER), replaced(dn(USER), "userPassword", ACCOUNT_PW), "new-one") == ""
